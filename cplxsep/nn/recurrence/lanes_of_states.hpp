// One direction of the gated recurrence along one sequence, a vector of states at a time: what
// training and the inference form share. Stated in cplxsep/nn/recurrence/statement.py.

#pragma once

#include "native/functions.hpp"

namespace {

// Gate, and input with its bias, of W states at one position; K states lie side by side.
template <int W>
struct Gate {
    typename Vector<W>::f a, z_bias, r_bias, i_bias, c, s, x_r, x_i;

    Gate(const float* bias, const float* cosine, const float* sine, int64_t K)
        : z_bias(load<W>(bias)), r_bias(load<W>(bias + K)), i_bias(load<W>(bias + 2 * K)),
          c(load<W>(cosine)), s(load<W>(sine)) {}

    template <class T>
    void at(const T* from, int64_t K) {
        a = logistic<W>(load<W>(from) + z_bias);
        x_r = load<W>(from + K) + r_bias;
        x_i = load<W>(from + 2 * K) + i_bias;
    }
};

// Of `length` positions, which lie so many steps apart; `keep` gets a place in `to` and what
// belongs there, the real and the imaginary parts. State [2][K] is of the position before, and
// afterwards of the last one.
template <int W, class T, class U, class Keep>
inline __attribute__((always_inline)) void run_states(Gate<W> gate, const T* from,
                                                      int64_t from_step, U* to, int64_t to_step,
                                                      float* state, int64_t K, int64_t length,
                                                      const Keep& keep) {
    using F = typename Vector<W>::f;
    F r = load<W>(state), i = load<W>(state + K);
    for (int64_t t = 0; t < length; ++t, from += from_step, to += to_step) {
        gate.at(from, K);
        // x + a (turned state - x), which is a turned state + (1 - a) x.
        const F next = gate.x_r + gate.a * (gate.c * r - gate.x_r - gate.s * i);
        i = gate.x_i + gate.a * (gate.c * i - gate.x_i + gate.s * r);
        r = next;
        keep(to, r, i);
    }
    store<W>(state, r);
    store<W>(state + K, i);
}

}  // namespace
