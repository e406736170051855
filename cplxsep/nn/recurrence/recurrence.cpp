// The gated recurrence with turning states, its two directions, and its gradient.
//
// What is computed is stated in cplxsep/nn/recurrence/statement.py, its oracle in the tests. Maps
// are [batch][bands][frames][parts], float or bfloat16; states and gates are float. A sequence runs
// along frames, one position after the other, or along bands, a stride apart; its states are the
// lanes of vectors. Sums over sequences are taken in groups of a fixed size, so that no result
// depends on the number of threads.

#include <algorithm>
#include <cmath>
#include <vector>

#include "native/flush.hpp"
#include "recurrence/lanes_of_states.hpp"

namespace {

constexpr int64_t GROUP = 16;  // sequences that share a partial sum
// Positions of which all states are met, before the next ones are: a position's states lie together
// in memory, and would else be fetched once for every vector of them.
constexpr int64_t BLOCK = 8;

struct Runs {
    int64_t outer, inner, outer_stride, step, length, states;
    bool past;  // both directions run forward
    bool back(int64_t direction) const { return direction && !past; }
    int64_t count() const { return outer * inner; }
    int64_t groups() const { return (count() + GROUP - 1) / GROUP; }
    // Sequences that are run together: those along bands lie side by side in memory, and would one
    // by one touch a few lines of each of many pages.
    int64_t side() const { return inner > 1 ? GROUP : 1; }
    // Position of the first element of a sequence, inner ones side by side.
    int64_t begin(int64_t n) const { return n / inner * outer_stride + n % inner; }
};

// Of maps [B][F][T]: along frames a row is a sequence, along bands a column.
Runs runs(int64_t B, int64_t F, int64_t T, int64_t K, bool bands, bool past) {
    return bands ? Runs{B, T, F * T, T, F, K, past} : Runs{B * F, 1, T, 1, T, K, past};
}

// Calls body<W>(first state) so that every state is met once.
template <class Body>
void over_states(int64_t K, const Body& body) {
    int64_t k = 0;
    for (; k + LANES <= K; k += LANES) body.template operator()<LANES>(k);
    for (; k + 4 <= K; k += 4) body.template operator()<4>(k);
    for (; k < K; ++k) body.template operator()<1>(k);
}

template <class T>
void forward(const T* given, const float* bias, const float* cosine, const float* sine, T* states,
             const Runs& s, int threads) {
    const int64_t K = s.states, side = s.side();
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t first = 0; first < s.count(); first += side) {
        const FlushDenormals flush;
        for (int64_t d = 0; d < 2; ++d) {
            const int64_t step = s.back(d) ? -s.step : s.step;
            std::vector<float> state(side * 2 * K);
            for (int64_t t = 0; t < s.length; t += BLOCK)
                for (int64_t n = first; n < std::min(s.count(), first + side); ++n) {
                    const int64_t at = s.begin(n) + (s.back(d) ? s.length - 1 - t : t) * s.step;
                    over_states(K, [&]<int W>(int64_t k) {
                        const Gate<W> gate(bias + d * 3 * K + k, cosine + d * K + k,
                                           sine + d * K + k, K);
                        run_states<W>(gate, given + at * 6 * K + d * 3 * K + k, step * 6 * K,
                                      states + at * 4 * K + d * 2 * K + k, step * 4 * K,
                                      state.data() + (n - first) * 2 * K + k, K,
                                      std::min(BLOCK, s.length - t),
                                      [&](T* to, const auto& r, const auto& i, auto...) {
                                          store<W>(to, r);
                                          store<W>(to + K, i);
                                      });
                    });
                }
        }
    }
}

template <class T>
void backward(const T* given, const float* bias, const float* cosine, const float* sine,
              const T* states, const T* grad, T* into, float* into_bias, float* into_theta,
              const Runs& s, int threads) {
    const int64_t K = s.states, side = s.side();
    std::vector<float> sums(s.groups() * 8 * K);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t g = 0; g < s.groups(); ++g) {
        const FlushDenormals flush;
        const int64_t end = std::min(s.count(), (g + 1) * GROUP);
        for (int64_t first = g * GROUP; first < end; first += side)
            for (int64_t d = 0; d < 2; ++d) {
                std::vector<float> state(side * 2 * K);
                float* own = sums.data() + (g * 2 + d) * 4 * K;
                const int64_t step = s.back(d) ? s.step : -s.step;
                for (int64_t t = 0; t < s.length; t += BLOCK)
                    for (int64_t n = first; n < std::min(end, first + side); ++n) {
                        const int64_t at = s.begin(n) + (s.back(d) ? t : s.length - 1 - t) * s.step;
                        over_states(K, [&]<int W>(int64_t k) {
                            const Gate<W> gate(bias + d * 3 * K + k, cosine + d * K + k,
                                               sine + d * K + k, K);
                            const int64_t of_states = at * 4 * K + d * 2 * K + k;
                            const int64_t of_given = at * 6 * K + d * 3 * K + k;
                            run_back<W>(gate, given + of_given, step * 6 * K, states + of_states,
                                        grad + of_states, step * 4 * K, K, into + of_given,
                                        step * 6 * K, own + k,
                                        state.data() + (n - first) * 2 * K + k, K,
                                        std::min(BLOCK, s.length - t), t + BLOCK >= s.length);
                        });
                    }
            }
    }
    for (int64_t d = 0; d < 2; ++d)
        for (int64_t j = 0; j < 4 * K; ++j) {
            double total = 0;
            for (int64_t g = 0; g < s.groups(); ++g) total += sums[(g * 2 + d) * 4 * K + j];
            if (j < 3 * K)
                into_bias[d * 3 * K + j] = static_cast<float>(total);
            else
                into_theta[d * K + j - 3 * K] = static_cast<float>(total);
        }
}

}  // namespace

#define CPLXSEP_EXPORT(T, NAME)                                                                    \
    extern "C" void forward_##NAME(const T* given, const float* bias, const float* cosine,         \
                                   const float* sine, T* states, int64_t B, int64_t F, int64_t L,  \
                                   int64_t K, int64_t bands, int64_t past, int threads) {          \
        forward(given, bias, cosine, sine, states, runs(B, F, L, K, bands, past), threads);        \
    }                                                                                              \
    extern "C" void backward_##NAME(const T* given, const float* bias, const float* cosine,        \
                                    const float* sine, const T* states, const T* grad, T* into,    \
                                    float* into_bias, float* into_theta, int64_t B, int64_t F,     \
                                    int64_t L, int64_t K, int64_t bands, int64_t past,             \
                                    int threads) {                                                 \
        backward(given, bias, cosine, sine, states, grad, into, into_bias, into_theta,             \
                 runs(B, F, L, K, bands, past), threads);                                          \
    }

CPLXSEP_EXPORT(float, float)
CPLXSEP_EXPORT(bf16, bf16)
