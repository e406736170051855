// Values in whole steps, as the bytes that a CPU multiplies four at once (VNNI).
//
// On the left side a byte b stands for b - 128 steps, in a matrix for itself with its sign: that is
// what the instruction takes. Sums are whole numbers, so that they are exact in any order.

#pragma once

#include "native/lanes.hpp"

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#include <immintrin.h>
#define CPLXSEP_BYTES
#endif

namespace {

struct byte {
    uint8_t bits = 128;
};

// Steps from zero to the largest value.
constexpr float MOST = 127.0f;

#ifdef CPLXSEP_BYTES
// Values in steps, rounded to whole ones.
template <int W>
inline void store(byte* to, typename Vector<W>::f value) {
    using F = typename Vector<W>::f;
    value = value < -MOST ? F{} - MOST : value;
    value = value > MOST ? F{} + MOST : value;
    // Adding the large number rounds; its last byte is the sum's.
    const auto sum = (typename Vector<W>::u)(value + (12582912.0f + 128.0f));
    using Bytes = typename Vector<W>::b;
    *reinterpret_cast<Bytes*>(to) = __builtin_convertvector(sum & 255, Bytes);
}

// Four bytes in each of W whole numbers.
template <int W>
inline typename Vector<W>::i load(const byte* from) {
    return *reinterpret_cast<const typename Vector<W>::i*>(from);
}

// sums + the products of four bytes of the left side with four of each column.
template <int W>
inline typename Vector<W>::i fours(typename Vector<W>::i sums, int32_t left,
                                   typename Vector<W>::i columns) {
#ifdef __AVX512VNNI__
    static_assert(W == 16);
    return (typename Vector<W>::i)_mm512_dpbusd_epi32((__m512i)sums, _mm512_set1_epi32(left),
                                                      (__m512i)columns);
#else
    static_assert(W == 8);
    return (typename Vector<W>::i)_mm256_dpbusd_avx_epi32((__m256i)sums, _mm256_set1_epi32(left),
                                                          (__m256i)columns);
#endif
}

// A row of K values as bytes; the size of a step.
template <int W>
inline float in_steps(const float* row, byte* to, int64_t K) {
    using F = typename Vector<W>::f;
    F most = {};
    for (int64_t k = 0; k < K; k += W) {
        const F x = load<W>(row + k), size = x < 0 ? -x : x;
        most = size > most ? size : most;
    }
    float largest = 0;
    for (int j = 0; j < W; ++j) largest = std::max(largest, most[j]);
    const float inverse = largest > 0 ? MOST / largest : 0;
    for (int64_t k = 0; k < K; k += W) store<W>(to + k, load<W>(row + k) * inverse);
    return largest / MOST;
}
#endif

}  // namespace
