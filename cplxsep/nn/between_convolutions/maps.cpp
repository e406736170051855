// What the inference form of a network does between its convolutions, for a CPU.
//
// Maps are [batch][lines][positions][2 * channels], real halves first, float or bfloat16;
// statistics and coefficients are float. What each function computes is stated in statement.py,
// its oracle in the tests.
//
// What goes into and comes out of a convolution that takes three real products for a complex one
// has 3 * channels: s, r, i with s = r + i, and u, v, w with r = u - w, i = u + v.
//
// Work is cut into lines whose partial sums are added in a fixed order, so results do not depend
// on the number of threads. A line fits the L1 or L2 cache, so that what is done to it in several
// steps costs one pass over memory.

#include "between_convolutions/lines.hpp"

namespace {

template <class T>
void statistics(const T* maps, float* out, Maps m, int threads) {
    gather(m, first_positions(maps, m), out, threads, [&](int64_t n, float* sums, const float* k) {
        const T* middle = maps + n / m.lines * m.example();
        sum_rows(maps + n * m.line(), m.positions, m.channels, k, middle, sums);
    });
}

// A line of three products into a line of maps: added to what is there, or in its place.
template <bool ADD, int W, class T>
void take_products(const T* from, int64_t count, int64_t C, int64_t first, T* to) {
    for (int64_t n = 0; n < count; ++n, from += 3 * C, to += 2 * C)
        for (int64_t c = first; c + W <= C; c += W) {
            const auto u = load<W>(from + c), v = load<W>(from + C + c), w = load<W>(from + 2 * C + c);
            auto r = u - w, i = u + v;
            if (ADD) {
                r += load<W>(to + c);
                i += load<W>(to + C + c);
            }
            store<W>(to + c, r);
            store<W>(to + C + c, i);
        }
}

template <bool ADD, class T>
void take_products(const T* from, int64_t count, int64_t C, T* to) {
    take_products<ADD, LANES>(from, count, C, 0, to);
    if (C % LANES) take_products<ADD, 1>(from, count, C, C - C % LANES, to);
}

template <class T>
void add_line(const T* more, int64_t count, T* to) {
    int64_t j = 0;
    for (; j + LANES <= count; j += LANES)
        store<LANES>(to + j, load<LANES>(to + j) + load<LANES>(more + j));
    for (; j < count; ++j) store<1>(to + j, load<1>(to + j) + load<1>(more + j));
}

// Statistics of maps whose lines change(line number, line) makes or changes first.
template <class T, class Change>
void changed_statistics(T* maps, float* out, Maps m, int threads, const Change& change) {
    // The first lines are done ahead: the shift of the sums is taken from them.
    for (int64_t b = 0; b < m.batch; ++b) change(b * m.lines, maps + b * m.example());
    const auto shift = first_positions(maps, m);
    gather(m, shift, out, threads, [&](int64_t n, float* sums, const float* k) {
        T *line = maps + n * m.line(), *middle = maps + n / m.lines * m.example();
        if (n % m.lines) change(n, line);
        sum_rows<T>(line, m.positions, m.channels, k, middle, sums);
    });
}

template <class T>
void add(T* maps, const T* more, float* out, Maps m, bool three, int threads) {
    changed_statistics(maps, out, m, threads, [&](int64_t n, T* line) {
        if (three)
            take_products<true>(more + n * m.line() / 2 * 3, m.positions, m.channels, line);
        else
            add_line(more + n * m.line(), m.line(), line);
    });
}

template <class T>
void products(const T* three, T* maps, float* out, Maps m, int threads) {
    changed_statistics(maps, out, m, threads, [&](int64_t n, T* line) {
        take_products<false>(three + n * m.line() / 2 * 3, m.positions, m.channels, line);
    });
}

// Where a line of output goes: channels from `at` on of `all`, as r, i or as s, r, i.
struct Target {
    int64_t all, at;
    bool three;
    int64_t stride() const { return (three ? 3 : 2) * all; }
};

template <int W, bool THREE, class From, class To>
void affine_line(const From* from, int64_t step, int64_t C, To* to, Target target, int64_t count,
                 const Affine<Spread<W>>& k) {
    To *re = to + (THREE ? target.all : 0), *im = re + target.all;
    const int64_t stride = target.stride();
    for (int64_t n = 0; n < count; ++n, from += step * 2 * C) {
        const auto r = load<W>(from), i = load<W>(from + C);
        const auto out_r = rectified(k.real(r, i));
        const auto out_i = rectified(k.imag(r, i));
        store<W>(re + n * stride, out_r);
        store<W>(im + n * stride, out_i);
        if (THREE) store<W>(to + n * stride, out_r + out_i);
    }
}

// A line of maps with C channels, those from `at` on of the coefficients.
template <class From, class To>
void affine_line(const From* from, int64_t step, int64_t C, To* to, Target target, int64_t count,
                 const Coefficients& k, int64_t b) {
    over_channels(C, [&]<int W>(int64_t c) {
        const int64_t own = target.at + c;
        const Affine affine(Spread<W>{target.all}, k.example(b) + own, target.all);
        To* first = to + own;
        if (target.three)
            affine_line<W, true>(from + c, step, C, first, target, count, affine);
        else
            affine_line<W, false>(from + c, step, C, first, target, count, affine);
    });
}

template <class T>
void normalise(const T* maps, const float* stats, const float* gain, const float* bias, T* out,
               Maps m, bool layer, int64_t stride, bool three, int threads) {
    const int64_t C = m.channels;
    const auto k = coefficients({stats, nullptr, m.batch, C, C}, gain, bias, layer);
    const Maps to{m.batch, (m.lines + stride - 1) / stride, (m.positions + stride - 1) / stride, C};
    const Target target{C, 0, three};
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t n = 0; n < to.all(); ++n) {
        const int64_t b = n / to.lines, y = n % to.lines;
        const T* from = maps + (b * m.lines + y * stride) * m.line();
        affine_line(from, stride, C, out + n * to.positions * target.stride(), target,
                    to.positions, k, b);
    }
}

