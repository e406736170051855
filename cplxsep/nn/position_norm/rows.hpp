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

}  // namespace
