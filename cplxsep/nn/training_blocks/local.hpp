// The local block for training, x + W SiLU(conv3x3(norm(x))). Of what lies between maps and their
// sum the convolution's output is kept.

#pragma once

#include "native/functions.hpp"
#include "position_norm/rows.hpp"
#include "training_blocks/groups.hpp"
#include "training_blocks/products.hpp"

namespace {

// Weights as they lie in tensors: `conv` [C][C][3 bands][3 frames], `out` [C][C].
struct PlainLocal {
    const float *gain, *bias, *conv, *out;
    int64_t channels;
};

// Weights as they are multiplied, in memory of this thread: kernels by bands, of each three taps of
// C rows.
template <class T>
struct LocalWeights {
    const float *gain, *bias;
    const T *conv, *out;
    int64_t channels;

    // The kernel leads from its input to its output, or back.
    LocalWeights(const PlainLocal& w, bool back)
        : gain(w.gain), bias(w.bias), channels(w.channels) {
        const int64_t C = channels;
        float* by_taps = scratch<float, ORDERED>(9 * C * C);  // [C][9] rows of C outputs
        turn(w.conv, 9 * C, C, 9 * C, by_taps);
        float* rows = scratch<float, ORDERED + 1>(9 * C * C);
        for (int64_t tap = 0; tap < 9; ++tap) {
            float* to = rows + tap * C * C;
            if (back)
                turn(by_taps + (8 - tap) * C, 9 * C, C, C, to);
            else
                for (int64_t c = 0; c < C; ++c)
                    std::copy_n(by_taps + (c * 9 + tap) * C, C, to + c * C);
        }
        const T* kernel = converted<ORDERED + 2, T>(rows, 9 * C * C);
        const int64_t size = panels(C) * panel_size<T>(3 * C, 3);
        T* packed_kernel = scratch<T, PACKED>(size);
        if (packed_rows<T>(3 * C) != 3 * C || C % PANEL) std::fill_n(packed_kernel, size, T{});
        for (int64_t j = 0; j < C; j += PANEL)
            for (int64_t near = 0; near < 3; ++near)
                PanelOfRows<T>{kernel + near * 3 * C * C + j,
                               C,
                               3 * C,
                               std::min(PANEL, C - j),
                               3 * C,
                               packed_kernel + j / PANEL * panel_size<T>(3 * C, 3) +
                                   near * packed_rows<T>(3 * C) * PANEL}
                    .finish();
        conv = packed_kernel;
        if (!back) turn(w.out, C, C, C, rows);
        out = packed<PACKED + 1>(converted<ORDERED + 3, T>(back ? w.out : rows, C * C), C, C);
    }
};

// Bands as a kernel sees them: [frames + 2][C], with `front` zeros in front and the others behind.
// Those of the latest numbers are kept, in the order in which they are asked for.
template <class T, int NUMBER, int KEPT>
class Bands {
  public:
    Bands(const Maps& m, int64_t front)
        : m_(m), size_((m.frames + 2 + SPARE<T>) * m.channels), front_(front * m.channels),
          memory_(scratch<T, NUMBER>((KEPT + 1) * size_)) {
        // The last one has nothing but zeros.
        std::fill_n(memory_ + KEPT * size_, size_, T{});
        for (int64_t k = 0; k < KEPT; ++k) {
            std::fill_n(memory_ + k * size_, front_, T{});
            std::fill_n(memory_ + k * size_ + front_ + m.frames * m.channels,
                        (2 + SPARE<T>) * m.channels - front_, T{});
        }
    }

    // Band `n` of all batches, or zeros where it is beside those of its neighbour's.
    const T* at(int64_t n, int64_t neighbour) const {
        const bool there =
            n >= 0 && n < m_.batch * m_.bands && n / m_.bands == neighbour / m_.bands;
        return there ? memory_ + n % KEPT * size_ : memory_ + KEPT * size_;
    }

    // Where the frames of a band that is there go.
    T* frames(int64_t n) const { return memory_ + n % KEPT * size_ + front_; }

