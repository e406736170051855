// The gradient of the local block, which finds once more, in the cache, what was not kept.

#pragma once

#include "training_blocks/local.hpp"

namespace {

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

// From the gradient of the convolution's output, of three bands, to that of a band of maps. Of the
// gradients of norms two blocks of rows are kept in turn: one goes on to the maps while the
// products of the next are under way.
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
            write_tile<T>(tile, ROWS<T>, here + j, broad);
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
    const int64_t C = m.channels, size_of_sums = LocalGradients::size(C), size = m.frames * C;
    const int64_t all = m.batch * m.bands, positions = all * m.frames, count = groups(all);
    const LocalWeights<T> w(plain, true);
    float* sums = scratch<float, SUMS>(count * size_of_sums);
    const auto of_group = [&](int64_t g) { return LocalGradients(sums + g * size_of_sums, C); };
#pragma omp parallel num_threads(threads)
    {
        over_groups(count, (positions + AT_ONCE_BACK - 1) / AT_ONCE_BACK,
                    [&](int64_t g, int64_t first, int64_t end) {
                        const Working<T> working;
                        std::fill_n(sums + g * size_of_sums, size_of_sums, 0.0f);
                        for (int64_t n = first; n < end; ++n) {
                            const int64_t at = n * AT_ONCE_BACK * C;
                            activation_back(kept + at, grad + at, of_kept + at,
                                            std::min(AT_ONCE_BACK, positions - n * AT_ONCE_BACK), w,
                                            of_group(g));
                        }
                    });
        over_groups(count, all, [&](int64_t g, int64_t first, int64_t end) {
            const Working<T> working;
            const LocalGradients own = of_group(g);
            const Bands<T, BANDS, 3> of_bands(m, 2 - front);
            const Bands<T, SEEN, 1> seen(m, front);
            const int64_t turned_size = (C + SPARE<T>) * filled<T>(m.frames);
            T* turned = scratch<T, TURNED_BANDS>(3 * turned_size);
            const auto take = [&](int64_t n) {
                if (n < 0 || n >= all) return;
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
                    if (from >= 0 && from / m.bands == n / m.bands && from < all)
                        taps.add(turned + from % 3 * turned_size, C, own.conv + near * 3 * C * C);
                }
                const T* bands[3] = {of_bands.at(n - 1, n), of_bands.at(n, n),
                                     of_bands.at(n + 1, n)};
                conv_back<W>(maps + n * size, grad + n * size, bands, w, m.frames, to + n * size,
                             own);
            }
        });
        total_groups(sums, count, size_of_sums);
        found.take(of_group(0), C);
    }
}

}  // namespace
