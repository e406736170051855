// Whole residual blocks of the dual-path network, for inference: x + f(norm(x)) in place.
//
// What is computed is stated in cplxsep/networks/dual_path_blocks.py, the oracle in the tests.
// Maps are [batch][bands][frames][channels] floats; in bfloat16 only what goes into a product is
// rounded. Work is divided into pieces that do not depend on the number of threads.

#include "native/flush.hpp"
#include "recurrence/lanes_of_states.hpp"
#include "residual_blocks/products.hpp"
#include "position_norm/rows.hpp"

namespace {

struct Maps {
    int64_t batch, bands, frames, channels;
};

constexpr int64_t AT_ONCE = 512;  // positions of a piece along bands: they stay in the cache

constexpr int64_t SPARE = ROWS + 2;  // positions that a last tile may read past the end

// Positions [bands + 2][frames + 2], zeros around: what a 3x3 kernel sees. A causal one sees two
// frames in front, and none behind.
struct Padded {
    int64_t frames, channels, plane, front;

    Padded(const Maps& m, bool causal)
        : frames(m.frames + 2), channels(m.channels),
          plane((m.bands + 2) * (m.frames + 2) * m.channels), front(causal ? 2 : 1) {}

    int64_t at(int64_t band, int64_t frame) const {
        return ((band + 1) * frames + frame + front) * channels;
    }
};

// `past` [batch][bands][2][channels]: what was in front of the next frames, and is afterwards; none
// is zeros.
template <int W, class T>
void norm_padded(const float* maps, const float* gain, const float* bias, T* to, T* past,
                 const Maps& m, const Padded& p, int threads) {
    const int64_t C = m.channels;
    std::fill_n(to + m.batch * p.plane, SPARE * C, T{});
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t n = 0; n < m.batch * (m.bands + 2); ++n) {
        const FlushDenormals flush;
        const int64_t b = n / (m.bands + 2), f = n % (m.bands + 2) - 1;
        T* row = to + b * p.plane + p.at(f, -p.front);
        if (f < 0 || f >= m.bands) {
            std::fill_n(row, p.frames * C, T{});
            continue;
        }
        T* held = past ? past + (b * m.bands + f) * 2 * C : nullptr;
        if (held)
            std::copy_n(held, 2 * C, row);
        else
            std::fill_n(row, p.front * C, T{});
        const float* from = maps + (b * m.bands + f) * m.frames * C;
        for (int64_t t = 0; t < m.frames; ++t)
            normed<W>(from + t * C, gain, bias, row + (t + p.front) * C, C);
        std::fill_n(row + (m.frames + p.front) * C, (2 - p.front) * C, T{});
        if (held) std::copy_n(row + m.frames * C, 2 * C, held);
    }
}

// maps += out SiLU(conv(norm(maps))); `conv` packed over 9 taps, band by band, of C rows each.
template <int W, class T>
void local(float* maps, const float* gain, const float* bias, const T* conv, const T* out,
           T* padded, T* past, const Maps& m, bool causal, int threads) {
    const Padded p(m, causal);
    const int64_t C = m.channels, per_row = tiles(m.frames), count = panels(C);
    norm_padded<W>(maps, gain, bias, padded, past, m, p, threads);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 8)
    for (int64_t n = 0; n < m.batch * m.bands * per_row; ++n) {
        const FlushDenormals flush;
        const int64_t row = n / per_row, first = n % per_row * ROWS;
        const T* seen = padded + row / m.bands * p.plane + p.at(row % m.bands - 1, first - p.front);
        using Whole = typename Left<T>::Whole;
        Whole* hidden = scratch<Whole, 0>(ROWS * count * PANEL);
        const int64_t width = count * PANEL;
        for (int64_t j = 0; j < count; ++j) {
            const T* panel = conv + j * panel_size<T>(9 * C);
            Tile<T> tile(panel);
            panel += HEADER<T>;
            for (int64_t tap = 0; tap < 9; ++tap)
                tile.add(seen + (tap / 3 * p.frames + tap % 3) * C, C, panel + tap * C * PANEL, C);
            tile.each(ROWS, [&](int64_t r, int64_t c, Lane x) __attribute__((always_inline)) {
                store<LANES>(hidden + r * width + j * PANEL + c, x * logistic<LANES>(x));
            });
        }
        float* to = maps + (row * m.frames + first) * C;
        const Left<T> left(hidden, width, C);
        for (int64_t j = 0; j < count; ++j) {
            const T* panel = out + j * panel_size<T>(C);
            Tile<T> tile(panel);
            tile.add(left.values, left.stride, panel + HEADER<T>, C);
            tile.each(std::min<int64_t>(ROWS, m.frames - first),
                      [&](int64_t r, int64_t c, Lane x) __attribute__((always_inline)) {
                          float* at = to + r * C + j * PANEL + c;
                          if (j * PANEL + c < C)
                              store<LANES>(at, load<LANES>(at) + left.worth(r, x));
                      });
        }
    }
}

