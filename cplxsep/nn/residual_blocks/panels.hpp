// How matrices lie in memory for products with short rows.
//
// A matrix [N][K] is packed by panels of PANEL of its N columns, as `place` tells. A tile, of so
// many columns and of ROWS rows, is what stays in registers.

#pragma once

#include <algorithm>

#include "residual_blocks/bytes.hpp"

// Older versions of Clang have names of their own for these instructions.
#if defined(CPLXSEP_AMX_ALLOWED) && defined(__AVX512F__) &&                                        \
    ((defined(__AMX_BF16__) && defined(__AMX_INT8__)) ||                                           \
     (defined(__AMXBF16__) && defined(__AMXINT8__)))
#define CPLXSEP_AMX
#endif

namespace {

// What fills the registers but for a panel's row and one broadcast value.
#if defined(__AVX512F__)
constexpr int64_t VECTOR_ROWS = 14, VECTORS = 2;
#elif defined(__AVX__)
constexpr int64_t VECTOR_ROWS = 6, VECTORS = 2;
#else
constexpr int64_t VECTOR_ROWS = 6, VECTORS = 4;
#endif
constexpr int64_t PANEL = LANES * VECTORS;
using Lane = Vector<LANES>::f;

// Registers of AMX hold 16 rows of the left side, or 16 columns of a panel, 64 bytes deep.
constexpr int64_t SQUARE = 16, DEEP = 64;
#ifdef CPLXSEP_AMX
static_assert(PANEL == 2 * SQUARE);
template <class T>
constexpr bool IN_SQUARES = sizeof(T) < 4;
#else
template <class T>
constexpr bool IN_SQUARES = false;
#endif

// Whether their sums are numbers as they are in maps.
template <class T>
constexpr bool FLOAT_SQUARES = IN_SQUARES<T> && sizeof(T) == 2;

template <class T>
constexpr int64_t ROWS = IN_SQUARES<T> ? 2 * SQUARE : VECTOR_ROWS;

inline int64_t panels(int64_t columns) { return (columns + PANEL - 1) / PANEL; }
template <class T>
inline int64_t tiles(int64_t rows) {
    return (rows + ROWS<T> - 1) / ROWS<T>;
}

// A product of K values a row is taken in steps of so many.
template <class T>
constexpr int64_t step(int64_t K) {
    return IN_SQUARES<T> ? DEEP / sizeof(T) : K;
}

// Where in a row the step at `k` begins: the last one overlaps the one before, so that it reads no
// other row, unless a row is shorter than a step.
template <class T>
constexpr int64_t step_begin(int64_t k, int64_t K) {
    return std::max<int64_t>(0, std::min(k, K - step<T>(K)));
}

// Of K rows, as they are packed.
template <class T>
constexpr int64_t packed_rows(int64_t K) {
    return (K + step<T>(K) - 1) / step<T>(K) * step<T>(K);
}

// Where in a panel of K rows row k of column c is: steps come one after the other, in a step blocks
// of columns, in these the rows; of bfloat16 two rows and of bytes four are side by side.
template <class T>
constexpr int64_t place(int64_t k, int64_t c, int64_t K) {
    constexpr int64_t wide = IN_SQUARES<T> ? SQUARE : PANEL, together = 4 / sizeof(T);
    const int64_t deep = step<T>(K), first = k / deep * deep, row = k - step_begin<T>(first, K);
    return first * PANEL + c / wide * wide * deep + (row / together * wide + c % wide) * together +
           row % together;
}

// Values of a panel in front of its rows.
template <class T>
constexpr int64_t HEADER = 0;
// And of all of it; it may have several matrices [N][K], whose products are added.
template <class T>
constexpr int64_t panel_size(int64_t K, int64_t parts = 1) {
    return HEADER<T> + parts * packed_rows<T>(K) * PANEL;
}

#ifdef CPLXSEP_BYTES
// The step of each of a panel's columns, and what is added to its sums because 128 stands for zero
// on the left.
template <>
constexpr int64_t HEADER<byte> = 8 * PANEL;

struct ByteHeader {
    using Whole = Vector<LANES>::i;

    const float* steps;
    const byte* zeros;

    explicit ByteHeader(const byte* panel)
        : steps(reinterpret_cast<const float*>(panel)), zeros(panel + 4 * PANEL) {}

    inline Lane worth(int64_t column, Whole sum) const {
        return __builtin_convertvector(sum + load<LANES>(zeros + 4 * column), Lane) *
               load<LANES>(steps + column);
    }
};
#endif

// Sums of a tile in memory, as they were in registers.
template <class T>
struct Sums {
    alignas(64) float values[ROWS<T>][PANEL];
    const T* header;  // of their panel

    // Those of a row.
    inline __attribute__((always_inline)) void row(int64_t m, Lane* to) const {
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; ++v) {
            const float* from = values[m] + v * LANES;
#ifdef CPLXSEP_BYTES
            if constexpr (sizeof(T) == 1) {
                const auto sum = *reinterpret_cast<const ByteHeader::Whole*>(from);
                to[v] = ByteHeader(header).worth(v * LANES, sum);
                continue;
            }
#endif
            to[v] = load<LANES>(from);
        }
    }
};

// What is to be done while products are under way: nothing.
struct Nothing {
    void operator()() const {}
};

}  // namespace
