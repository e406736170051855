// The local block for training, x + W SiLU(conv3x3(norm(x))), and its gradient. Of what lies between
// maps and their sum the convolution's output is kept, and the rest found once more in the cache.

#pragma once

#include "native/functions.hpp"
#include "position_norm/rows.hpp"
#include "training_blocks/groups.hpp"
#include "training_blocks/products.hpp"

namespace {

// Positions that are met at once where bands do not matter.
constexpr int64_t LOCAL_AT_ONCE = 256;

// Weights as they lie in tensors: `conv` [C][C][3 bands][3 frames], `out` [C][C].
struct PlainLocal {
    const float *gain, *bias, *conv, *out;
    int64_t channels;
};

// Weights as they are multiplied, in memory of this thread: kernels by bands, of each three taps of C
// rows.
template <class T>
struct LocalWeights {
    const float *gain, *bias;
    const T *conv, *out;
    int64_t channels;

    // The kernel leads from its input to its output, or back.
    LocalWeights(const PlainLocal& w, bool back) : gain(w.gain), bias(w.bias), channels(w.channels) {
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
                PanelOfRows<T>{kernel + near * 3 * C * C + j, C, 3 * C, std::min(PANEL, C - j),
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
        const bool there = n >= 0 && n < m_.batch * m_.bands && n / m_.bands == neighbour / m_.bands;
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
inline __attribute__((always_inline)) void
add_taps(Tile<T>& tile, const T* const* bands, int64_t first, int64_t C, const T* panel,
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
            before = {sums + n,  0,         std::min(ROWS<T>, frames - first), C - j, C,
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
    const int64_t size = m.frames * m.channels;
    const LocalWeights<T> w(plain, false);
#pragma omp parallel num_threads(threads)
    over_groups(m.batch * m.bands, [&](int64_t, int64_t first, int64_t end) {
        const Working<T> working;
        const Bands<T, BANDS, 4> seen(m, front);
        const auto norm = [&](int64_t n, bool wanted) {
            const bool there = wanted && n >= 0 && n < m.batch * m.bands;
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

// Gradients of the weights of one group: conv [3 bands][C outputs][3 frames][C inputs], out [C][C],
// gain [C], bias [C].
struct LocalGradients {
    float *conv, *out, *gain, *bias;

    LocalGradients(float* at, int64_t C)
        : conv(at), out(conv + 9 * C * C), gain(out + C * C), bias(gain + C) {}

    static int64_t size(int64_t C) { return 10 * C * C + 2 * C; }
};

// From the gradient of the sum to that of the convolution's output, of `count` rows.
template <class T>
void activation_back(const T* kept, const T* grad, T* of_kept, int64_t count,
                     const LocalWeights<T>& w, const LocalGradients& sums) {
    const int64_t C = w.channels, broad = panels(C) * PANEL;
    T* grads = scratch<T, GRADS>((count + SPARE<T>) * C);
    std::copy_n(grad, count * C, grads);
    T* hidden = scratch<T, HIDDEN>(count * C);
    float* of_hidden = scratch<float, FOUND>(ROWS<T> * broad);
    for (int64_t first = 0; first < count; first += ROWS<T>) {
        const int64_t rows = std::min(ROWS<T>, count - first);
        product(grads + first * C, rows, w.out, C, C, of_hidden, broad);
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t c = 0; c < C; c += LANES) {
                const int64_t at = (first + r) * C + c;
                const Lane x = load<LANES>(kept + at), gate = logistic<LANES>(x), y = x * gate;
                store<LANES>(hidden + at, y);
                store<LANES>(of_kept + at,
                             load<LANES>(of_hidden + r * broad + c) * (gate + y * (1.0f - gate)));
            }
    }
    T* turned = scratch<T, TURNED>((C + SPARE<T>) * filled<T>(count));
    turn(grads, C, count, C, turned);
    OverPositions<T>(hidden, C, count, C).add(turned, C, sums.out);
}

// From the gradient of the convolution's output, of three bands, to that of a band of maps.
// `before`: where rows whose norms' gradients are known wait for the end.
template <int W, class T>
void conv_back(const T* maps, const T* grad, const T* const* of_kept, const LocalWeights<T>& w,
               int64_t frames, T* to, const LocalGradients& sums) {
    const int64_t C = w.channels, broad = panels(C) * PANEL, size = ROWS<T> * broad;
    float* of_seen = scratch<float, FOUND>(2 * size);
    int64_t row = 0, known = 0;
    const auto finish = [&] {
        if (row == known) return;
        const float* of_row = of_seen + row / ROWS<T> % 2 * size + row % ROWS<T> * broad;
        norm_back<W>(maps + row * C, w.gain, grad + row * C, of_row, to + row * C, sums.gain,
                     sums.bias, C);
        ++row;
    };
    for (int64_t first = 0; first < frames; first += ROWS<T>) {
        float* here = of_seen + first / ROWS<T> % 2 * size;
        for (int64_t j = 0; j < C; j += PANEL) {
            const T* panel = w.conv + j / PANEL * panel_size<T>(3 * C, 3);
            Tile<T> tile(panel);
            add_taps(tile, of_kept, first, C, panel, finish);
            if constexpr (FLOAT_SQUARES<T>)
                tile.write(here + j, broad);
            else
                tile.each(ROWS<T>, [&](int64_t m, const Lane* x) __attribute__((always_inline)) {
                    store_row(here + m * broad + j, x);
                });
        }
        while (row < known) finish();
        known = std::min(first + ROWS<T>, frames);
    }
    while (row < known) finish();
}

// Where the gradients of weights go, as they lie in tensors.
struct FoundLocal {
    float *gain, *bias, *conv, *out;

    // Of what was summed, by the threads of a parallel region.
    void take(const LocalGradients& sums, int64_t C) const {
#pragma omp for schedule(static)
        for (int64_t o = 0; o < C; ++o) {
            for (int64_t near = 0; near < 3; ++near)
                for (int64_t tap = 0; tap < 3; ++tap) {
                    const float* from = sums.conv + ((near * C + o) * 3 + tap) * C;
                    float* to = conv + o * C * 9 + near * 3 + tap;
                    for (int64_t i = 0; i < C; ++i) to[9 * i] = from[i];
                }
            std::copy_n(sums.out + o * C, C, out + o * C);
            gain[o] = sums.gain[o];
            bias[o] = sums.bias[o];
        }
    }
};

template <int W, class T>
void local_back(const T* maps, const PlainLocal& plain, const T* kept, const T* grad, T* of_kept,
                T* to, const FoundLocal& found, const Maps& m, int64_t front, int threads) {
    const int64_t C = m.channels, total = LocalGradients::size(C), size = m.frames * C;
    const int64_t positions = m.batch * m.bands * m.frames;
    const LocalWeights<T> w(plain, true);
    float* sums = scratch<float, SUMS>(GROUPS * total);
    const auto of_group = [&](int64_t g) { return LocalGradients(sums + g * total, C); };
#pragma omp parallel num_threads(threads)
    {
        over_groups(
            (positions + LOCAL_AT_ONCE - 1) / LOCAL_AT_ONCE,
            [&](int64_t g, int64_t first, int64_t end) {
                const Working<T> working;
                std::fill_n(sums + g * total, total, 0.0f);
                for (int64_t n = first; n < end; ++n) {
                    const int64_t at = n * LOCAL_AT_ONCE * C;
                    activation_back(kept + at, grad + at, of_kept + at,
                                    std::min(LOCAL_AT_ONCE, positions - n * LOCAL_AT_ONCE), w,
                                    of_group(g));
                }
            });
        over_groups(m.batch * m.bands, [&](int64_t g, int64_t first, int64_t end) {
            const Working<T> working;
            const LocalGradients own = of_group(g);
            const Bands<T, BANDS, 3> of_bands(m, 2 - front);
            const Bands<T, SEEN, 1> seen(m, front);
            const int64_t turned_size = (C + SPARE<T>) * filled<T>(m.frames);
            T* turned = scratch<T, TURNED_BANDS>(3 * turned_size);
            const auto take = [&](int64_t n) {
                if (n < 0 || n >= m.batch * m.bands) return;
                std::copy_n(of_kept + n * size, size, of_bands.frames(n));
                turn(of_kept + n * size, C, m.frames, C, turned + n % 3 * turned_size);
            };
            for (int64_t n = first - 1; n < std::min(first + 1, end); ++n) take(n);
            for (int64_t n = first; n < end; ++n) {
                take(n + 1);
                Normed<W, T>{maps + n * size, &w, seen.frames(0), 0, m.frames}.finish();
                OverPositions<T> taps(seen.at(0, 0), C, m.frames, 3 * C);
                // A kernel sees this band as its first one from the band behind.
                for (int64_t near = 0; near < 3; ++near) {
                    const int64_t from = n + 1 - near;
                    if (from >= 0 && from / m.bands == n / m.bands && from < m.batch * m.bands)
                        taps.add(turned + from % 3 * turned_size, C, own.conv + near * 3 * C * C);
                }
                const T* bands[3] = {of_bands.at(n - 1, n), of_bands.at(n, n),
                                     of_bands.at(n + 1, n)};
                conv_back<W>(maps + n * size, grad + n * size, bands, w, m.frames, to + n * size,
                             own);
            }
        });
        total_groups(sums, total);
        found.take(of_group(0), C);
    }
}

}  // namespace
