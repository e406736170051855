// The four passes over memory of the complex layer norm, for channels-last maps on a CPU.
//
// Maps are rows [batch][positions][2 * channels], real halves first, float or bfloat16; sums and
// coefficients are float. What each pass computes is stated in Python beside the eager form
// (cplxsep/nn/passes.py), which is also its oracle in the tests.
//
// Work is cut into tiles of fixed size whose partial sums are added in a fixed order, so results
// do not depend on the number of threads.

#include <vector>

#include "lanes.hpp"

namespace {

constexpr int64_t TILE = 512;  // rows; a tile of 64 channels in bfloat16 stays in the L2 cache

// `value` where `test` is positive, else zero.
template <int W>
inline typename Vector<W>::f where_positive(typename Vector<W>::f test, typename Vector<W>::f value) {
    const typename Vector<W>::i mask = test > 0;
    return (typename Vector<W>::f)((typename Vector<W>::i)value & mask);
}

struct Shape {
    int64_t batch, positions, channels;
    int64_t tiles() const { return (positions + TILE - 1) / TILE; }
};

// Sums of one tile for W channels, written to sums[k * channels + c].
template <int W, class T>
void moments_tile(const T* rows, int64_t count, int64_t C, const float* shift, int64_t stride,
                  float* sums) {
    typename Vector<W>::f sr = {}, si = {}, rr = {}, ri = {}, ii = {};
    const auto kr = load<W>(shift), ki = load<W>(shift + stride);
    for (int64_t n = 0; n < count; ++n, rows += 2 * C) {
        const auto r = load<W>(rows) - kr, i = load<W>(rows + C) - ki;
        sr += r;
        si += i;
        rr += r * r;
        ri += r * i;
        ii += i * i;
    }
    store<W>(sums, sr);
    store<W>(sums + C, si);
    store<W>(sums + 2 * C, rr);
    store<W>(sums + 3 * C, ri);
    store<W>(sums + 4 * C, ii);
}

template <int W, class T>
void apply_tile(const T* rows, T* out, int64_t count, int64_t C, const Affine<W>& k, bool relu) {
    for (int64_t n = 0; n < count; ++n, rows += 2 * C, out += 2 * C) {
        const auto r = load<W>(rows), i = load<W>(rows + C);
        auto out_r = k.a * r + k.b * i + k.p, out_i = k.c * r + k.d * i + k.q;
        if (relu) {
            out_r = rectified<W>(out_r);
            out_i = rectified<W>(out_i);
        }
        store<W>(out, out_r);
        store<W>(out + C, out_i);
    }
}

template <int W, class T>
void grad_sums_tile(const T* rows, const T* grad, int64_t count, int64_t C, const Affine<W>& k,
                    bool relu, const float* shift, int64_t stride, float* sums) {
    typename Vector<W>::f gr = {}, gi = {}, rr = {}, ri = {}, ir = {}, ii = {};
    const auto kr = load<W>(shift), ki = load<W>(shift + stride);
    for (int64_t n = 0; n < count; ++n, rows += 2 * C, grad += 2 * C) {
        const auto r = load<W>(rows), i = load<W>(rows + C);
        auto g = load<W>(grad), h = load<W>(grad + C);
        if (relu) {
            g = where_positive<W>(k.a * r + k.b * i + k.p, g);
            h = where_positive<W>(k.c * r + k.d * i + k.q, h);
        }
        const auto cr = r - kr, ci = i - ki;
        gr += g;
        gi += h;
        rr += g * cr;
        ri += g * ci;
        ir += h * cr;
        ii += h * ci;
    }
    store<W>(sums, gr);
    store<W>(sums + C, gi);
    store<W>(sums + 2 * C, rr);
    store<W>(sums + 3 * C, ri);
    store<W>(sums + 4 * C, ir);
    store<W>(sums + 5 * C, ii);
}

template <int W, class T>
void grad_input_tile(const T* rows, const T* grad, T* out, int64_t count, int64_t C,
                     const Affine<W>& k, bool relu, const float* back, int64_t stride) {
    const auto d_rr = load<W>(back), d_ri = load<W>(back + stride);
    const auto d_ii = load<W>(back + 2 * stride);
    const auto d_r = load<W>(back + 3 * stride), d_i = load<W>(back + 4 * stride);
    for (int64_t n = 0; n < count; ++n, rows += 2 * C, grad += 2 * C, out += 2 * C) {
        const auto r = load<W>(rows), i = load<W>(rows + C);
        auto g = load<W>(grad), h = load<W>(grad + C);
        if (relu) {
            g = where_positive<W>(k.a * r + k.b * i + k.p, g);
            h = where_positive<W>(k.c * r + k.d * i + k.q, h);
        }
        store<W>(out, k.a * g + k.c * h + d_rr * r + d_ri * i + d_r);
        store<W>(out + C, k.b * g + k.d * h + d_ri * r + d_ii * i + d_i);
    }
}

// Call body<W>(first channel) for all channels in the widest steps that fit.
template <class Body>
void over_channels(int64_t C, const Body& body) {
    int64_t c = 0;
    for (; c + 16 <= C; c += 16) body.template operator()<16>(c);
    for (; c + 8 <= C; c += 8) body.template operator()<8>(c);
    for (; c + 4 <= C; c += 4) body.template operator()<4>(c);
    for (; c < C; ++c) body.template operator()<1>(c);
}

// Call body(batch index, first row, rows, tile index) for every tile, in parallel.
template <class Body>
void over_tiles(const Shape& s, int threads, const Body& body) {
    const int64_t tiles = s.tiles(), all = s.batch * tiles;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t n = 0; n < all; ++n) {
        const int64_t first = (n % tiles) * TILE;
        const int64_t count = s.positions - first < TILE ? s.positions - first : TILE;
        body(n / tiles, first, count, n);
    }
}

