// The recurrent block for training, x + W recurrence(V norm(x)).

#pragma once

#include "residual_blocks/recurrent.hpp"
#include "training_blocks/products.hpp"

namespace {

// Maps in pieces: whole sequences, `side` of them side by side.
struct Division {
    const Maps m;
    const bool bands;
    const int64_t side, pieces;

    Division(const Maps& m, bool bands, int64_t side)
        : m(m), bands(bands), side(side),
          pieces(m.batch * (bands ? (m.frames + side - 1) / side : m.bands)) {}
};

struct Piece {
    int64_t first, length, side, stride;  // where it begins; positions are `stride` values apart

    Piece(const Division& d, int64_t n) {
        const int64_t C = d.m.channels, each = d.pieces / d.m.batch;
        const int64_t plane = n / each * d.m.bands * d.m.frames * C, at = n % each;
        first = plane + at * (d.bands ? d.side * C : d.m.frames * C);
        length = d.bands ? d.m.bands : d.m.frames;
        side = d.bands ? std::min(d.side, d.m.frames - at * d.side) : 1;
        stride = d.bands ? d.m.frames * C : C;
    }

    int64_t rows() const { return length * side; }

    // Rows that lie together, of those in maps, and back.
    template <class T, class U>
    void take(const T* maps, int64_t C, U* to) const {
        for (int64_t p = 0; p < length; ++p)
            convert(maps + first + p * stride, side * C, to + p * side * C);
    }
    template <class T, class U>
    void put(const U* from, int64_t C, T* maps) const {
        for (int64_t p = 0; p < length; ++p)
            convert(from + p * side * C, side * C, maps + first + p * stride);
    }
};

// Where in maps the rows of a piece are, one after the other.
class Walk {
  public:
    Walk(const Piece& piece, int64_t C) : piece_(piece), C_(C), at_(piece.first) {}

    bool ended() const { return row_ == piece_.rows(); }

    // Calls body(row, its place in maps) for the next one.
    template <class Body>
    inline __attribute__((always_inline)) void next(const Body& body) {
        body(row_++, at_);
        at_ += C_;
        if (++beside_ == piece_.side) {
            beside_ = 0;
            at_ += piece_.stride - piece_.side * C_;
        }
    }

  private:
    const Piece& piece_;
    const int64_t C_;
    int64_t at_, row_ = 0, beside_ = 0;
};

// Weights as they lie in tensors: `into` [6K][C], bias [6K], theta [2][K], `out` [C][4K].
struct PlainRecurrent {
    const float *gain, *norm_bias, *into, *bias, *theta, *out;
    int64_t channels, states;
};

// Calls body(place in [4K] as tensors have it, as `Recurrent` has it) for LANES states each.
template <class Body>
void each_part(int64_t K, const Body& body) {
    for (int64_t d = 0; d < 2; ++d)
        for (int64_t part = 0; part < 2; ++part)
            for (int64_t k = 0; k < K; k += LANES)
                body((2 * d + part) * K + k, 2 * d * K + 2 * k + part * LANES);
}

// Weights as they are multiplied, in memory of this thread.
template <class T>
struct RecurrentWeights : Recurrent<T> {
    const T *into_back, *out_back;

    RecurrentWeights(const PlainRecurrent& w) {
        const int64_t C = w.channels, K = w.states;
        float* turned = scratch<float, ORDERED>(6 * K * C);
        turn(w.into, C, 6 * K, C, turned);
        const T* there = converted<ORDERED + 2, T>(turned, 6 * K * C);
        const T* back = converted<ORDERED + 3, T>(w.into, 6 * K * C);
        float* out = scratch<float, ORDERED + 1>(4 * K * C);
        for (int64_t c = 0; c < C; ++c)
            each_part(K, [&](int64_t from, int64_t to) {
                std::copy_n(w.out + c * 4 * K + from, LANES, out + c * 4 * K + to);
            });
        turn(out, 4 * K, C, 4 * K, turned);
        const T* out_rows = converted<ORDERED + 4, T>(turned, 4 * K * C);
        float* turns = scratch<float, ORDERED + 5>(4 * K);
        for (int64_t k = 0; k < 2 * K; ++k) {
            turns[k] = std::cos(w.theta[k]);
            turns[2 * K + k] = std::sin(w.theta[k]);
        }
        static_cast<Recurrent<T>&>(*this) = {w.gain,
                                             w.norm_bias,
                                             w.bias,
                                             turns,
                                             turns + 2 * K,
                                             packed<PACKED>(there, C, 3 * K, 2),
                                             packed<PACKED + 1>(out_rows, 4 * K, C),
                                             K};
        into_back = packed<PACKED + 2>(back, 6 * K, C);
        out_back = packed<PACKED + 3>(converted<ORDERED + 6, T>(out, 4 * K * C), C, 4 * K);
    }
};

template <int W, class T>
void recurrent(const T* maps, const PlainRecurrent& plain, T* to, const Division& d, bool past,
               int threads) {
    const int64_t C = plain.channels;
    const RecurrentWeights<T> w(plain);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t n = 0; n < d.pieces; ++n) {
        const Working<T> working;
        const Piece piece(d, n);
        float* own = scratch<float, OWN>(piece.rows() * C);
        piece.take(maps, C, own);
        RecurrentPiece<W, T>(own, piece.length, piece.side, piece.side * C, C, w, past)
            .add(nullptr);
        piece.put(own, C, to);
    }
}

}  // namespace
