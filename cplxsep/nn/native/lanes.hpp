// Vectors of W float lanes over memory of float or bfloat16, and what all code does with them.

#pragma once

#include <cstdint>
#include <cstring>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

struct bf16 {
    uint16_t bits;
};

// Of the widest vector that the machine has: compilers keep what is wider in memory.
#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

// They lie at any place, among values of any type. GCC copies one of 32 bytes by memcpy in two
// halves and through memory, which makes a product ten times as slow; and as the argument of a
// template it would forget what these types are allowed.
template <int W>
struct Vector {
    typedef float f __attribute__((vector_size(4 * W), aligned(4), may_alias));
    typedef uint32_t u __attribute__((vector_size(4 * W), aligned(4), may_alias));
    typedef int32_t i __attribute__((vector_size(4 * W), aligned(4), may_alias));
    typedef uint16_t h __attribute__((vector_size(2 * W), aligned(2), may_alias));
    typedef uint8_t b __attribute__((vector_size(W), aligned(1), may_alias));
};

template <int W>
inline typename Vector<W>::f load(const float* from) {
    return *reinterpret_cast<const typename Vector<W>::f*>(from);
}

template <int W>
inline typename Vector<W>::f load(const bf16* from) {
    const auto half = *reinterpret_cast<const typename Vector<W>::h*>(from);
    const typename Vector<W>::u wide = __builtin_convertvector(half, typename Vector<W>::u) << 16;
    return (typename Vector<W>::f)wide;
}

template <int W>
inline void store(float* to, typename Vector<W>::f value) {
    *reinterpret_cast<typename Vector<W>::f*>(to) = value;
}

template <int W>
inline void store(bf16* to, typename Vector<W>::f value) {
    typename Vector<W>::u bits = (typename Vector<W>::u)value;
    bits += 0x7fff + ((bits >> 16) & 1);  // round to nearest even
    using Half = typename Vector<W>::h;
    *reinterpret_cast<Half*>(to) = __builtin_convertvector(bits >> 16, Half);
}

#ifdef __AVX512F__
// The same in two instructions: compilers take twice as many.
template <>
inline Vector<16>::f load<16>(const bf16* from) {
    __m256i half;
    std::memcpy(&half, from, sizeof half);
    return (Vector<16>::f)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
}
#endif

#ifdef __AVX512BF16__
// The same rounding in one instruction; it takes values below 2^-126 for 0.
template <>
inline void store<16>(bf16* to, typename Vector<16>::f value) {
    const __m512 wide = (__m512)value;
    const __m256bh half = _mm512_cvtneps_pbh(wide);
    std::memcpy(to, &half, sizeof half);
}
#endif

// Two vectors, one after the other.
template <int W, class T>
inline void store_two(T* to, typename Vector<W>::f first, typename Vector<W>::f second) {
#ifdef __AVX512BF16__
    if constexpr (W == 16 && sizeof(T) == 2) {  // in one rounding, as long as that of one
        const __m512bh both = _mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
        std::memcpy(to, &both, sizeof both);
        return;
    }
#endif
    store<W>(to, first);
    store<W>(to + W, second);
}

// ReLU under which NaN stays NaN: a bad step must be seen, not rectified away.
template <class F>
inline F rectified(F value) {
    const auto mask = value < 0;
    return (F)((decltype(mask))value & ~mask);
}

// Call body<W>(first channel) for all channels. The last step may overlap the one before, so a
// body must not read what it writes.
template <class Body>
void over_channels(int64_t C, const Body& body) {
    const auto steps = [&]<int W>() {
        for (int64_t c = 0; c + W <= C; c += W) body.template operator()<W>(c);
        if (C % W) body.template operator()<W>(C - W);
    };
    if (C >= LANES) return steps.template operator()<LANES>();
    if (C >= 8) return steps.template operator()<8>();
    if (C >= 4) return steps.template operator()<4>();
    steps.template operator()<1>();
}

// Copies `count` values from one type to another.
template <class From, class To>
void convert(const From* from, int64_t count, To* to) {
    int64_t j = 0;
    for (; j + LANES <= count; j += LANES) store<LANES>(to + j, load<LANES>(from + j));
    for (; j + 4 <= count; j += 4) store<4>(to + j, load<4>(from + j));
    for (; j < count; ++j) store<1>(to + j, load<1>(from + j));
}

}  // namespace
