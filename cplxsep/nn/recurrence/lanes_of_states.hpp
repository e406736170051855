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
        opened(from, K);
        a = logistic<W>(a + z_bias);
    }

    // With the gate itself in the place of its logit.
    template <class T>
    void opened(const T* from, int64_t K) {
        a = load<W>(from);
        x_r = load<W>(from + K) + r_bias;
        x_i = load<W>(from + 2 * K) + i_bias;
    }
};

// Of `length` positions, which lie so many steps apart; `keep` gets a place in `to` and what
// belongs there, the real and the imaginary parts, and the gate with the place that it is from.
// State [2][K] is of the position before, and afterwards of the last one.
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
        keep(to, r, i, from, gate.a);
    }
    store<W>(state, r);
    store<W>(state + K, i);
}

// Its gradient, from the last of `length` positions to the first: steps lead to the one before.
// `states` and `grad` are real parts, with imaginary ones `imaginary` values behind; `given` and
// `into` are z, Re x, Im x, each K values behind the other. `sums` [4][K] are of the gradients of
// these and of theta, `state` [2][K] is the gradient that has come so far. `front`: the front of
// the sequence is among the positions. OPEN: `given` has the gate itself in the place of z.
template <int W, bool OPEN = false, class G, class T>
inline __attribute__((always_inline)) void
run_back(Gate<W> gate, const G* given, int64_t given_step, const T* states, const T* grad,
         int64_t states_step, int64_t imaginary, T* into, int64_t into_step, float* sums,
         float* state, int64_t K, int64_t length, bool front) {
    using F = typename Vector<W>::f;
    F q_r = load<W>(state), q_i = load<W>(state + K);
    F sum_z = {}, sum_r = {}, sum_i = {}, sum_t = {};
    for (int64_t t = 0; t < length; ++t) {
        if constexpr (OPEN)
            gate.opened(given, K);
        else
            gate.at(given, K);
        q_r += load<W>(grad);
        q_i += load<W>(grad + imaginary);
        const T* before = states + states_step;
        const bool any = !front || t + 1 < length;
        const F h_r = any ? load<W>(before) : F{}, h_i = any ? load<W>(before + imaginary) : F{};
        const F p_r = gate.c * h_r - gate.s * h_i, p_i = gate.s * h_r + gate.c * h_i;
        const F rest = 1.0f - gate.a;
        const F d_z = gate.a * rest * (q_r * (p_r - gate.x_r) + q_i * (p_i - gate.x_i));
        const F d_r = rest * q_r, d_i = rest * q_i;
        sum_z += d_z;
        sum_r += d_r;
        sum_i += d_i;
        sum_t += gate.a * (p_r * q_i - p_i * q_r);
        store<W>(into, d_z);
        store<W>(into + K, d_r);
        store<W>(into + 2 * K, d_i);
        const F ac = gate.a * gate.c, as = gate.a * gate.s, next = ac * q_r + as * q_i;
        q_i = ac * q_i - as * q_r;
        q_r = next;
        given += given_step;
        states = before;
        grad += states_step;
        into += into_step;
    }
    store<W>(state, q_r);
    store<W>(state + K, q_i);
    for (const F& sum : {sum_z, sum_r, sum_i, sum_t}) {
        store<W>(sums, load<W>(sums) + sum);
        sums += K;
    }
}

}  // namespace
