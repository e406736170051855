// Layer norm of one row of channels, which training and the inference form share.

#pragma once

#include <algorithm>
#include <cmath>

#include "native/lanes.hpp"

namespace {

constexpr float ROW_EPS = 1e-5f;  // on the variance, as in cplxsep/nn/position_norm/statement.py

// Calls body<W>() with the widest vectors that divide the channels.
template <class Body>
void by_width(int64_t C, const Body& body) {
    if (C % LANES == 0) return body.template operator()<LANES>();
    if (C % 4 == 0) return body.template operator()<4>();
    body.template operator()<1>();
}

template <int W>
inline float total(typename Vector<W>::f value) {
    float sum = 0;
    for (int j = 0; j < W; ++j) sum += value[j];
    return sum;
}

#ifdef __AVX512F__
template <>
inline float total<16>(Vector<16>::f value) {
    return _mm512_reduce_add_ps((__m512)value);
}
#endif

// Mean of a row, and the factor that brings it to unit variance.
template <int W>
struct Moments {
    float mean, scale;

    template <class T>
    Moments(const T* row, int64_t C) {
        using F = typename Vector<W>::f;
        F sum = {}, square = {};
        for (int64_t c = 0; c < C; c += W) sum += load<W>(row + c);
        mean = total<W>(sum) / C;
        for (int64_t c = 0; c < C; c += W) {
            const F x = load<W>(row + c) - mean;
            square += x * x;
        }
        scale = 1 / std::sqrt(total<W>(square) / C + ROW_EPS);
    }

    template <class T>
    typename Vector<W>::f whitened(const T* from) const {
        return (load<W>(from) - mean) * scale;
    }
};

// Of COUNT vectors, which stay in registers.
template <int W, int COUNT, class T, class U>
__attribute__((noinline)) void normed_vectors(const T* row, const float* gain, const float* bias,
                                              U* out) {
    using F = typename Vector<W>::f;
    constexpr float share = 1.0f / (COUNT * W);
    F x[COUNT], sum[2] = {}, square[2] = {};
#pragma GCC unroll 16
    for (int j = 0; j < COUNT; ++j) sum[j % 2] += x[j] = load<W>(row + j * W);
    const float mean = total<W>(sum[0] + sum[1]) * share;
#pragma GCC unroll 16
    for (int j = 0; j < COUNT; ++j) {
        x[j] -= mean;
        square[j % 2] += x[j] * x[j];
    }
    const float scale = 1 / std::sqrt(total<W>(square[0] + square[1]) * share + ROW_EPS);
#pragma GCC unroll 16
    for (int j = 0; j < COUNT; ++j)
        x[j] = x[j] * (scale * load<W>(gain + j * W)) + load<W>(bias + j * W);
#pragma GCC unroll 16
    for (int j = 0; j < COUNT; j += 2) store_two<W>(out + j * W, x[j], x[j + 1]);
}

template <int W, class T, class U>
inline void normed(const T* row, const float* gain, const float* bias, U* out, int64_t C) {
    switch (C / W) {  // of which usual numbers take two thirds of the time
        case 2: return normed_vectors<W, 2>(row, gain, bias, out);
        case 4: return normed_vectors<W, 4>(row, gain, bias, out);
        case 6: return normed_vectors<W, 6>(row, gain, bias, out);
        case 8: return normed_vectors<W, 8>(row, gain, bias, out);
        case 12: return normed_vectors<W, 12>(row, gain, bias, out);
    }
    const Moments<W> m(row, C);
    for (int64_t c = 0; c < C; c += W)
        store<W>(out + c, m.whitened(row + c) * load<W>(gain + c) + load<W>(bias + c));
}

// As `norm_back`, of COUNT vectors, which stay in registers.
template <int W, int COUNT, class T, class G>
__attribute__((noinline)) void norm_back_vectors(const T* row, const float* gain, const T* through,
                                                 const G* grad, T* into, float* of_gain,
                                                 float* of_bias) {
    using F = typename Vector<W>::f;
    constexpr float share = 1.0f / (COUNT * W);
    F x[COUNT], g[COUNT], sum = {}, square = {}, of_mean = {}, along = {};
#pragma GCC unroll 16
    for (int j = 0; j < COUNT; ++j) {
        sum += x[j] = load<W>(row + j * W);
        const F given = load<W>(grad + j * W);
        of_mean += g[j] = given * load<W>(gain + j * W);
        store<W>(of_bias + j * W, load<W>(of_bias + j * W) + given);
    }
    const float mean = total<W>(sum) * share, taken = total<W>(of_mean) * share;
#pragma GCC unroll 16
    for (int j = 0; j < COUNT; ++j) {
        x[j] -= mean;
        square += x[j] * x[j];
        along += g[j] * x[j];
    }
    const float scale = 1 / std::sqrt(total<W>(square) * share + ROW_EPS);
    const float turned = total<W>(along) * share * scale * scale;
#pragma GCC unroll 16
    for (int j = 0; j < COUNT; ++j) {
        const F given = load<W>(grad + j * W) * scale;
        store<W>(of_gain + j * W, load<W>(of_gain + j * W) + given * x[j]);
        g[j] = scale * (g[j] - taken - x[j] * turned);
        if (through) g[j] += load<W>(through + j * W);
    }
#pragma GCC unroll 16
    for (int j = 0; j < COUNT; j += 2) store_two<W>(into + j * W, g[j], g[j + 1]);
}

// The gradient of a row from that of its norm, and `through`, what comes by the residual sum; it may
// be null. Adds to the gradients of gain and bias.
template <int W, class T, class G>
inline void norm_back(const T* row, const float* gain, const T* through, const G* grad, T* into,
                      float* of_gain, float* of_bias, int64_t C) {
    using F = typename Vector<W>::f;
    switch (C / W) {
        case 2: return norm_back_vectors<W, 2>(row, gain, through, grad, into, of_gain, of_bias);
        case 4: return norm_back_vectors<W, 4>(row, gain, through, grad, into, of_gain, of_bias);
        case 6: return norm_back_vectors<W, 6>(row, gain, through, grad, into, of_gain, of_bias);
        case 8: return norm_back_vectors<W, 8>(row, gain, through, grad, into, of_gain, of_bias);
        case 12: return norm_back_vectors<W, 12>(row, gain, through, grad, into, of_gain, of_bias);
    }
    const Moments<W> m(row, C);
    F sum = {}, product = {};
    for (int64_t c = 0; c < C; c += W) {
        const F g = load<W>(grad + c) * load<W>(gain + c);
        sum += g;
        product += g * m.whitened(row + c);
    }
    const float mean = total<W>(sum) / C, along = total<W>(product) / C;
    for (int64_t c = 0; c < C; c += W) {
        const F given = load<W>(grad + c), x = m.whitened(row + c);
        F out = m.scale * (given * load<W>(gain + c) - mean - x * along);
        if (through) out += load<W>(through + c);
        store<W>(into + c, out);
        store<W>(of_gain + c, load<W>(of_gain + c) + given * x);
        store<W>(of_bias + c, load<W>(of_bias + c) + given);
    }
}

}  // namespace
