// Residual blocks of the dual-path network for training: x + f(norm(x)), and their gradients.
//
// What is computed is stated in cplxsep/networks/dual_path_blocks.py, the oracle in the tests. Maps
// are [batch][bands][frames][channels], float or bfloat16, weights and their gradients float. What
// is not in maps or in a product's input is float.

#include "training_blocks/local_back.hpp"
#include "training_blocks/recurrent_back.hpp"

namespace {

Division divided(int64_t B, int64_t F, int64_t T, int64_t C, bool bands, int64_t at_once,
                 int64_t whole) {
    return Division({B, F, T, C}, bands,
                    bands ? std::max<int64_t>(1, at_once / (F * whole)) * whole : 1);
}

}  // namespace

extern "C" int64_t lanes() { return LANES; }

#define CPLXSEP_EXPORT(T, NAME)                                                                    \
    extern "C" void recurrent_##NAME(                                                              \
        const T* maps, const float* gain, const float* norm_bias, const float* into,               \
        const float* bias, const float* theta, const float* out, T* to, int64_t B, int64_t F,      \
        int64_t L, int64_t C, int64_t K, int64_t bands, int64_t past, int threads) {               \
        const PlainRecurrent w{gain, norm_bias, into, bias, theta, out, C, K};                     \
        const Division d = divided(B, F, L, C, bands, AT_ONCE, ROWS<T>);                           \
        recurrent<LANES>(maps, w, to, d, past != 0, threads);                                      \
    }                                                                                              \
    extern "C" void recurrent_back_##NAME(                                                         \
        const T* maps, const float* gain, const float* norm_bias, const float* into,               \
        const float* bias, const float* theta, const float* out, const T* grad, T* to,             \
        float* of_gain, float* of_norm_bias, float* of_into, float* of_bias, float* of_theta,      \
        float* of_out, int64_t B, int64_t F, int64_t L, int64_t C, int64_t K, int64_t bands,       \
        int64_t past, int threads) {                                                               \
        const PlainRecurrent w{gain, norm_bias, into, bias, theta, out, C, K};                     \
        const FoundRecurrent found{of_gain, of_norm_bias, of_into, of_bias, of_theta, of_out};     \
        const Division d = divided(B, F, L, C, bands, AT_ONCE_BACK, 1);                            \
        recurrent_back<LANES>(maps, w, grad, to, found, d, past != 0, threads);                    \
    }                                                                                              \
    extern "C" void local_##NAME(const T* maps, const float* gain, const float* bias,              \
                                 const float* conv, const float* out, T* kept, T* to, int64_t B,   \
                                 int64_t F, int64_t L, int64_t C, int64_t causal, int threads) {   \
        local<LANES>(maps, PlainLocal{gain, bias, conv, out, C}, kept, to, Maps{B, F, L, C},       \
                     causal ? 2 : 1, threads);                                                     \
    }                                                                                              \
    extern "C" void local_back_##NAME(                                                             \
        const T* maps, const float* gain, const float* bias, const float* conv, const float* out,  \
        const T* kept, const T* grad, T* of_kept, T* to, float* of_gain, float* of_bias,           \
        float* of_conv, float* of_out, int64_t B, int64_t F, int64_t L, int64_t C, int64_t causal, \
        int threads) {                                                                             \
        local_back<LANES>(maps, PlainLocal{gain, bias, conv, out, C}, kept, grad, of_kept, to,     \
                          FoundLocal{of_gain, of_bias, of_conv, of_out}, Maps{B, F, L, C},         \
                          causal ? 2 : 1, threads);                                                \
    }

CPLXSEP_EXPORT(float, float)
#ifdef __AVX512BF16__
CPLXSEP_EXPORT(bf16, bf16)
#endif
