// What the inference form of the extractor does between its convolutions, for a CPU.
//
// Maps are [batch][positions][2 * channels], real halves first, float or bfloat16; the mixture is
// float [batch][2][positions]. Stated in statement.py, its oracle in the tests.

#include <vector>

#include "native/lanes.hpp"

namespace {

// Calls body(first, count) for blocks of positions in parallel.
template <class Body>
void over_blocks(int64_t positions, int threads, const Body& body) {
    constexpr int64_t BLOCK = 256;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t first = 0; first < positions; first += BLOCK)
        body(first, positions - first < BLOCK ? positions - first : BLOCK);
}

struct Head {
    int64_t batch, positions, sources, transformations, features;
    int64_t group() const { return transformations + 1; }
    int64_t candidates() const { return sources * group(); }
    int64_t seen() const { return candidates() + features; }
};

// [scale re, shift re, scale im, shift im] of all transformations, mixture and features give
// [candidates re, features re, candidates im, features im].
template <class T>
void candidates(const T* film, const float* mixture, const T* features, T* seen, Head h,
                int threads) {
    const int64_t K = h.sources * h.transformations, M = h.candidates(), Q = h.seen();
    over_blocks(h.batch * h.positions, threads, [&](int64_t first, int64_t count) {
        std::vector<float> f(4 * K), out(2 * M);
        for (int64_t n = first; n < first + count; ++n) {
            convert(film + n * 4 * K, 4 * K, f.data());
            const float* x = mixture + n / h.positions * 2 * h.positions + n % h.positions;
            const float xr = x[0], xi = x[h.positions];
            float *re = out.data(), *im = out.data() + M;
            const float *ar = f.data(), *br = ar + K, *ai = br + K, *bi = ai + K;
            for (int64_t s = 0; s < h.sources; ++s) {
                *re++ = xr;
                *im++ = xi;
                for (int64_t c = 0; c < h.transformations; ++c, ++ar, ++br, ++ai, ++bi) {
                    *re++ = *ar * xr - *ai * xi + *br;
                    *im++ = *ar * xi + *ai * xr + *bi;
                }
            }
            T* to = seen + n * 2 * Q;
            const T* own = features + n * 2 * h.features;
            convert(out.data(), M, to);
            convert(out.data() + M, M, to + Q);
            std::memcpy(to + M, own, h.features * sizeof(T));
            std::memcpy(to + Q + M, own + h.features, h.features * sizeof(T));
        }
    });
}

// Mean over each source's candidates of mask times candidate, to float [batch][2N][positions].
template <class T>
void average(const T* masks, const T* seen, float* out, Head h, int threads) {
    const int64_t M = h.candidates(), Q = h.seen(), P = h.positions;
    const float share = 1 / static_cast<float>(h.group());
    over_blocks(h.batch * P, threads, [&](int64_t first, int64_t count) {
        std::vector<float> m(2 * M), x(2 * M);
        for (int64_t n = first; n < first + count; ++n) {
            convert(masks + n * 2 * M, 2 * M, m.data());
            convert(seen + n * 2 * Q, M, x.data());
            convert(seen + n * 2 * Q + Q, M, x.data() + M);
            const float *mr = m.data(), *mi = mr + M, *xr = x.data(), *xi = xr + M;
            float* to = out + n / P * 2 * h.sources * P + n % P;
            for (int64_t s = 0; s < h.sources; ++s, to += P) {
                float re = 0, im = 0;
                for (int64_t c = 0; c < h.group(); ++c, ++mr, ++mi, ++xr, ++xi) {
                    re += *mr * *xr - *mi * *xi;
                    im += *mr * *xi + *mi * *xr;
                }
                to[0] = re * share;
                to[h.sources * P] = im * share;
            }
        }
    });
}

// Blocks of patch x patch positions out of channels [2C * patch * patch].
template <class T>
void shuffle(const T* maps, T* out, int64_t batch, int64_t lines, int64_t positions,
             int64_t channels, int64_t patch, int threads) {
    const int64_t width = 2 * channels, from_line = positions * width * patch * patch;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t n = 0; n < batch * lines * patch; ++n) {
        const T* from = maps + n / patch * from_line + n % patch * patch;
        T* to = out + n * positions * patch * width;
        for (int64_t x = 0; x < positions; ++x, from += width * patch * patch)
            for (int64_t j = 0; j < patch; ++j)
                for (int64_t c = 0; c < width; ++c) *to++ = from[c * patch * patch + j];
    }
}

}  // namespace

#define CPLXSEP_EXPORT(T, NAME)                                                                    \
    extern "C" void candidates_##NAME(const T* film, const float* mixture, const T* features,      \
                                      T* seen, int64_t B, int64_t P, int64_t N, int64_t K,         \
                                      int64_t C, int threads) {                                    \
        candidates(film, mixture, features, seen, Head{B, P, N, K, C}, threads);                   \
    }                                                                                              \
    extern "C" void average_##NAME(const T* masks, const T* seen, float* out, int64_t B,           \
                                   int64_t P, int64_t N, int64_t K, int64_t C, int threads) {      \
        average(masks, seen, out, Head{B, P, N, K, C}, threads);                                   \
    }                                                                                              \
    extern "C" void shuffle_##NAME(const T* maps, T* out, int64_t B, int64_t H, int64_t P,         \
                                   int64_t C, int64_t patch, int threads) {                        \
        shuffle(maps, out, B, H, P, C, patch, threads);                                            \
    }

CPLXSEP_EXPORT(float, float)
CPLXSEP_EXPORT(bf16, bf16)
