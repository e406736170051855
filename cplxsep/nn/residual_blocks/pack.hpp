// Packs matrices by panels.

#pragma once

#include <cmath>
#include <vector>

#include "residual_blocks/panels.hpp"

namespace {

// Calls body(n, k, place) for all values of matrices [N][parts][K] by panels; k counts all parts.
template <class T, class Body>
void each_place(int64_t N, int64_t K, int64_t parts, const Body& body) {
    for (int64_t n = 0; n < N; ++n)
        for (int64_t k = 0; k < parts * K; ++k)
            body(n, k,
                 n / PANEL * panel_size<T>(K, parts) + HEADER<T> +
                     k / K * packed_rows<T>(K) * PANEL + place<T>(k % K, n % PANEL, K));
}

// Packs matrices [N][parts][K] into what is zero so far.
template <class T>
void pack(T* to, const float* matrix, int64_t N, int64_t K, int64_t parts) {
    each_place<T>(N, K, parts, [&](int64_t n, int64_t k, int64_t at) {
        store<1>(to + at, Vector<1>::f{matrix[n * parts * K + k]});
    });
}

#ifdef CPLXSEP_BYTES
// 127 steps are the largest value of a column.
template <>
void pack(byte* to, const float* matrix, int64_t N, int64_t K, int64_t parts) {
    std::vector<float> steps(N);
    std::vector<int32_t> zeros(N);
    for (int64_t n = 0; n < N; ++n) {
        float largest = 0;
        for (int64_t k = 0; k < parts * K; ++k)
            largest = std::max(largest, std::abs(matrix[n * parts * K + k]));
        steps[n] = largest / MOST;
    }
    each_place<byte>(N, K, parts, [&](int64_t n, int64_t k, int64_t at) {
        const int32_t value = steps[n] > 0 ? std::lround(matrix[n * parts * K + k] / steps[n]) : 0;
        zeros[n] -= 128 * value;
        to[at].bits = value;
    });
    for (int64_t n = 0; n < N; ++n) {
        byte* header = to + n / PANEL * panel_size<byte>(K, parts);
        std::memcpy(&header[4 * (n % PANEL)].bits, &steps[n], sizeof(float));
        std::memcpy(&header[4 * (PANEL + n % PANEL)].bits, &zeros[n], sizeof(int32_t));
    }
}
#endif

}  // namespace
