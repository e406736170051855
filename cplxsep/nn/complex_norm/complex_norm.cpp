// The complex layer norm and its gradient, for channels-last maps on a CPU.
//
// Maps are rows [batch][positions][2 * channels], real halves first, float or bfloat16; statistics
// and parameters are float. What is computed is stated in statement.py, its oracle in the
// tests.
//
// Forward and backward are two sweeps over an example each. Examples are taken a few at a time, so
// that the second sweep finds them in the cache.

#include "complex_norm/folds.hpp"
#include "complex_norm/tiles.hpp"
#include "complex_norm/whitening.hpp"

namespace {

// `value` where `test` is positive, else zero.
template <class F>
inline F where_positive(F test, F value) {
    using I = decltype(test > 0);
    return (F)((I)value & (test > 0));
}

// Statistics [5][batch][channels] of some examples.
template <class T>
void statistics(const T* rows, float* out, const Shape& s, Few few, int threads) {
    const int64_t C = s.channels, plane = s.batch * C;
    // Sums about the first row keep their precision under a large mean.
    std::vector<float> shift(few.count * s.row()), partial(few.count * s.tiles() * 5 * C);
    for (int64_t n = 0; n < few.count; ++n)
        convert(rows + (few.begin + n) * s.example(), s.row(), shift.data() + n * s.row());
    over_tiles(s, few, threads, [&](int64_t b, int64_t first, int64_t count, int64_t tile) {
        const T* from = rows + b * s.example();
        sum_rows(from + first * s.row(), count, C, shift.data() + (b - few.begin) * s.row(), from,
                 partial.data() + tile * 5 * C);
    });
    for (int64_t n = 0; n < few.count; ++n)
        about_mean(total<5>(s, partial, n), static_cast<double>(s.positions),
                   shift.data() + n * s.row(), C, out + (few.begin + n) * C, plane);
}

struct Options {
    bool layer, relu;
    int threads;
};

template <class T>
void forward(const T* rows, const float* gain, const float* bias, T* out, float* stats, Shape s,
             Options o) {
    const int64_t C = s.channels, most = s.at_once(sizeof(T), o.threads);
    Coefficients k(s.batch, C);
    for (int64_t begin = 0; begin < s.batch; begin += most) {
        const Few few{begin, std::min(most, s.batch - begin)};
        statistics(rows, stats, s, few, o.threads);
        for (int64_t b = begin; b < begin + few.count; ++b)
            set_example(k, {stats, stats, s.batch, C, C}, b, gain, bias, o.layer);
        over_tiles(s, few, o.threads, [&](int64_t b, int64_t first, int64_t count, int64_t) {
            const int64_t example = b * s.example(), at = example + first * s.row();
            over_lanes(C, [&](auto lanes, int64_t c) {
                using F = typename decltype(lanes)::F;
                const Affine m(lanes, k.example(b) + c, C);
                over_rows(lanes, count, rows + at + c, (const T*)nullptr, out + at + c,
                          rows + example + c,
                          [&](auto, const T* from, const T*, T* to) __attribute__((always_inline)) {
                              F r, i;
                              lanes.read(from, r, i);
                              F out_r = m.real(r, i), out_i = m.imag(r, i);
                              if (o.relu) {
                                  out_r = rectified(out_r);
                                  out_i = rectified(out_i);
                              }
                              lanes.write(to, out_r, out_i);
                          });
            });
        });
    }
}

// Gradients [3][channels] and [2][channels] for gain and bias, to which examples add theirs.
struct Gradients {
    std::vector<double> gain, bias;
};

// What comes to an example's rows through the statistics: [5][channels] of coefficients, so that
// r gets b0 r + b1 i + b3 and i gets b1 r + b2 i + b4. `sums` are of g_r, g_i and of g_r r, g_r i,
// g_i r, g_i i about the channel's mean.
std::vector<float> through_statistics(const std::vector<double>& sums, const Statistics& stats,
                                      int64_t b, const float* gain, int64_t positions, bool layer,
                                      Gradients& into) {
    const int64_t C = stats.channels;
    std::vector<double> found(5 * C);
    std::vector<Pooled> used;
    for (int64_t c = 0; !layer && c < C; ++c) used.emplace_back(stats, b, c);
    if (layer) used.assign(C, Pooled(stats, b));
    for (int64_t c = 0; c < C; ++c) {
        const double* v = used[c].values;
        const Whitening w(v[2], v[3], v[4]);
        const double g_r = sums[c], g_i = sums[C + c];
        const double r = stats.at(0, b, c) - v[0], i = stats.at(1, b, c) - v[1];
        const double o[4] = {sums[2 * C + c] + g_r * r, sums[3 * C + c] + g_r * i,
                             sums[4 * C + c] + g_i * r, sums[5 * C + c] + g_i * i};
        const double rr = gain[c], ri = gain[C + c], ii = gain[2 * C + c];
        into.bias[c] += g_r;
        into.bias[C + c] += g_i;
        into.gain[c] += o[0] * w.rr + o[1] * w.ri;
        into.gain[C + c] += o[0] * w.ri + o[1] * w.ii + o[2] * w.rr + o[3] * w.ri;
        into.gain[2 * C + c] += o[2] * w.ri + o[3] * w.ii;
        // For the whitening matrix, gain^T o; it is symmetric, and so has one gradient for both
        // of its corners.
        w.backward(rr * o[0] + ri * o[2], rr * o[1] + ri * o[3] + ri * o[0] + ii * o[2],
                   ri * o[1] + ii * o[3], found.data() + c, C);
        const double m[4] = {rr * w.rr + ri * w.ri, rr * w.ri + ri * w.ii,
                             ri * w.rr + ii * w.ri, ri * w.ri + ii * w.ii};
        found[3 * C + c] = -(m[0] * g_r + m[2] * g_i);
        found[4 * C + c] = -(m[1] * g_r + m[3] * g_i);
    }
    // Shared statistics collect the gradient of all channels and give each its share.
    for (int n = 0; layer && n < 5; ++n) {
        double sum = 0;
        for (int64_t c = 0; c < C; ++c) sum += found[n * C + c];
        std::fill_n(found.begin() + n * C, C, sum / C);
    }
    std::vector<float> back(5 * C);
    for (int64_t c = 0; c < C; ++c) {
        const double r = used[c].values[0], i = used[c].values[1];
        const double d_rr = 2 * found[c], d_ri = found[C + c], d_ii = 2 * found[2 * C + c];
        const double to[5] = {d_rr, d_ri, d_ii, found[3 * C + c] - d_rr * r - d_ri * i,
                              found[4 * C + c] - d_ri * r - d_ii * i};
        for (int n = 0; n < 5; ++n) back[n * C + c] = static_cast<float>(to[n] / positions);
    }
    return back;
}

template <class T>
void backward(const T* rows, const T* grad, const float* stats, const float* gain,
              const float* bias, T* out, float* into_gain, float* into_bias, Shape s, Options o) {
    const int64_t C = s.channels, most = s.at_once(3 * sizeof(T), o.threads);
    const Statistics all{stats, stats, s.batch, C, C};
    const Coefficients k = coefficients(all, gain, bias, o.layer);
    Gradients into{std::vector<double>(3 * C), std::vector<double>(2 * C)};
    // The gradient before the ReLU, of W lanes.
    const auto gradient = [&](const auto& lanes, const auto& m, const T* at, auto r, auto i,
                              auto& g, auto& h) __attribute__((always_inline)) {
        lanes.read(at, g, h);
        if (o.relu) {
            g = where_positive(m.real(r, i), g);
            h = where_positive(m.imag(r, i), h);
        }
    };
    for (int64_t begin = 0; begin < s.batch; begin += most) {
        const Few few{begin, std::min(most, s.batch - begin)};
        std::vector<float> partial(few.count * s.tiles() * 6 * C);
        over_tiles(s, few, o.threads, [&](int64_t b, int64_t first, int64_t count, int64_t tile) {
            const int64_t example = b * s.example(), at = example + first * s.row();
            over_lanes(C, [&](auto lanes, int64_t c) {
                using F = typename decltype(lanes)::F;
                const Affine m(lanes, k.example(b) + c, C);
                const float* mean = stats + b * C + c;
                const F mean_r = lanes.values(mean), mean_i = lanes.values(mean + s.batch * C);
                F sums[2][6] = {};
                over_rows(lanes, count, rows + at + c, grad + at + c, (T*)nullptr,
                          rows + example + c,
                          [&](auto turn, const T* from, const T* from_grad, T*)
                              __attribute__((always_inline)) {
                                  F r, i, g, h, *sum = sums[turn];
                                  lanes.read(from, r, i);
                                  gradient(lanes, m, from_grad, r, i, g, h);
                                  r -= mean_r;
                                  i -= mean_i;
                                  sum[0] += g;
                                  sum[1] += h;
                                  sum[2] += g * r;
                                  sum[3] += g * i;
                                  sum[4] += h * r;
                                  sum[5] += h * i;
                              });
                float* to = partial.data() + tile * 6 * C + c;
                for (int n = 0; n < 6; ++n) lanes.write_sum(to + n * C, sums[0][n] + sums[1][n]);
            });
        });
        std::vector<std::vector<float>> back;
        for (int64_t n = 0; n < few.count; ++n)
            back.push_back(through_statistics(total<6>(s, partial, n), all, begin + n, gain,
                                              s.positions, o.layer, into));
        over_tiles(s, few, o.threads, [&](int64_t b, int64_t first, int64_t count, int64_t) {
            const int64_t example = b * s.example(), at = example + first * s.row();
            over_lanes(C, [&](auto lanes, int64_t c) {
                using F = typename decltype(lanes)::F;
                const Affine m(lanes, k.example(b) + c, C);
                const float* d = back[b - begin].data() + c;
                const F d_rr = lanes.values(d), d_ri = lanes.values(d + C),
                        d_ii = lanes.values(d + 2 * C), d_r = lanes.values(d + 3 * C),
                        d_i = lanes.values(d + 4 * C);
                over_rows(lanes, count, rows + at + c, grad + at + c, out + at + c,
                          rows + example + c,
                          [&](auto, const T* from, const T* from_grad, T* to)
                              __attribute__((always_inline)) {
                                  F r, i, g, h;
                                  lanes.read(from, r, i);
                                  gradient(lanes, m, from_grad, r, i, g, h);
                                  lanes.write(to,
                                              m.a * g + m.c * h + d_rr * r + d_ri * i + d_r,
                                              m.b * g + m.d * h + d_ri * r + d_ii * i + d_i);
                              });
            });
        });
    }
    std::copy(into.gain.begin(), into.gain.end(), into_gain);
    std::copy(into.bias.begin(), into.bias.end(), into_bias);
}

}  // namespace

