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
    const typename Vector<W>::f below = 1.0f + exponential<W>(-x);
#ifdef __AVX512F__
    if constexpr (W == 16) {
        // An estimate of 14 bits and one step of Newton: a division takes four times as long.
        const typename Vector<W>::f guess = (typename Vector<W>::f)_mm512_rcp14_ps((__m512)below);
        return guess * (2.0f - below * guess);
    }
#endif
    return 1.0f / below;
}

}  // namespace
