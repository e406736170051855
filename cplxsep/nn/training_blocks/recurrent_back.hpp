// The gradient of the recurrent block, which finds once more, in the cache, what lies between maps
// and their sum.

#pragma once

#include "training_blocks/groups.hpp"
#include "training_blocks/recurrent.hpp"

namespace {

// Gradients of the weights of one group: into [C][6K], out [C][4K], of each direction those of bias
// and theta [4][K], gain [C], norm_bias [C].
struct RecurrentGradients {
    float *into, *out, *directions, *gain, *norm_bias;

    RecurrentGradients(float* at, int64_t C, int64_t K)
        : into(at), out(into + 6 * K * C), directions(out + 4 * K * C), gain(directions + 8 * K),
          norm_bias(gain + C) {}

    static int64_t size(int64_t C, int64_t K) { return 10 * K * C + 8 * K + 2 * C; }
};

// The gradient of a piece's maps, to `to`, of that of its sum, `grad`.
template <int W, class T>
void piece_back(const Piece& piece, const T* maps, const T* grad, T* to,
                const RecurrentWeights<T>& w, int64_t C, bool past,
                const RecurrentGradients& sums) {
    const int64_t K = w.states, side = piece.side, rows = piece.rows();
    const int64_t wide = panels(3 * K) * PANEL, room = rows + SPARE<T>;
    T* grads = scratch<T, GRADS>(room * C);
    piece.take(grad, C, grads);
    T* seen = scratch<T, SEEN>(room * C);
    T* states = scratch<T, STATES>(rows * 4 * K);
    T* of_states = scratch<T, OF_STATES>(rows * 4 * K);
    Walk norms(piece, C);
    const auto norm = [&] {
        if (!norms.ended())
            norms.next([&](int64_t row, int64_t at) {
                normed<W>(maps + at, w.gain, w.norm_bias, seen + row * C, C);
            });
    };
    // While products are under way, vectors have something else to do.
    product(grads, rows, w.out_back, C, 4 * K, of_states, 4 * K, [&] {
        norm();
        norm();
    });
    while (!norms.ended()) norm();

    float* given = scratch<float, GIVEN>(room * wide);
    T* of_given = scratch<T, OF_GIVEN>(room * 6 * K);
    float* state = scratch<float, STATE>(side * 2 * K);
    const auto keep = [&](T* at, const Lane& r, const Lane& i, const float* from, const Lane& gate)
                          __attribute__((always_inline)) {
        store_two<LANES>(at, r, i);
        store<LANES>(given + (from - given), gate);
    };
    for (int64_t d = 0; d < 2; ++d) {
        product(seen, rows, w.into + d * panels(3 * K) * panel_size<T>(C), C, 3 * K, given, wide);
        const bool back = d && !past;
        const int64_t step = back ? -side : side, last = (piece.length - 1) * side;
        const int64_t begin = back ? last : 0, end = back ? 0 : last;
        for (const bool there : {true, false}) {
            std::fill_n(state, side * 2 * K, 0.0f);
            for (int64_t k = 0; k < K; k += LANES) {
                const Gate<LANES> gate(w.bias + d * 3 * K + k, w.cosine + d * K + k,
                                       w.sine + d * K + k, K);
                for (int64_t s = 0; s < side; ++s) {
                    const int64_t row = s + (there ? begin : end);
                    const int64_t at = row * 4 * K + d * 2 * K + 2 * k;
                    if (there)
                        run_states<LANES>(gate, given + row * wide + k, step * wide, states + at,
                                          step * 4 * K, state + s * 2 * K + k, K, piece.length,
                                          keep);
                    else
                        run_back<LANES, true>(gate, given + row * wide + k, -step * wide,
                                              states + at, of_states + at, -step * 4 * K, LANES,
                                              of_given + row * 6 * K + d * 3 * K + k, -step * 6 * K,
                                              sums.directions + d * 4 * K + k,
                                              state + s * 2 * K + k, K, piece.length, true);
                }
            }
        }
    }

    T* turned = scratch<T, TURNED>((C + SPARE<T>) * filled<T>(rows));
    turn(grads, C, rows, C, turned);
    OverPositions<T>(states, 4 * K, rows, 4 * K).add(turned, C, sums.out);
    turn(seen, C, rows, C, turned);
    OverPositions<T>(of_given, 6 * K, rows, 6 * K).add(turned, C, sums.into);

    const int64_t broad = panels(C) * PANEL, size = ROWS<T> * broad;
    float* of_seen = scratch<float, FOUND>(2 * size);
    Walk ends(piece, C);
    int64_t known = 0;
    const auto finish = [&] {
        if (known)
            ends.next([&](int64_t row, int64_t at) {
                const float* of_row = of_seen + row / ROWS<T> % 2 * size + row % ROWS<T> * broad;
                norm_back<W>(maps + at, w.gain, grads + row * C, of_row, to + at, sums.gain,
                             sums.norm_bias, C);
                --known;
            });
    };
    for (int64_t r = 0; r < rows; r += ROWS<T>) {
        const int64_t count = std::min(ROWS<T>, rows - r);
        product(of_given + r * 6 * K, count, w.into_back, 6 * K, C,
                of_seen + r / ROWS<T> % 2 * size, broad, finish);
        while (known) finish();
        known = count;
    }
    while (known) finish();
}

// Where the gradients of weights go, as they lie in tensors.
struct FoundRecurrent {
    float *gain, *norm_bias, *into, *bias, *theta, *out;

    // Of what was summed.
    void take(const RecurrentGradients& sums, int64_t C, int64_t K) const {
        turn(sums.into, 6 * K, C, 6 * K, into);
        for (int64_t c = 0; c < C; ++c)
            each_part(K, [&](int64_t to, int64_t from) {
                std::copy_n(sums.out + c * 4 * K + from, LANES, out + c * 4 * K + to);
            });
        for (int64_t d = 0; d < 2; ++d) {
            std::copy_n(sums.directions + d * 4 * K, 3 * K, bias + d * 3 * K);
            std::copy_n(sums.directions + d * 4 * K + 3 * K, K, theta + d * K);
        }
        std::copy_n(sums.gain, C, gain);
        std::copy_n(sums.norm_bias, C, norm_bias);
    }
};

template <int W, class T>
void recurrent_back(const T* maps, const PlainRecurrent& plain, const T* grad, T* to,
                    const FoundRecurrent& found, const Division& d, bool past, int threads) {
    const int64_t C = plain.channels, K = plain.states, size = RecurrentGradients::size(C, K);
    const int64_t count = groups(d.pieces);
    const RecurrentWeights<T> w(plain);
    float* sums = scratch<float, SUMS>(count * size);
#pragma omp parallel num_threads(threads)
    {
        over_groups(count, d.pieces, [&](int64_t g, int64_t first, int64_t end) {
            const Working<T> working;
            std::fill_n(sums + g * size, size, 0.0f);
            for (int64_t n = first; n < end; ++n)
                piece_back<W>(Piece(d, n), maps, grad, to, w, C, past,
                              RecurrentGradients(sums + g * size, C, K));
        });
        total_groups(sums, count, size);
    }
    found.take(RecurrentGradients(sums, C, K), C, K);
}

}  // namespace