// Where between its neighbours each output of a bilinear interpolation to twice the size lies,
// the corners aligned.
struct Steps {
    std::vector<int64_t> low, high;
    std::vector<float> weight;

    explicit Steps(int64_t size) : low(2 * size), high(2 * size), weight(2 * size) {
        const float scale = static_cast<float>(size - 1) / static_cast<float>(2 * size - 1);
        for (int64_t n = 0; n < 2 * size; ++n) {
            const float at = scale * static_cast<float>(n);
            low[n] = static_cast<int64_t>(at);
            high[n] = low[n] < size - 1 ? low[n] + 1 : low[n];
            weight[n] = at - static_cast<float>(low[n]);
        }
    }
};

// Interpolates lines of small maps [batch][lines][positions][2C] to twice the size.
template <class T>
class Upsampler {
  public:
    Upsampler(const T* maps, Maps small)
        : maps_(maps), small_(small), y_(small.lines), x_(small.positions) {}

    // Line n of all upsampled ones, as float [2 * positions][2C].
    const float* line(int64_t n) const {
        thread_local std::vector<float> blended, out;
        const int64_t width = 2 * small_.channels, lines = 2 * small_.lines, y = n % lines;
        blended.resize(small_.line());
        out.resize(2 * small_.line());
        const T* first = maps_ + (n / lines) * small_.lines * small_.line();
        mix(first + y_.low[y] * small_.line(), first + y_.high[y] * small_.line(), y_.weight[y],
            small_.line(), blended.data());
        for (int64_t x = 0; x < 2 * small_.positions; ++x)
            mix(blended.data() + x_.low[x] * width, blended.data() + x_.high[x] * width,
                x_.weight[x], width, out.data() + x * width);
        return out.data();
    }

  private:
    template <class S>
    static void mix(const S* a, const S* b, float weight, int64_t count, float* to) {
        const float rest = 1 - weight;
        int64_t j = 0;
        for (; j + LANES <= count; j += LANES)
            store<LANES>(to + j, rest * load<LANES>(a + j) + weight * load<LANES>(b + j));
        for (; j < count; ++j) to[j] = rest * load<1>(a + j)[0] + weight * load<1>(b + j)[0];
    }