// The weights of a recurrent block; matrices are packed, `into` for each direction by itself.
template <class T>
struct Recurrent {
    const float *gain, *norm_bias, *bias, *cosine, *sine;
    const T *into, *out;
    int64_t states;
};

// `length` positions, `stride` apart in memory, of `side` sequences side by side. `past`: both
// directions run forward; `last` [2][2][K] is what a single sequence goes on from, none is zeros.
template <int W, class T>
void recurrent_piece(float* maps, int64_t length, int64_t side, int64_t stride, int64_t C,
                     const Recurrent<T>& w, bool past, float* last) {
    const int64_t K = w.states, rows = length * side, room = tiles(rows) * ROWS;
    const int64_t wide = panels(3 * K) * PANEL;
    T* seen = scratch<T, 1>(room * C);
    float* given = scratch<float, 2>(room * wide);
    using Whole = typename Left<T>::Whole;
    Whole* found = scratch<Whole, 3>(room * 4 * K);
    const auto place = [&](int64_t r) { return maps + r / side * stride + r % side * C; };
    for (int64_t r = 0; r < rows; ++r)
        normed<W>(place(r), w.gain, w.norm_bias, seen + r * C, C);
    for (int64_t d = 0; d < 2; ++d) {
        const T* into = w.into + d * panels(3 * K) * panel_size<T>(C);
        for (int64_t r = 0; r < rows; r += ROWS)
            for (int64_t j = 0; j < wide; j += PANEL) {
                const T* panel = into + j / PANEL * panel_size<T>(C);
                Tile<T> tile(panel);
                tile.add(seen + r * C, C, panel + HEADER<T>, C);
                tile.each(ROWS, [&](int64_t m, int64_t c, Lane x) __attribute__((always_inline)) {
                    store<LANES>(given + (r + m) * wide + j + c, x);
                });
            }
        const bool back = d && !past;
        const int64_t begin = back ? (length - 1) * side : 0, step = back ? -side : side;
        float* state = last ? last + d * 2 * K : scratch<float, 4>(2 * K);
        for (int64_t s = 0; s < side; ++s) {
            if (!last) std::fill_n(state, 2 * K, 0.0f);
            for (int64_t k = 0; k < K; k += LANES)
                run_states<LANES>(given + (begin + s) * wide + k, step * wide,
                                  w.bias + d * 3 * K + k, w.cosine + d * K + k, w.sine + d * K + k,
                                  found + (begin + s) * 4 * K + d * 2 * K + k, step * 4 * K,
                                  state + k, length, K);
        }
    }
    for (int64_t r = 0; r < rows; r += ROWS) {
        const Left<T> left(found + r * 4 * K, 4 * K, 4 * K);
        for (int64_t j = 0; j < C; j += PANEL) {
            const T* panel = w.out + j / PANEL * panel_size<T>(4 * K);
            Tile<T> tile(panel);
            tile.add(left.values, left.stride, panel + HEADER<T>, 4 * K);
            tile.each(std::min<int64_t>(ROWS, rows - r),
                      [&](int64_t m, int64_t c, Lane x) __attribute__((always_inline)) {
                          float* at = place(r + m) + j + c;
                          if (j + c < C)
                              store<LANES>(at, load<LANES>(at) + left.worth(m, x));
                      });
        }
    }
}

