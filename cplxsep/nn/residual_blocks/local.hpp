// The local block: what is near in time and frequency.

#pragma once

#include "native/functions.hpp"
#include "position_norm/rows.hpp"
#include "residual_blocks/products.hpp"

namespace {

// Frames of a piece: whole tiles.
template <class T>
constexpr int64_t PIECE = ROWS<T> * std::max<int64_t>(1, 32 / ROWS<T>);

// Maps in pieces of PIECE frames, as a 3x3 kernel sees them: two frames more, one on each side or,
// in a causal one, both in front, and a band more on each side. A piece is changed in place while
// its neighbours may still have to see it: the two normed frames around the beginning of each piece
// are kept before, in `borders` [batch][pieces][bands][2][channels].
template <class T>
struct Pieces {
    const Maps m;
    const int64_t front, count;
    T* borders;
    T* past;  // [batch][bands][2][channels] in front of the first one; none is zeros

    Pieces(const Maps& m, bool causal, T* past)
        : m(m), front(causal ? 2 : 1), count((m.frames + PIECE<T> - 1) / PIECE<T>),
          borders(scratch<T, 6>(m.batch * count * m.bands * 2 * m.channels)), past(past) {}

    int64_t frames(int64_t piece) const { return std::min(PIECE<T>, m.frames - piece * PIECE<T>); }

    T* border(int64_t b, int64_t piece, int64_t band) const {
        return borders + ((b * count + piece) * m.bands + band) * 2 * m.channels;
    }

    template <int W>
    void keep_borders(const float* maps, const float* gain, const float* bias, int threads) const {
        const int64_t C = m.channels;
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t n = 0; n < m.batch * count * m.bands; ++n) {
            const FlushDenormals flush;
            const int64_t piece = n / m.bands % count, row = n / m.bands / count * m.bands + n % m.bands;
            for (int64_t j = 0; j < 2; ++j) {
                T* to = borders + (2 * n + j) * C;
                const int64_t frame = piece * PIECE<T> - front + j;
                if (frame >= 0)
                    normed<W>(maps + (row * m.frames + frame) * C, gain, bias, to, C);
                else if (past)
                    std::copy_n(past + (2 * row + j) * C, C, to);
                else
                    std::fill_n(to, C, T{});
            }
        }
    }

    // A band of a piece, [frames + 2] normed; the last piece leaves its latest two as the past.
    template <int W>
    void see(const float* maps, const float* gain, const float* bias, int64_t b, int64_t piece,
             int64_t band, T* to) const {
        const int64_t C = m.channels, row = b * m.bands + band, count_here = frames(piece);
        const float* from = maps + (row * m.frames + piece * PIECE<T>) * C;
        std::copy_n(border(b, piece, band), front * C, to);
        for (int64_t t = 0; t < count_here; ++t)
            normed<W>(from + t * C, gain, bias, to + (t + front) * C, C);
        T* behind = to + (front + count_here) * C;
        if (piece + 1 < count) {
            std::copy_n(border(b, piece + 1, band) + front * C, (2 - front) * C, behind);
            return;
        }
        std::fill_n(behind, (2 - front) * C, T{});
        if (past) std::copy_n(to + count_here * C, 2 * C, past + 2 * row * C);
    }
};

// maps += out SiLU(conv(norm(maps))); `conv` packed band by band, three taps of C rows each.
template <int W, class T>
void local(float* maps, const float* gain, const float* bias, const T* conv, const T* out,
           T* past, const Maps& m, bool causal, int threads) {
    const Pieces<T> p(m, causal, past);
    p.template keep_borders<W>(maps, gain, bias, threads);
    const int64_t C = m.channels, count = panels(C), width = count * PANEL;
    const int64_t row = (PIECE<T> + 2) * C;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t n = 0; n < m.batch * p.count; ++n) {
        const Working<T> working;
        const int64_t b = n / p.count, piece = n % p.count, frames = p.frames(piece);
        T* padded = scratch<T, 1>((m.bands + 2) * row + SPARE<T> * C);
        std::fill_n(padded, row, T{});
        std::fill_n(padded + (m.bands + 1) * row, row, T{});
        for (int64_t band = 0; band < m.bands; ++band)
            p.template see<W>(maps, gain, bias, b, piece, band, padded + (band + 1) * row);
        using Whole = typename Left<T>::Whole;
        Whole* hidden = scratch<Whole, 0>(ROWS<T> * width);
        for (int64_t band = 0; band < m.bands; ++band)
            for (int64_t first = 0; first < frames; first += ROWS<T>) {
                const int64_t rows = std::min(ROWS<T>, frames - first);
                const T* seen = padded + band * row + first * C;
                for (int64_t j = 0; j < count; ++j) {
                    const T* panel = conv + j * panel_size<T>(3 * C, 3);
                    Tile<T> tile(panel);
                    panel += HEADER<T>;
                    for (int64_t near = 0; near < 3; ++near)
                        tile.add(seen + near * row, C, panel + near * packed_rows<T>(3 * C) * PANEL,
                                 3 * C);
                    tile.each(rows, [&](int64_t r, Lane* x) __attribute__((always_inline)) {
#pragma GCC unroll 16
                        for (int v = 0; v < VECTORS; ++v) x[v] *= logistic<LANES>(x[v]);
                        store_row(hidden + r * width + j * PANEL, x);
                    });
                }
                float* to = maps + ((b * m.bands + band) * m.frames + piece * PIECE<T> + first) * C;
                const Left<T> left(hidden, width, C, rows);
                add_product(left, out, C, C, [&](const auto& add) { add(0, rows, to, C); });
            }
    }
}

}  // namespace
