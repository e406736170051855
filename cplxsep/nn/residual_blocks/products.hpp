// Products of short rows with a packed matrix, in tiles that stay in registers.
//
// A matrix [K][N] is packed by panels of PANEL columns: within a panel its rows lie one after the
// other, for bfloat16 two and two, for bytes four and four, column by column. Rows of the left side
// are contiguous, `stride` apart; a tile takes ROWS of them, and those past the last one must be
// readable memory.

#pragma once

#include <algorithm>
#include <vector>

#include "residual_blocks/bytes.hpp"

namespace {

// What fills the registers but for a panel's row and one broadcast value.
#if defined(__AVX512F__)
constexpr int ROWS = 14, VECTORS = 2;
#elif defined(__AVX__)
constexpr int ROWS = 6, VECTORS = 2;
#else
constexpr int ROWS = 6, VECTORS = 4;
#endif
constexpr int PANEL = LANES * VECTORS;
using Lane = Vector<LANES>::f;

inline int64_t panels(int64_t columns) { return (columns + PANEL - 1) / PANEL; }
inline int64_t tiles(int64_t rows) { return (rows + ROWS - 1) / ROWS; }

// Values of a panel in front of its rows, and of all of it.
template <class T>
constexpr int64_t HEADER = 0;
template <class T>
constexpr int64_t panel_size(int64_t K) {
    return HEADER<T> + K * PANEL;
}

// ROWS x PANEL sums of products with a panel, in registers.
template <class T>
struct Tile {
    Lane sums[ROWS][VECTORS] = {};

    explicit Tile(const T*) {}

    // Add rows (`stride` apart) of K values times K rows of the panel.
    inline __attribute__((always_inline)) void add(const float* rows, int64_t stride,
                                                   const float* panel, int64_t K) {
        for (int64_t k = 0; k < K; ++k, panel += PANEL) {
            Lane b[VECTORS];
#pragma GCC unroll 16
            for (int v = 0; v < VECTORS; ++v) b[v] = load<LANES>(panel + v * LANES);
#pragma GCC unroll 16
            for (int m = 0; m < ROWS; ++m) {
                const Lane a = rows[m * stride + k] - Lane{};  // to all lanes
#pragma GCC unroll 16
                for (int v = 0; v < VECTORS; ++v) sums[m][v] += a * b[v];
            }
        }
    }

#ifdef __AVX512BF16__
    inline __attribute__((always_inline)) void add(const bf16* rows, int64_t stride,
                                                   const bf16* panel, int64_t K) {
        for (int64_t k = 0; k < K; k += 2, panel += 2 * PANEL) {
            __m512bh b[VECTORS];
#pragma GCC unroll 16
            for (int v = 0; v < VECTORS; ++v)
                b[v] = (__m512bh)_mm512_loadu_si512(panel + v * 2 * LANES);
#pragma GCC unroll 16
            for (int m = 0; m < ROWS; ++m) {
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

    // Call body(row, column within the panel, sums) for the first `count` rows.
    template <class Body>
    inline __attribute__((always_inline)) void each(int64_t count, const Body& body) const {
        for (int m = 0; m < ROWS; ++m) {
            if (m >= count) return;
#pragma GCC unroll 16
            for (int v = 0; v < VECTORS; ++v) body(m, v * LANES, sums[m][v]);
        }
    }
};

// Rows as the left side of a product, `stride` apart, of K values.
template <class T>
struct Left {
    using Whole = T;  // type of the rows that it is made of

    const T* values;
    int64_t stride;

    Left(const T* rows, int64_t stride, int64_t) : values(rows), stride(stride) {}

    // What a sum with row r stands for.
    inline Lane worth(int64_t, Lane sum) const { return sum; }
};

// Memory of one thread for `count` values, kept for its next call.
template <class T, int NUMBER>
T* scratch(int64_t count) {
    thread_local std::vector<T> memory;
    if (static_cast<int64_t>(memory.size()) < count) memory.resize(count);
    return memory.data();
}

#ifdef CPLXSEP_BYTES
// A panel of bytes begins with the step of each of its columns, and with what is added to its sums
// because 128 stands for zero on the left.
template <>
constexpr int64_t HEADER<byte> = 8 * PANEL;

template <>
struct Tile<byte> {
    using Whole = Vector<LANES>::i;

    const float* steps;
    Whole sums[ROWS][VECTORS];

    explicit Tile(const byte* panel) : steps(reinterpret_cast<const float*>(panel)) {
        for (int v = 0; v < VECTORS; ++v) {
            const auto zero = load<LANES>(panel + 4 * (PANEL + v * LANES));
            for (int m = 0; m < ROWS; ++m) sums[m][v] = zero;
        }
    }

    inline __attribute__((always_inline)) void add(const byte* rows, int64_t stride,
                                                   const byte* panel, int64_t K) {
        for (int64_t k = 0; k < K; k += 4, panel += 4 * PANEL) {
            Whole b[VECTORS];
#pragma GCC unroll 16
            for (int v = 0; v < VECTORS; ++v) b[v] = load<LANES>(panel + v * 4 * LANES);
#pragma GCC unroll 16
            for (int m = 0; m < ROWS; ++m) {
                int32_t four;
                std::memcpy(&four, rows + m * stride + k, sizeof four);
#pragma GCC unroll 16
                for (int v = 0; v < VECTORS; ++v)
                    sums[m][v] = fours<LANES>(sums[m][v], four, b[v]);
            }
        }
    }

    template <class Body>
    inline __attribute__((always_inline)) void each(int64_t count, const Body& body) const {
        for (int m = 0; m < ROWS; ++m) {
            if (m >= count) return;
#pragma GCC unroll 16
            for (int v = 0; v < VECTORS; ++v)
                body(m, v * LANES,
                     __builtin_convertvector(sums[m][v], Lane) * load<LANES>(steps + v * LANES));
        }
    }
};

// Each row in steps of its own, 127 of which are its largest value.
template <>
struct Left<byte> {
    using Whole = float;

    byte* values;
    int64_t stride;
    float steps[ROWS];

    Left(const float* rows, int64_t apart, int64_t K)
        : values(scratch<byte, 5>(ROWS * K)), stride(K) {
        for (int m = 0; m < ROWS; ++m)
            steps[m] = in_steps<LANES>(rows + m * apart, values + m * K, K);
    }

    inline Lane worth(int64_t row, Lane sum) const { return sum * steps[row]; }
};
#endif

}  // namespace
