// Exponential and logistic function of vectors of float lanes, exact to a few units in the last
// place.

#pragma once

#include "native/lanes.hpp"

namespace {

// e^x, for x from -87 to 88; beyond, the value at that bound.
template <int W>
inline typename Vector<W>::f exponential(typename Vector<W>::f x) {
    using F = typename Vector<W>::f;
    using I = typename Vector<W>::i;
    x = x < -87.0f ? F{} - 87.0f : x;
    x = x > 88.0f ? F{} + 88.0f : x;
    // x = n ln 2 + r, |r| <= ln 2 / 2; adding the large number rounds to whole ones.
    const F shifted = x * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f;
    const F r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    F p = r * 1.9875691500e-4f + 1.3981999507e-3f;  // Cephes' polynomial
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return (F)((I)p + ((I)shifted << 23));
}

// 1 / (1 + e^-x).
template <int W>
inline typename Vector<W>::f logistic(typename Vector<W>::f x) {
#ifdef __AVX512F__
    if constexpr (W == 16) {
        using F = Vector<16>::f;
        // In two thirds of the instructions that compilers make of what is below: bounds in one
        // each, under which NaN stays NaN; e^-x by a polynomial of degree 5 (to 1.1e-7); in place
        // of a division, as long as four of them, an estimate of 14 bits and a step of Newton.
        x = (F)_mm512_max_ps(_mm512_set1_ps(-87.0f), (__m512)x);
        x = (F)_mm512_min_ps(_mm512_set1_ps(87.0f), (__m512)x);
        const F shifted = x * -1.44269504f + 12582912.0f, n = shifted - 12582912.0f;
        const F r = (-x - n * 0.693359375f) + n * 2.12194440e-4f;
        F p = r * 0.0083125224f + 0.041890148f;
        p = p * r + 0.16667114f;
        p = p * r + 0.49999231f;
        p = p * r + 1.0f;
        p = p * r + 1.0f;
        const F below = 1.0f + (F)_mm512_scalef_ps((__m512)p, (__m512)n);
        const F guess = (F)_mm512_rcp14_ps((__m512)below);
        return guess * (2.0f - below * guess);
    }
#endif
    return 1.0f / (1.0f + exponential<W>(-x));
}

}  // namespace
