// Whole residual blocks of the dual-path network, for inference: x + f(norm(x)) in place.
//
// What is computed is stated in cplxsep/networks/dual_path_blocks.py, the oracle in the tests.
// Maps are [batch][bands][frames][channels] floats; in bfloat16 only what goes into a product is
// rounded. Work is divided into pieces that do not depend on the number of threads.

#include "residual_blocks/local.hpp"
#include "residual_blocks/pack.hpp"
#include "residual_blocks/recurrent.hpp"

namespace {

// to [rows][D] += matrix norm(from [rows][C]).
template <int W, class T>
void add_normed(const float* from, const float* gain, const float* bias, const T* matrix, float* to,
                int64_t rows, int64_t C, int64_t D, int threads) {
    const int64_t at_once = 4 * ROWS<T>;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
    for (int64_t first = 0; first < rows; first += at_once) {
        const Working<T> working;
        const int64_t count = std::min(at_once, rows - first);
        T* seen = scratch<T, 1>((at_once + SPARE<T>) * C);
        for (int64_t r = 0; r < count; ++r)
            normed<W>(from + (first + r) * C, gain, bias, seen + r * C, C);
        // What a step of few channels reads, and multiplies by 0.
        std::fill_n(seen + count * C, C, T{});
        add_product(Rows<T>{seen, C}, matrix, C, D, [&](const auto& add) {
            for (int64_t r = 0; r < count; r += ROWS<T>)
                add(r, std::min(ROWS<T>, count - r), to + (first + r) * D, D);
        });
    }
}

}  // namespace

extern "C" int64_t lanes() { return LANES; }

#define CPLXSEP_EXPORT(T, NAME)                                                                    \
    extern "C" int64_t in_squares_##NAME() { return IN_SQUARES<T>; }                               \
    extern "C" int64_t packed_##NAME(int64_t N, int64_t K, int64_t parts) {                        \
        return panels(N) * panel_size<T>(K, parts);                                                \
    }                                                                                              \
    extern "C" void pack_##NAME(T* to, const float* matrix, int64_t N, int64_t K, int64_t parts,   \
                                int) {                                                             \
        pack(to, matrix, N, K, parts);                                                             \
    }                                                                                              \
    extern "C" void add_normed_##NAME(const T* matrix, const float* gain, const float* bias,       \
                                      const float* from, float* to, int64_t rows, int64_t C,       \
                                      int64_t D, int threads) {                                    \
        add_normed<LANES>(from, gain, bias, matrix, to, rows, C, D, threads);                      \
    }                                                                                              \
    extern "C" void local_##NAME(const T* conv, const T* out, const float* gain,                   \
                                 const float* bias, float* maps, T* past, int64_t B,               \
                                 int64_t F, int64_t L, int64_t C, int64_t causal, int threads) {   \
        const Maps m{B, F, L, C};                                                                  \
        local<LANES>(maps, gain, bias, conv, out, past, m, causal != 0, threads);                  \
    }                                                                                              \
    extern "C" void recurrent_##NAME(const T* into, const T* out, const float* gain,               \
                                     const float* norm_bias, const float* bias,                    \
                                     const float* cosine, const float* sine, float* maps,          \
                                     float* last, int64_t B, int64_t F, int64_t L, int64_t C,      \
                                     int64_t K, int64_t bands, int64_t past, int threads) {        \
        const Recurrent<T> weights{gain, norm_bias, bias, cosine, sine, into, out, K};             \
        recurrent<LANES>(maps, weights, last, Maps{B, F, L, C}, bands != 0, past != 0, threads);   \
    }

CPLXSEP_EXPORT(float, float)
#ifdef __AVX512BF16__
CPLXSEP_EXPORT(bf16, bf16)
#endif
#ifdef CPLXSEP_BYTES
CPLXSEP_EXPORT(byte, int8)
#endif