  private:
    const Maps& m_;
    const int64_t size_, front_;
    T* memory_;
};

// Sums of a kernel that sees three bands, of a tile from row `first` on.
template <class T, class Meanwhile>
inline __attribute__((always_inline)) void add_taps(Tile<T>& tile, const T* const* bands,
                                                    int64_t first, int64_t C, const T* panel,
                                                    const Meanwhile& meanwhile) {
    panel += HEADER<T>;
    for (int64_t near = 0; near < 3; ++near, panel += packed_rows<T>(3 * C) * PANEL)
        tile.add(bands[near] + first * C, C, panel, 3 * C, meanwhile);
}

// Stores what a panel has of a row.
template <class T>
inline __attribute__((always_inline)) void store_columns(T* to, const Lane* x, int64_t columns) {
    if (columns >= PANEL) return store_row(to, x);
    for (int v = 0; v * LANES < columns; ++v) store<LANES>(to + v * LANES, x[v]);
}

// Of what a tile found: kept, and activated.
template <class T>
struct Activated {
    const Sums<T>* sums;
    int64_t row, rows, columns, apart;
    T *kept, *to;

    inline __attribute__((always_inline)) void some() {
        if (row == rows) return;
        Lane x[VECTORS];
        sums->row(row, x);
        store_columns(kept + row * apart, x, columns);
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; ++v) x[v] *= logistic<LANES>(x[v]);
        store_columns(to + row++ * apart, x, columns);
    }

    void finish() {
        while (row < rows) some();
    }
};

// Norms of a band's rows, by and by.
template <int W, class T>
struct Normed {
    const T* from;
    const LocalWeights<T>* w;
    T* to;
    int64_t row, rows;

    inline void some() {
        if (row == rows) return;
        const int64_t C = w->channels;
        normed<W>(from + row * C, w->gain, w->bias, to + row * C, C);
        ++row;
    }

    void finish() {
        while (row < rows) some();
    }
};

// Of one band: `kept` is the convolution's output. Meanwhile norms of another band are found.
template <int W, class T>
void local_band(const T* maps, const T* const* bands, const LocalWeights<T>& w, int64_t frames,
                T* kept, T* to, Normed<W, T>& next) {
    const int64_t C = w.channels, broad = panels(C) * PANEL;
    T* hidden = scratch<T, HIDDEN>((frames + SPARE<T>) * C);
    Sums<T> sums[2];
    Activated<T> before{};
    int64_t n = 0;
    for (int64_t first = 0; first < frames; first += ROWS<T>)
        for (int64_t j = 0; j < C; j += PANEL, n ^= 1) {
            const T* panel = w.conv + j / PANEL * panel_size<T>(3 * C, 3);
            Tile<T> tile(panel);
            add_taps(tile, bands, first, C, panel, [&] {
                before.some();
                next.some();
            });
            tile.collect(sums[n]);
            before.finish();
            const int64_t at = first * C + j;
            before = {sums + n,  0,          std::min(ROWS<T>, frames - first), C - j, C,
                      kept + at, hidden + at};
        }
    before.finish();
    float* found = scratch<float, FOUND>(ROWS<T> * broad);
    for (int64_t first = 0; first < frames; first += ROWS<T>) {
        const int64_t rows = std::min(ROWS<T>, frames - first);
        product(hidden + first * C, rows, w.out, C, C, found, broad, [&] { next.some(); });
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t c = 0; c < C; c += LANES) {
                const int64_t at = (first + r) * C + c;
                store<LANES>(to + at, load<LANES>(maps + at) + load<LANES>(found + r * broad + c));
            }
    }
}

// `kept` [B][F][T][C]: the convolution's output.
template <int W, class T>
void local(const T* maps, const PlainLocal& plain, T* kept, T* to, const Maps& m, int64_t front,
           int threads) {
    const int64_t size = m.frames * m.channels, all = m.batch * m.bands;
    const LocalWeights<T> w(plain, false);
#pragma omp parallel num_threads(threads)
    over_groups(groups(all), all, [&](int64_t, int64_t first, int64_t end) {
        const Working<T> working;
        const Bands<T, BANDS, 4> seen(m, front);
        const auto norm = [&](int64_t n, bool wanted) {
            const bool there = wanted && n >= 0 && n < all;
            return Normed<W, T>{maps + n * size, &w, seen.frames(std::max<int64_t>(n, 0)), 0,
                                there ? m.frames : 0};
        };
        for (int64_t n = first - 1; n < std::min(first + 1, end); ++n) norm(n, true).finish();
        Normed<W, T> next = norm(first + 1, first < end);
        for (int64_t n = first; n < end; ++n) {
            next.finish();
            next = norm(n + 2, n + 1 < end);
            const T* bands[3] = {seen.at(n - 1, n), seen.at(n, n), seen.at(n + 1, n)};
            local_band<W>(maps + n * size, bands, w, m.frames, kept + n * size, to + n * size,
                          next);
        }
    });
}

}  // namespace
