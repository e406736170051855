// Layer norm over the channels of one position, and its gradient with that of the residual sum.
//
// What is computed is stated in cplxsep/nn/position_norm/statement.py, its oracle in the tests.
// Rows are [positions][channels], float or bfloat16; parameters and sums are float. Sums over
// positions are taken in tiles of a fixed size, so that no result depends on the number of threads.

#include <cmath>
#include <vector>

#include "native/flush.hpp"
#include "position_norm/rows.hpp"

namespace {

constexpr int64_t TILE = 256;  // positions that share a partial sum

int64_t tiles(int64_t positions) { return (positions + TILE - 1) / TILE; }

template <int W, class T>
void forward(const T* rows, const float* gain, const float* bias, T* out, int64_t P, int64_t C,
             int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t t = 0; t < tiles(P); ++t) {
        const FlushDenormals flush;
        for (int64_t p = t * TILE; p < std::min(P, (t + 1) * TILE); ++p)
            normed<W>(rows + p * C, gain, bias, out + p * C, C);
    }
}

// `through` is the gradient that comes by the residual sum; it may be null.
template <int W, class T>
void backward(const T* rows, const float* gain, const T* through, const T* grad, T* into,
              float* into_gain, float* into_bias, int64_t P, int64_t C, int threads) {
    std::vector<float> sums(tiles(P) * 2 * C);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t t = 0; t < tiles(P); ++t) {
        const FlushDenormals flush;
        float* own = sums.data() + t * 2 * C;
        for (int64_t p = t * TILE; p < std::min(P, (t + 1) * TILE); ++p) {
            const int64_t at = p * C;
            norm_back<W>(rows + at, gain, through ? through + at : nullptr, grad + at, into + at,
                         own, own + C, C);
        }
    }
    for (int64_t c = 0; c < C; ++c) {
        double of_gain = 0, of_bias = 0;
        for (int64_t t = 0; t < tiles(P); ++t) {
            of_gain += sums[t * 2 * C + c];
            of_bias += sums[t * 2 * C + C + c];
        }
        into_gain[c] = static_cast<float>(of_gain);
        into_bias[c] = static_cast<float>(of_bias);
    }
}

}  // namespace

#define CPLXSEP_EXPORT(T, NAME)                                                                    \
    extern "C" void forward_##NAME(const T* rows, const float* gain, const float* bias, T* out,    \
                                   int64_t P, int64_t C, int threads) {                            \
        by_width(C, [&]<int W>() { forward<W>(rows, gain, bias, out, P, C, threads); });           \
    }                                                                                              \
    extern "C" void backward_##NAME(const T* rows, const float* gain, const T* through,            \
                                    const T* grad, T* into, float* into_gain, float* into_bias,    \
                                    int64_t P, int64_t C, int threads) {                           \
        by_width(C, [&]<int W>() {                                                                 \
            backward<W>(rows, gain, through, grad, into, into_gain, into_bias, P, C, threads);     \
        });                                                                                        \
    }

CPLXSEP_EXPORT(float, float)
CPLXSEP_EXPORT(bf16, bf16)