    const T* maps_;
    Maps small_;
    Steps y_, x_;
};

template <class T>
void upsampled_statistics(const T* maps, float* out, Maps small, int threads) {
    const Maps m{small.batch, 2 * small.lines, 2 * small.positions, small.channels};
    const Upsampler<T> up(maps, small);
    // The corner is not moved.
    const auto shift = first_positions(maps, small);
    gather(m, shift, out, threads, [&](int64_t n, float* sums, const float* k) {
        sum_rows(up.line(n), m.positions, m.channels, k, k, sums);
    });
}

template <class T>
void normalise_joined(const T* skip, const T* maps, const float* skip_stats, const float* stats,
                      const float* gain, const float* bias, T* out, Maps small,
                      int64_t skip_channels, bool layer, bool three, int threads) {
    const int64_t A = skip_channels, C = small.channels, all = A + C;
    const auto k = coefficients({skip_stats, stats, small.batch, A, all}, gain, bias, layer);
    const Maps m{small.batch, 2 * small.lines, 2 * small.positions, all};
    const Upsampler<T> up(maps, small);
    const Target first{all, 0, three}, second{all, A, three};
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t n = 0; n < m.all(); ++n) {
        const int64_t b = n / m.lines;
        T* to = out + n * m.positions * first.stride();
        affine_line(skip + n * m.positions * 2 * A, 1, A, to, first, m.positions, k, b);
        affine_line(up.line(n), 1, C, to, second, m.positions, k, b);
    }
}

}  // namespace

#define CPLXSEP_EXPORT(T, NAME)                                                                    \
    extern "C" void statistics_##NAME(const T* maps, float* out, int64_t B, int64_t H, int64_t P,  \
                                      int64_t C, int threads) {                                    \
        statistics(maps, out, Maps{B, H, P, C}, threads);                                          \
    }                                                                                              \
    extern "C" void add_##NAME(T* maps, const T* more, float* out, int64_t B, int64_t H,           \
                               int64_t P, int64_t C, int64_t three, int threads) {                 \
        add(maps, more, out, Maps{B, H, P, C}, three != 0, threads);                               \
    }                                                                                              \
    extern "C" void products_##NAME(const T* three, T* maps, float* out, int64_t B, int64_t H,     \
                                    int64_t P, int64_t C, int threads) {                           \
        products(three, maps, out, Maps{B, H, P, C}, threads);                                     \
    }                                                                                              \
    extern "C" void normalise_##NAME(const T* maps, const float* stats, const float* gain,         \
                                     const float* bias, T* out, int64_t B, int64_t H, int64_t P,   \
                                     int64_t C, int64_t layer, int64_t stride, int64_t three,      \
                                     int threads) {                                                \
        normalise(maps, stats, gain, bias, out, Maps{B, H, P, C}, layer != 0, stride, three != 0,  \
                  threads);                                                                        \
    }                                                                                              \
    extern "C" void upsampled_statistics_##NAME(const T* maps, float* out, int64_t B, int64_t H,   \
                                                int64_t P, int64_t C, int threads) {               \
        upsampled_statistics(maps, out, Maps{B, H, P, C}, threads);                                \
    }                                                                                              \
    extern "C" void normalise_joined_##NAME(                                                       \
        const T* skip, const T* maps, const float* skip_stats, const float* stats,                 \
        const float* gain, const float* bias, T* out, int64_t B, int64_t H, int64_t P, int64_t C,  \
        int64_t skip_channels, int64_t layer, int64_t three, int threads) {                        \
        normalise_joined(skip, maps, skip_stats, stats, gain, bias, out, Maps{B, H, P, C},         \
                         skip_channels, layer != 0, three != 0, threads);                          \
    }

CPLXSEP_EXPORT(float, float)
CPLXSEP_EXPORT(bf16, bf16)
