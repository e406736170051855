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

// Positions lie `from_step` and `to_step` values apart; state [2][K] is of the position before, and
// afterwards of the last one.
template <int W, class T, class U>
inline void run_states(const T* from, int64_t from_step, const float* bias, const float* cosine,
                       const float* sine, U* to, int64_t to_step, float* state, int64_t length,
                       int64_t K) {
    using F = typename Vector<W>::f;
    Gate<W> gate(bias, cosine, sine, K);
    F r = load<W>(state), i = load<W>(state + K);
    for (int64_t t = 0; t < length; ++t, from += from_step, to += to_step) {
        gate.at(from, K);
        const F rest = 1.0f - gate.a, ac = gate.a * gate.c, as = gate.a * gate.s;
        const F b_r = rest * gate.x_r, b_i = rest * gate.x_i;
        const F next = ac * r + (b_r - as * i);
        i = ac * i + (b_i + as * r);
        r = next;
        store<W>(to, r);
        store<W>(to + K, i);
    }
    store<W>(state, r);
    store<W>(state + K, i);
}

}  // namespace
