// Tiles of products in the registers of vectors.

#pragma once

#include "residual_blocks/panels.hpp"

namespace {

// VECTOR_ROWS x PANEL sums of products with a panel.
template <class T>
struct Vectors {
    Lane sums[VECTOR_ROWS][VECTORS] = {};

    explicit Vectors(const T*) {}

    // Add rows (`stride` apart) of K values times K rows of the panel. Nothing is done meanwhile.
    template <class Meanwhile = Nothing>
    inline __attribute__((always_inline)) void add(const float* rows, int64_t stride,
                                                   const float* panel, int64_t K,
                                                   const Meanwhile& = {}) {
        for (int64_t k = 0; k < K; ++k, panel += PANEL) {
            Lane b[VECTORS];
#pragma GCC unroll 16
            for (int v = 0; v < VECTORS; ++v) b[v] = load<LANES>(panel + v * LANES);
#pragma GCC unroll 16
            for (int m = 0; m < VECTOR_ROWS; ++m) {
                const Lane a = rows[m * stride + k] - Lane{};  // to all lanes
#pragma GCC unroll 16
                for (int v = 0; v < VECTORS; ++v) sums[m][v] += a * b[v];
            }
        }
    }

#ifdef __AVX512BF16__
    template <class Meanwhile = Nothing>
    inline __attribute__((always_inline)) void add(const bf16* rows, int64_t stride,
                                                   const bf16* panel, int64_t K,
                                                   const Meanwhile& = {}) {
        for (int64_t k = 0; k < K; k += 2, panel += 2 * PANEL) {
            __m512bh b[VECTORS];
#pragma GCC unroll 16
            for (int v = 0; v < VECTORS; ++v)
                b[v] = (__m512bh)_mm512_loadu_si512(panel + v * 2 * LANES);
#pragma GCC unroll 16
            for (int m = 0; m < VECTOR_ROWS; ++m) {
                int32_t two;
                std::memcpy(&two, rows + m * stride + k, sizeof two);
                const __m512bh a = (__m512bh)_mm512_set1_epi32(two);
#pragma GCC unroll 16
                for (int v = 0; v < VECTORS; ++v)
                    sums[m][v] = (Lane)_mm512_dpbf16_ps((__m512)sums[m][v], a, b[v]);
            }
        }
    }
#endif

    void collect(Sums<T>& to) const { std::memcpy(to.values, sums, sizeof sums); }

    // Call body(row, its sums in VECTORS vectors) for the first `count` rows.
    template <class Body>
    inline __attribute__((always_inline)) void each(int64_t count, const Body& body) {
        for (int m = 0; m < VECTOR_ROWS && m < count; ++m) body(m, sums[m]);
    }
};

#ifdef CPLXSEP_BYTES
template <>
struct Vectors<byte> {
    using Whole = ByteHeader::Whole;

    const byte* header;
    Whole sums[VECTOR_ROWS][VECTORS] = {};

    explicit Vectors(const byte* panel) : header(panel) {}

    template <class Meanwhile = Nothing>
    inline __attribute__((always_inline)) void add(const byte* rows, int64_t stride,
                                                   const byte* panel, int64_t K,
                                                   const Meanwhile& = {}) {
        for (int64_t k = 0; k < K; k += 4, panel += 4 * PANEL) {
            Whole b[VECTORS];
#pragma GCC unroll 16
            for (int v = 0; v < VECTORS; ++v) b[v] = load<LANES>(panel + v * 4 * LANES);
#pragma GCC unroll 16
            for (int m = 0; m < VECTOR_ROWS; ++m) {
                int32_t four;
                std::memcpy(&four, rows + m * stride + k, sizeof four);
#pragma GCC unroll 16
                for (int v = 0; v < VECTORS; ++v)
                    sums[m][v] = fours<LANES>(sums[m][v], four, b[v]);
            }
        }
    }

    void collect(Sums<byte>& to) const {
        to.header = header;
        std::memcpy(to.values, sums, sizeof sums);
    }

    template <class Body>
    inline __attribute__((always_inline)) void each(int64_t count, const Body& body) {
        for (int m = 0; m < VECTOR_ROWS && m < count; ++m) {
            Lane row[VECTORS];
#pragma GCC unroll 16
            for (int v = 0; v < VECTORS; ++v)
                row[v] = ByteHeader(header).worth(v * LANES, sums[m][v]);
            body(m, row);
        }
    }
};
#endif

}  // namespace
