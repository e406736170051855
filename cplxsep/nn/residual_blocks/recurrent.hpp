// The recurrent block: what was before and what comes, along bands or along frames.

#pragma once

#include "position_norm/rows.hpp"
#include "recurrence/lanes_of_states.hpp"
#include "residual_blocks/products.hpp"

namespace {

// The weights; matrices are packed, `into` for each direction by itself. `out` takes the states of
// a vector as real parts and then imaginary ones.
template <class T>
struct Recurrent {
    const float *gain, *norm_bias, *bias, *cosine, *sine;
    const T *into, *out;
    int64_t states;
};

// Rows that are met at once, so that all of it stays in the near caches, in whole tiles; and
// positions of a piece along bands.
template <class T>
constexpr int64_t TURN = IN_SQUARES<T> ? ROWS<T> : 4 * ROWS<T>;
constexpr int64_t AT_ONCE = 512;

// `length` positions, `stride` apart in memory, of `side` sequences of maps side by side.
template <int W, class T>
class RecurrentPiece {
  public:
    // `past`: both directions run forward.
    RecurrentPiece(float* maps, int64_t length, int64_t side, int64_t stride, int64_t C,
                   const Recurrent<T>& w, bool past)
        : maps_(maps), length_(length), side_(side), stride_(stride), C_(C), K_(w.states),
          wide_(panels(3 * K_) * PANEL), span_(std::max<int64_t>(1, TURN<T> / side)), w_(w),
          past_(past),
          seen_(scratch<T, SEEN>((length * side + SPARE<T>) * C)),
          given_(scratch<float, GIVEN>((span_ * side + SPARE<T>) * wide_)),
          found_(scratch<Whole, STATES>((length * side + SPARE<T>) * 4 * K_)) {
        // What a step of few channels reads behind a row, and multiplies by 0.
        if (step<T>(C) > C) std::fill_n(seen_, (length * side + SPARE<T>) * C, T{});
    }

    // Adds the block. `last` [2][2][K]: what a single sequence goes on from, and then the latest
    // states; none is zeros. What the first direction found waits for the second.
    void add(float* last) {
        for (int64_t d = 0; d < 2; ++d) {
            float* state = last ? last + d * 2 * K_ : scratch<float, STATE>(side_ * 2 * K_);
            if (!last) std::fill_n(state, side_ * 2 * K_, 0.0f);
            const bool back = d && !past_;
            const int64_t turns = (length_ + span_ - 1) / span_;
            for (int64_t n = 0; n < turns; ++n) {
                const int64_t first = (back ? turns - 1 - n : n) * span_;
                const int64_t count = std::min(span_, length_ - first);
                while (!d && position_ < first + count) see();
                find(d, back, first, count, state);
                if (d) {
                    const Whole* rows = found_ + first * side_ * 4 * K_;
                    const Left<T> left(rows, 4 * K_, 4 * K_, count * side_);
                    add_product(left, w_.out, 4 * K_, C_, [&](const auto& add) {
                        each_tile(first, count, add);
                    });
                }
            }
        }
    }

  private:
    using Whole = typename Left<T>::Whole;

    // Calls body(row of the turn, rows, their place in maps, how far they are apart) by tiles.
    template <class Body>
    inline void each_tile(int64_t first, int64_t count, const Body& body) const {
        float* here = maps_ + first * stride_;
        for (int64_t p = 0; p < (side_ > 1 ? count : 1); ++p) {
            const int64_t rows = side_ > 1 ? side_ : count, apart = side_ > 1 ? C_ : stride_;
            for (int64_t r = 0; r < rows; r += ROWS<T>)
                body(p * side_ + r, std::min(ROWS<T>, rows - r), here + p * stride_ + r * apart,
                     apart);
        }
    }

