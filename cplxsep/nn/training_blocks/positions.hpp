// Products that are summed over positions, as the gradients of weights are.
//
// The left side has its positions side by side, one row for each channel, and the right side is
// packed by panels whose rows are positions. Both are made of rows [positions][values], four bytes
// at a time: one value of float, or those of two positions of bfloat16.

#pragma once

#include <utility>

#include "residual_blocks/products.hpp"
#include "training_blocks/memory.hpp"

namespace {

// Positions whose values fill four bytes.
template <class T>
constexpr int64_t TOGETHER = 4 / sizeof(T);

// Positions are filled up to so many with zeros.
template <class T>
inline int64_t filled(int64_t positions) {
    constexpr int64_t at_once = LANES * TOGETHER<T>;
    return (positions + at_once - 1) / at_once * at_once;
}

using Fours = typename Vector<LANES>::u;

// LANES values at `position`, beside those of the next one; behind `count` there are zeros.
inline Fours fours(const float* rows, int64_t stride, int64_t position, int64_t count) {
    return position < count ? (Fours)load<LANES>(rows + position * stride) : Fours{};
}

inline Fours fours(const bf16* rows, int64_t stride, int64_t position, int64_t count) {
    if (position >= count) return Fours{};
    const bf16* row = rows + position * stride;
    const Fours first = (Fours)load<LANES>(row) >> 16;
    return position + 1 < count ? first | (Fours)load<LANES>(row + stride) : first;
}

// Lanes of two vectors of V, unsigned numbers, counted through both. No function: as the argument
// of a template a vector would forget that it lies at any place.
#ifdef __clang__
#define CPLXSEP_CHOSEN(V, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else  // GCC has the other from version 12 on
#define CPLXSEP_CHOSEN(V, a, b, ...) __builtin_shuffle(a, b, V{__VA_ARGS__})
#endif

// PANEL values of two positions of bfloat16, taken in turns.
template <int... AT>
inline void in_turns(const bf16* row, const bf16* next, bf16* first, bf16* second,
                     std::integer_sequence<int, AT...>) {
    typedef uint16_t Whole __attribute__((vector_size(4 * LANES), aligned(2), may_alias));
    const Whole a = *reinterpret_cast<const Whole*>(row);
    const Whole b = *reinterpret_cast<const Whole*>(next);
    constexpr int wide = 2 * LANES;
    *reinterpret_cast<Whole*>(first) = CPLXSEP_CHOSEN(Whole, a, b, (AT % 2 * wide + AT / 2)...);
    *reinterpret_cast<Whole*>(second) =
        CPLXSEP_CHOSEN(Whole, a, b, (AT % 2 * wide + LANES + AT / 2)...);
}

// Packs a matrix that lies in memory as `count` rows, `stride` apart, into one panel of K rows, the
// rest of which are zeros; of `columns`, a multiple of LANES.
template <class T>
struct PanelOfRows {
    const T* rows;
    int64_t stride, count, columns, K;
    T* panel;
    int64_t k = 0;  // the next row

    // Some of the rows, unless all are there.
    inline void some() {
        const int64_t end = std::min(K, k + 8 * TOGETHER<T>);
        if constexpr (sizeof(T) == 2 && VECTORS == 2)
            if (columns == PANEL)
                for (; k + 1 < std::min(end, count); k += 2)
                    in_turns(rows + k * stride, rows + (k + 1) * stride, panel + place<T>(k, 0, K),
                             panel + place<T>(k, LANES, K),
                             std::make_integer_sequence<int, 2 * LANES>());
        for (; k < end; k += TOGETHER<T>)
            for (int64_t c = 0; c < columns; c += LANES) {
                *reinterpret_cast<Fours*>(panel + place<T>(k, c, K)) =
                    fours(rows + c, stride, k, count);
            }
    }

    void finish() {
        while (k < K) some();
    }
};

// One step of a transposition: squares of STEP rows and lanes beside the diagonal change places.
template <int STEP, int... LANE>
inline void exchange(Fours& a, Fours& b, std::integer_sequence<int, LANE...>) {
    const Fours first = a, second = b;
    a = CPLXSEP_CHOSEN(Fours, first, second, (LANE & STEP ? LANES + LANE - STEP : LANE)...);
    b = CPLXSEP_CHOSEN(Fours, first, second, (LANE & STEP ? LANES + LANE : LANE + STEP)...);
}

template <int STEP = LANES / 2>
inline void transpose(Fours* rows) {
#pragma GCC unroll 16
    for (int m = 0; m < LANES; ++m)
        if (!(m & STEP))
            exchange<STEP>(rows[m], rows[m + STEP], std::make_integer_sequence<int, LANES>());
    if constexpr (STEP > 1) transpose<STEP / 2>(rows);
}

// Rows [C][filled(count)] of rows [count][C], which are `stride` apart.
template <class T>
void turn(const T* rows, int64_t stride, int64_t count, int64_t C, T* to) {
    const int64_t P = filled<T>(count);
    for (int64_t p = 0; p < P; p += LANES * TOGETHER<T>)
        for (int64_t c = 0; c < C; c += LANES) {
            Fours square[LANES];
#pragma GCC unroll 16
            for (int m = 0; m < LANES; ++m)
                square[m] = fours(rows + c, stride, p + m * TOGETHER<T>, count);
            transpose(square);
#pragma GCC unroll 16
            for (int m = 0; m < LANES; ++m)
                *reinterpret_cast<Fours*>(to + (c + m) * P + p) = square[m];
        }
}

// The right side of sums over positions: rows [count][N], `stride` apart. They are packed by and
// by, each panel while the products of the one before are under way, when they are first used.
template <class T>
class OverPositions {
  public:
    OverPositions(const T* rows, int64_t stride, int64_t count, int64_t N)
        : N_(N), P_(filled<T>(count)), size_(panel_size<T>(P_)),
          panels_(scratch<T, OVER_POSITIONS>(panels(N) * size_)), next_{rows,  stride,
                                                                        count, std::min(PANEL, N),
                                                                        P_,    panels_} {}

    // to [C][N] += the sum of what `turned` [C][filled(count)] has times the rows. Panels pass by
    // while rows of `turned` stay in the nearest cache.
    void add(const T* turned, int64_t C, float* to) {
        for (int64_t c = 0; c < C; c += ROWS<T>)
            for (int64_t j = 0; j < N_; j += PANEL) {
                const T* panel = panels_ + j / PANEL * size_;
                if (panel == next_.panel) finish();
                add_product(Rows<T>{turned, P_}, panel, P_, std::min(PANEL, N_ - j),
                            [&](const auto& add) {
                                add(c, std::min(ROWS<T>, C - c), to + c * N_ + j, N_,
                                    [&] { next_.some(); });
                            });
            }
    }

  private:
    // The panel, and begins the next one.
    void finish() {
        next_.finish();
        const int64_t done = (next_.panel - panels_) / size_ * PANEL + next_.columns;
        if (done < N_)
            next_ = {next_.rows + PANEL,         next_.stride, next_.count,
                     std::min(PANEL, N_ - done), P_,           next_.panel + size_};
        else
            next_.panel = nullptr;  // all are there
    }

    const int64_t N_, P_, size_;
    T* panels_;
    PanelOfRows<T> next_;
};

}  // namespace
