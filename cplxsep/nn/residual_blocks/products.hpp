// Products of short rows with a packed matrix.
//
// Rows of the left side are contiguous, `stride` apart; a tile takes ROWS of them, and those past
// the last one must be readable memory, as must be a step from the beginning of each.

#pragma once

#include <memory>
#include <new>
#include <type_traits>

#include "native/flush.hpp"
#include "residual_blocks/squares.hpp"
#include "residual_blocks/vectors.hpp"

namespace {

#ifdef CPLXSEP_AMX
template <class T>
using Tile = std::conditional_t<IN_SQUARES<T>, Squares<T>, Vectors<T>>;
template <class T>
using Registers = std::conditional_t<IN_SQUARES<T>, InSquares, Nothing>;
#else
template <class T>
using Tile = Vectors<T>;
template <class T>
using Registers = Nothing;
#endif

// How a thread computes, while this lives.
template <class T>
class Working {
    FlushDenormals flush_;
    Registers<T> registers_;
};

// Memory of a thread that the recurrent blocks of inference and of training share.
enum { SEEN = 1, GIVEN, STATES, STATE };

// Memory of one thread for `count` values, kept for its next call.
template <class T, int NUMBER>
T* scratch(int64_t count) {
    constexpr std::align_val_t line{64};  // loads that touch two lines take twice as long
    struct Free {
        void operator()(T* memory) const { ::operator delete(memory, line); }
    };
    thread_local std::unique_ptr<T, Free> memory;
    thread_local int64_t size = 0;
    if (size < count) {
        memory.reset(static_cast<T*>(::operator new(count * sizeof(T), line)));
        std::fill_n(memory.get(), size = count, T{});
    }
    return memory.get();
}

struct Maps {
    int64_t batch, bands, frames, channels;
};

// Rows that a last tile may read past the end: a step of bytes may be four of few channels.
template <class T>
constexpr int64_t SPARE = ROWS<T> + 4;

// Rows as the left side of a product, `stride` apart.
template <class T>
struct Rows {
    const T* values;
    int64_t stride;

    // What a sum with row r stands for.
    inline Lane worth(int64_t, Lane sum) const { return sum; }
};

// The same of `count` rows of K values as states and activations are.
template <class T>
struct Left : Rows<T> {
    using Whole = T;

    Left(const T* rows, int64_t stride, int64_t, int64_t) : Rows<T>{rows, stride} {}
};

#ifdef CPLXSEP_BYTES
// Each row in steps of its own, 127 of which are its largest value.
template <>
struct Left<byte> {
    using Whole = float;

    byte* values;
    int64_t stride;
    float* steps;

    Left(const float* rows, int64_t apart, int64_t K, int64_t count)
        : values(scratch<byte, 5>((count + SPARE<byte>) * K)), stride(K),
          steps(scratch<float, 7>(count)) {
        for (int64_t m = 0; m < count; ++m)
            steps[m] = in_steps<LANES>(rows + m * apart, values + m * K, K);
    }

    inline Lane worth(int64_t row, Lane sum) const { return sum * steps[row]; }
};
#endif

// Sums of a row of a panel.
template <class T>
inline __attribute__((always_inline)) void store_row(T* to, const Lane* x) {
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v += 2) store_two<LANES>(to + v * LANES, x[v], x[v + 1]);
}

// Adds a product of K values a row to rows of C values; `each_tile` calls what it is given with
// the first row, the number of rows, their place, how far they are apart and, if there is anything,
// what is to be done meanwhile.
template <class T, class Side, class EachTile>
inline void add_product(const Side& left, const T* matrix, int64_t K, int64_t C,
                        const EachTile& each_tile) {
    for (int64_t j = 0; j < C; j += PANEL, matrix += panel_size<T>(K))
        each_tile([&](int64_t first, int64_t rows, float* maps, int64_t apart,
                      const auto&... meanwhile) {
            Tile<T> tile(matrix);
            float* to = maps + j;
            const T* values = left.values + first * left.stride;
            if constexpr (FLOAT_SQUARES<T>)
                if (rows == ROWS<T> && j + PANEL <= C) {
                    tile.read(to, apart);
                    tile.add(values, left.stride, matrix, K, meanwhile...);
                    tile.write(to, apart);
                    return;
                }
            tile.add(values, left.stride, matrix + HEADER<T>, K, meanwhile...);
            tile.each(rows, [&](int64_t r, const Lane* x) __attribute__((always_inline)) {
                for (int v = 0; v < VECTORS && j + v * LANES < C; ++v) {
                    float* at = to + r * apart + v * LANES;
                    store<LANES>(at, load<LANES>(at) + left.worth(first + r, x[v]));
                }
            });
        });
}

}  // namespace