// `last` [batch][bands][2][2][K], of frames alone.
template <int W, class T>
void recurrent(float* maps, const Recurrent<T>& w, float* last, const Maps& m, bool bands,
               bool past, int threads) {
    const int64_t C = m.channels, F = m.bands, T_ = m.frames;
    const int64_t side = bands ? std::max<int64_t>(1, AT_ONCE / F) : 1;
    const int64_t pieces = bands ? (T_ + side - 1) / side : F;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t n = 0; n < m.batch * pieces; ++n) {
        const FlushDenormals flush;
        float* plane = maps + n / pieces * F * T_ * C;
        const int64_t piece = n % pieces;
        if (bands) {
            const int64_t first = piece * side;
            recurrent_piece<W>(plane + first * C, F, std::min(side, T_ - first), T_ * C, C, w,
                               false, nullptr);
        } else {
            recurrent_piece<W>(plane + piece * T_ * C, T_, 1, C, C, w, past,
                               last ? last + n * 4 * w.states : nullptr);
        }
    }
}

// A matrix [N][K], its K contiguous, by panels.
template <class T>
void pack(T* to, const float* matrix, int64_t N, int64_t K) {
    constexpr int64_t pair = sizeof(T) == 2 ? 2 : 1;
    for (int64_t j = 0; j < panels(N); ++j)
        for (int64_t k = 0; k < K; k += pair)
            for (int64_t c = 0; c < PANEL; ++c)
                for (int64_t p = 0; p < pair; ++p, ++to) {
                    const int64_t n = j * PANEL + c;
                    store<1>(to, Vector<1>::f{n < N ? matrix[n * K + k + p] : 0.0f});
                }
}

#ifdef CPLXSEP_BYTES
// 127 steps are the largest value of a column.
template <>
void pack(byte* to, const float* matrix, int64_t N, int64_t K) {
    for (int64_t j = 0; j < panels(N); ++j, to += panel_size<byte>(K))
        for (int64_t c = 0; c < PANEL; ++c) {
            const int64_t n = j * PANEL + c;
            const float* column = matrix + n * K;
            float largest = 0;
            for (int64_t k = 0; n < N && k < K; ++k)
                largest = std::max(largest, std::abs(column[k]));
            const float step = largest / MOST;
            int32_t sum = 0;
            for (int64_t k = 0; k < K; ++k) {
                const int32_t steps = largest > 0 ? std::lround(column[k] / step) : 0;
                sum += steps;
                to[HEADER<byte> + (k / 4 * PANEL + c) * 4 + k % 4].bits = steps;
            }
            const int32_t zero = -128 * sum;
            std::memcpy(to + 4 * c, &step, sizeof step);
            std::memcpy(to + 4 * (PANEL + c), &zero, sizeof zero);
        }
}
#endif

}  // namespace

extern "C" int64_t lanes() { return LANES; }
extern "C" int64_t spare_rows() { return SPARE; }

#define CPLXSEP_EXPORT(T, NAME)                                                                    \
    extern "C" int64_t packed_##NAME(int64_t N, int64_t K) {                                       \
        return panels(N) * panel_size<T>(K);                                                       \
    }                                                                                              \
    extern "C" void pack_##NAME(T* to, const float* matrix, int64_t N, int64_t K, int) {           \
        pack(to, matrix, N, K);                                                                    \
    }                                                                                              \
    extern "C" void local_##NAME(const T* conv, const T* out, const float* gain,                   \
                                 const float* bias, T* padded, float* maps, T* past, int64_t B,    \
                                 int64_t F, int64_t L, int64_t C, int64_t causal, int threads) {   \
        const Maps m{B, F, L, C};                                                                  \
        local<LANES>(maps, gain, bias, conv, out, padded, past, m, causal != 0, threads);          \
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