// sums[k][b][c] = sum over the tiles of partial[b][tile][k][c].
void reduce(const Shape& s, int kinds, const std::vector<float>& partial, float* sums) {
    const int64_t tiles = s.tiles(), C = s.channels, plane = s.batch * C;
    for (int64_t b = 0; b < s.batch; ++b)
        for (int k = 0; k < kinds; ++k) {
            float* to = sums + k * plane + b * C;
            std::memset(to, 0, C * sizeof(float));
            for (int64_t t = 0; t < tiles; ++t) {
                const float* from = partial.data() + ((b * tiles + t) * kinds + k) * C;
                for (int64_t c = 0; c < C; ++c) to[c] += from[c];
            }
        }
}

template <class T>
void moments(const T* rows, const float* shift, float* sums, Shape s, int threads) {
    const int64_t C = s.channels, plane = s.batch * C;
    std::vector<float> partial(s.batch * s.tiles() * 5 * C);
    over_tiles(s, threads, [&](int64_t b, int64_t first, int64_t count, int64_t tile) {
        const T* from = rows + (b * s.positions + first) * 2 * C;
        over_channels(C, [&]<int W>(int64_t c) {
            moments_tile<W>(from + c, count, C, shift + b * C + c, plane,
                            partial.data() + tile * 5 * C + c);
        });
    });
    reduce(s, 5, partial, sums);
}

template <class T>
void apply(const T* rows, const float* matrix, const float* offset, T* out, Shape s, bool relu,
           int threads) {
    const int64_t C = s.channels, plane = s.batch * C;
    over_tiles(s, threads, [&](int64_t b, int64_t first, int64_t count, int64_t) {
        const int64_t at = (b * s.positions + first) * 2 * C;
        over_channels(C, [&]<int W>(int64_t c) {
            apply_tile<W>(rows + at + c, out + at + c, count, C,
                          Affine<W>(matrix, offset, plane, b * C + c), relu);
        });
    });
}

template <class T>
void grad_sums(const T* rows, const T* grad, const float* matrix, const float* offset,
               const float* shift, float* sums, Shape s, bool relu, int threads) {
    const int64_t C = s.channels, plane = s.batch * C;
    std::vector<float> partial(s.batch * s.tiles() * 6 * C);
    over_tiles(s, threads, [&](int64_t b, int64_t first, int64_t count, int64_t tile) {
        const int64_t at = (b * s.positions + first) * 2 * C;
        over_channels(C, [&]<int W>(int64_t c) {
            grad_sums_tile<W>(rows + at + c, grad + at + c, count, C,
                              Affine<W>(matrix, offset, plane, b * C + c), relu, shift + b * C + c,
                              plane, partial.data() + tile * 6 * C + c);
        });
    });
    reduce(s, 6, partial, sums);
}

template <class T>
void grad_input(const T* rows, const T* grad, const float* matrix, const float* offset,
                const float* back, T* out, Shape s, bool relu, int threads) {
    const int64_t C = s.channels, plane = s.batch * C;
    over_tiles(s, threads, [&](int64_t b, int64_t first, int64_t count, int64_t) {
        const int64_t at = (b * s.positions + first) * 2 * C;
        over_channels(C, [&]<int W>(int64_t c) {
            grad_input_tile<W>(rows + at + c, grad + at + c, out + at + c, count, C,
                               Affine<W>(matrix, offset, plane, b * C + c), relu,
                               back + b * C + c, plane);
        });
    });
}

}  // namespace

#define CPLXSEP_EXPORT(T, NAME)                                                                    \
    extern "C" void moments_##NAME(const T* rows, const float* shift, float* sums, int64_t B,      \
                                   int64_t P, int64_t C, int threads) {                            \
        moments(rows, shift, sums, Shape{B, P, C}, threads);                                       \
    }                                                                                              \
    extern "C" void apply_##NAME(const T* rows, const float* matrix, const float* offset, T* out,  \
                                 int64_t B, int64_t P, int64_t C, int relu, int threads) {         \
        apply(rows, matrix, offset, out, Shape{B, P, C}, relu != 0, threads);                      \
    }                                                                                              \
    extern "C" void grad_sums_##NAME(const T* rows, const T* grad, const float* matrix,            \
                                     const float* offset, const float* shift, float* sums,         \
                                     int64_t B, int64_t P, int64_t C, int relu, int threads) {     \
        grad_sums(rows, grad, matrix, offset, shift, sums, Shape{B, P, C}, relu != 0, threads);    \
    }                                                                                              \
    extern "C" void grad_input_##NAME(const T* rows, const T* grad, const float* matrix,           \
                                      const float* offset, const float* back, T* out, int64_t B,   \
                                      int64_t P, int64_t C, int relu, int threads) {               \
        grad_input(rows, grad, matrix, offset, back, out, Shape{B, P, C}, relu != 0, threads);     \
    }

CPLXSEP_EXPORT(float, float)
CPLXSEP_EXPORT(bf16, bf16)