    // Norms the next row.
    inline void see() {
        normed<W>(maps_ + position_ * stride_ + beside_ * C_, w_.gain, w_.norm_bias,
                  seen_ + (position_ * side_ + beside_) * C_, C_);
        if (++beside_ == side_) {
            beside_ = 0;
            ++position_;
        }
    }

    // The states of a direction at `count` positions.
    void find(int64_t d, bool back, int64_t first, int64_t count, float* state) {
        const T* seen = seen_ + first * side_ * C_;
        const int64_t soon = std::min(first + count + span_, length_);
        const T* panel = w_.into + d * panels(3 * K_) * panel_size<T>(C_);
        for (int64_t j = 0; j < wide_; j += PANEL, panel += panel_size<T>(C_))
            each_tile(first, count, [&](int64_t r, int64_t rows, const float*, int64_t) {
                Tile<T> tile(panel);
                // While products are under way, vectors see what comes next.
                tile.add(seen + r * C_, C_, panel + HEADER<T>, C_, [&] {
                    if (position_ < soon) see();
                    if (position_ < soon) see();
                });
                float* given = given_ + r * wide_ + j;
                if constexpr (FLOAT_SQUARES<T>)
                    tile.write(given, wide_);
                else
                    tile.each(rows, [&](int64_t m, Lane* x) __attribute__((always_inline)) {
                        store_row(given + m * wide_, x);
                    });
            });
        run(d, (first + (back ? count - 1 : 0)) * side_, back ? -1 : 1, count, state,
            given_ + (back ? count - 1 : 0) * side_ * wide_);
    }

    // Of the rows from `row` on, as they are given: `count` positions one way or the other.
    void run(int64_t d, int64_t row, int64_t way, int64_t count, float* state,
             const float* given) const {
        // Not members: what is written below might be one of these, for all that compilers know.
        const int64_t K = K_, wide = wide_, side = side_, step = way * side;
        Whole* to = found_ + (row * 2 + d) * 2 * K;
        const auto keep = [](Whole* at, const Lane& r, const Lane& i, auto...)
                              __attribute__((always_inline)) { store_two<LANES>(at, r, i); };
        for (int64_t k = 0; k < K; k += LANES) {
            const Gate<LANES> gate(w_.bias + d * 3 * K + k, w_.cosine + d * K + k,
                                   w_.sine + d * K + k, K);
            const float* from = given + k;
            float* own = state + k;
            Whole* at = to + 2 * k;
            for (int64_t s = 0; s < side; ++s, from += wide, own += 2 * K, at += 4 * K)
                run_states<LANES>(gate, from, step * wide, at, step * 4 * K, own, K, count, keep);
        }
    }

    float* maps_;
    const int64_t length_, side_, stride_, C_, K_, wide_, span_;
    const Recurrent<T>& w_;
    const bool past_;
    T* seen_;
    float* given_;
    Whole* found_;
    int64_t position_ = 0, beside_ = 0;  // of the next row to see
};

// `last` [batch][bands][2][2][K], of frames alone.
template <int W, class T>
void recurrent(float* maps, const Recurrent<T>& w, float* last, const Maps& m, bool bands,
               bool past, int threads) {
    const int64_t C = m.channels, F = m.bands, T_ = m.frames;
    const int64_t side = bands ? std::max<int64_t>(1, AT_ONCE / (F * ROWS<T>)) * ROWS<T> : 1;
    const int64_t pieces = bands ? (T_ + side - 1) / side : F;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t n = 0; n < m.batch * pieces; ++n) {
        const Working<T> working;
        float* plane = maps + n / pieces * F * T_ * C;
        const int64_t piece = n % pieces, first = piece * side;
        if (bands)
            RecurrentPiece<W, T>(plane + first * C, F, std::min(side, T_ - first), T_ * C, C, w,
                                 false)
                .add(nullptr);
        else
            RecurrentPiece<W, T>(plane + piece * T_ * C, T_, 1, C, C, w, past)
                .add(last ? last + n * 4 * w.states : nullptr);
    }
}

}  // namespace
