// Products of training: with matrices that are packed anew in each step.

#pragma once

#include "training_blocks/positions.hpp"

namespace {

// Packs a matrix that lies in memory as K rows of N columns, `stride` apart.
template <class T>
void pack_rows(const T* rows, int64_t stride, int64_t K, int64_t N, T* to) {
    if (packed_rows<T>(K) != K || N % PANEL) std::fill_n(to, panels(N) * panel_size<T>(K), T{});
    for (int64_t j = 0; j < N; j += PANEL, to += panel_size<T>(K))
        PanelOfRows<T>{rows + j, stride, K, std::min(PANEL, N - j), K, to}.finish();
}

// The same in memory of this thread, of `parts` matrices that lie side by side, N columns each.
template <int NUMBER, class T>
const T* packed(const T* rows, int64_t K, int64_t N, int64_t parts = 1) {
    const int64_t size = panels(N) * panel_size<T>(K);
    T* to = scratch<T, NUMBER>(parts * size);
    for (int64_t part = 0; part < parts; ++part)
        pack_rows(rows + part * N, parts * N, K, N, to + part * size);
    return to;
}

// Weights in the type of products, in memory of this thread.
template <int NUMBER, class T>
T* converted(const float* weights, int64_t count) {
    T* to = scratch<T, NUMBER>(count);
    convert(weights, count, to);
    return to;
}

// Sums of a tile as `count` rows, `apart` values apart; of float ones all rows are written.
template <class T, class U>
inline void write_tile(Tile<T>& tile, int64_t count, U* to, int64_t apart) {
    if constexpr (FLOAT_SQUARES<T> && sizeof(U) == 4)
        tile.write(to, apart);
    else
        tile.each(count, [&](int64_t m, const Lane* x) __attribute__((always_inline)) {
            store_row(to + m * apart, x);
        });
}

// to [rows][apart] = rows [rows][K] times a packed matrix of N columns, in whole tiles.
template <class T, class U, class... Meanwhile>
inline void product(const T* rows, int64_t count, const T* matrix, int64_t K, int64_t N, U* to,
                    int64_t apart, const Meanwhile&... meanwhile) {
    for (int64_t j = 0; j < N; j += PANEL, matrix += panel_size<T>(K))
        for (int64_t r = 0; r < count; r += ROWS<T>) {
            Tile<T> tile(matrix);
            tile.add(rows + r * K, K, matrix + HEADER<T>, K, meanwhile...);
            write_tile<T>(tile, std::min(ROWS<T>, count - r), to + r * apart + j, apart);
        }
}

}  // namespace