#define CPLXSEP_EXPORT(T, NAME)                                                                    \
    extern "C" void statistics_##NAME(const T* rows, float* stats, int64_t B, int64_t P,           \
                                      int64_t C, int threads) {                                    \
        statistics(rows, stats, Shape{B, P, C}, Few{0, B}, threads);                               \
    }                                                                                              \
    extern "C" void forward_##NAME(const T* rows, const float* gain, const float* bias, T* out,    \
                                   float* stats, int64_t B, int64_t P, int64_t C, int64_t layer,   \
                                   int64_t relu, int threads) {                                    \
        forward(rows, gain, bias, out, stats, Shape{B, P, C},                                      \
                Options{layer != 0, relu != 0, threads});                                          \
    }                                                                                              \
    extern "C" void backward_##NAME(const T* rows, const T* grad, const float* stats,              \
                                    const float* gain, const float* bias, T* out,                  \
                                    float* into_gain, float* into_bias, int64_t B, int64_t P,      \
                                    int64_t C, int64_t layer, int64_t relu, int threads) {         \
        backward(rows, grad, stats, gain, bias, out, into_gain, into_bias, Shape{B, P, C},         \
                 Options{layer != 0, relu != 0, threads});                                         \
    }

CPLXSEP_EXPORT(float, float)
CPLXSEP_EXPORT(bf16, bf16)
