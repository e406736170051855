// Whole residual blocks of the dual-path network, for inference: x + f(norm(x)) in place.
//
// What is computed is stated in cplxsep/networks/dual_path_blocks.py, the oracle in the tests.
// Maps are [batch][bands][frames][channels] floats; in bfloat16 only what goes into a product is
// rounded. Work is divided into pieces that do not depend on the number of threads.

#include <vector>

#include "recurrence/lanes_of_states.hpp"
#include "residual_blocks/products.hpp"
#include "position_norm/rows.hpp"

namespace {

struct Maps {
    int64_t batch, bands, frames, channels;
};

// Frames that a piece of local work has, and rows that a recurrence along frames goes through at
// once: whole tiles.
template <class T>
constexpr int64_t TURN = ROWS<T> * std::max<int64_t>(1, 32 / ROWS<T>);

constexpr int64_t AT_ONCE = 512;  // positions of a piece along bands: they stay in the cache

// Rows that a last tile may read past the end: a step of bytes may be four of few channels.
template <class T>
constexpr int64_t SPARE = ROWS<T> + 4;

// Maps in pieces of TURN frames, as a 3x3 kernel sees them: two frames more, one on each side or,
// in a causal one, both in front, and a band more on each side. A piece is changed in place while
// its neighbours may still have to see it: the two normed frames around the beginning of each piece
// are kept before, in `borders` [batch][pieces][bands][2][channels].
template <class T>
struct Pieces {
    const Maps m;
    const int64_t front, count;
    T* borders;
    T* past;  // [batch][bands][2][channels] in front of the first one; none is zeros

    Pieces(const Maps& m, bool causal, T* past)
        : m(m), front(causal ? 2 : 1), count((m.frames + TURN<T> - 1) / TURN<T>),
          borders(scratch<T, 6>(m.batch * count * m.bands * 2 * m.channels)), past(past) {}

    int64_t frames(int64_t piece) const { return std::min(TURN<T>, m.frames - piece * TURN<T>); }

    T* border(int64_t b, int64_t piece, int64_t band) const {
        return borders + ((b * count + piece) * m.bands + band) * 2 * m.channels;
    }

    template <int W>
    void keep_borders(const float* maps, const float* gain, const float* bias, int threads) const {
        const int64_t C = m.channels;
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t n = 0; n < m.batch * count * m.bands; ++n) {
            const FlushDenormals flush;
            const int64_t piece = n / m.bands % count, row = n / m.bands / count * m.bands + n % m.bands;
            for (int64_t j = 0; j < 2; ++j) {
                T* to = borders + (2 * n + j) * C;
                const int64_t frame = piece * TURN<T> - front + j;
                if (frame >= 0)
                    normed<W>(maps + (row * m.frames + frame) * C, gain, bias, to, C);
                else if (past)
                    std::copy_n(past + (2 * row + j) * C, C, to);
                else
                    std::fill_n(to, C, T{});
            }
        }
    }

    // A band of a piece, [frames + 2] normed; the last piece leaves its latest two as the past.
    template <int W>
    void see(const float* maps, const float* gain, const float* bias, int64_t b, int64_t piece,
             int64_t band, T* to) const {
        const int64_t C = m.channels, row = b * m.bands + band, count_here = frames(piece);
        const float* from = maps + (row * m.frames + piece * TURN<T>) * C;
        std::copy_n(border(b, piece, band), front * C, to);
        for (int64_t t = 0; t < count_here; ++t)
            normed<W>(from + t * C, gain, bias, to + (t + front) * C, C);
        T* behind = to + (front + count_here) * C;
        if (piece + 1 < count) {
            std::copy_n(border(b, piece + 1, band) + front * C, (2 - front) * C, behind);
            return;
        }
        std::fill_n(behind, (2 - front) * C, T{});
        if (past) std::copy_n(to + count_here * C, 2 * C, past + 2 * row * C);
    }
};

// Sums of a row of a panel.
template <class T>
inline __attribute__((always_inline)) void store_row(T* to, const Lane* x) {
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v += 2) store_two<LANES>(to + v * LANES, x[v], x[v + 1]);
}

// Add a product of K values a row to `rows` rows of C values, `apart` in memory.
template <class T>
inline void add_product(float* to, int64_t apart, int64_t C, int64_t rows, const Left<T>& left,
                        const T* matrix, int64_t K) {
    for (int64_t j = 0; j < C; j += PANEL, to += PANEL, matrix += panel_size<T>(K)) {
        Tile<T> tile(matrix);
        if constexpr (FLOAT_SQUARES<T>)
            if (rows == ROWS<T> && j + PANEL <= C) {
                tile.read(to, apart);
                tile.add(left.values, left.stride, matrix, K);
                tile.write(to, apart);
                continue;
            }
        tile.add(left.values, left.stride, matrix + HEADER<T>, K);
        tile.each(rows, [&](int64_t r, const Lane* x) __attribute__((always_inline)) {
            for (int v = 0; v < VECTORS && j + v * LANES < C; ++v) {
                float* at = to + r * apart + v * LANES;
                store<LANES>(at, load<LANES>(at) + left.worth(r, x[v]));
            }
        });
    }
}

// maps += out SiLU(conv(norm(maps))); `conv` packed band by band, three taps of C rows each.
template <int W, class T>
void local(float* maps, const float* gain, const float* bias, const T* conv, const T* out,
           T* past, const Maps& m, bool causal, int threads) {
    const Pieces<T> p(m, causal, past);
    p.template keep_borders<W>(maps, gain, bias, threads);
    const int64_t C = m.channels, count = panels(C), width = count * PANEL;
    const int64_t row = (TURN<T> + 2) * C;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t n = 0; n < m.batch * p.count; ++n) {
        const Working<T> working;
        const int64_t b = n / p.count, piece = n % p.count, frames = p.frames(piece);
        T* padded = scratch<T, 1>((m.bands + 2) * row + SPARE<T> * C);
        std::fill_n(padded, row, T{});
        std::fill_n(padded + (m.bands + 1) * row, row, T{});
        for (int64_t band = 0; band < m.bands; ++band)
            p.template see<W>(maps, gain, bias, b, piece, band, padded + (band + 1) * row);
        using Whole = typename Left<T>::Whole;
        Whole* hidden = scratch<Whole, 0>(ROWS<T> * width);
        for (int64_t band = 0; band < m.bands; ++band)
            for (int64_t first = 0; first < frames; first += ROWS<T>) {
                const int64_t rows = std::min(ROWS<T>, frames - first);
                const T* seen = padded + band * row + first * C;
                for (int64_t j = 0; j < count; ++j) {
                    const T* panel = conv + j * panel_size<T>(3 * C, 3);
                    Tile<T> tile(panel);
                    panel += HEADER<T>;
                    for (int64_t near = 0; near < 3; ++near)
                        tile.add(seen + near * row, C, panel + near * packed_rows<T>(3 * C) * PANEL,
                                 3 * C);
                    tile.each(rows, [&](int64_t r, Lane* x) __attribute__((always_inline)) {
#pragma GCC unroll 16
                        for (int v = 0; v < VECTORS; ++v) x[v] *= logistic<LANES>(x[v]);
                        store_row(hidden + r * width + j * PANEL, x);
                    });
                }
                float* to = maps + ((b * m.bands + band) * m.frames + piece * TURN<T> + first) * C;
                const Left<T> left(hidden, width, C, rows);
                add_product(to, C, C, rows, left, out, C);
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
//
// Both directions go through the rows in turns of a few, in which norm, products and states are
// met in the nearest cache. What the first one found waits for the second.
template <int W, class T>
void recurrent_piece(float* maps, int64_t length, int64_t side, int64_t stride, int64_t C,
                     const Recurrent<T>& w, bool past, float* last) {
    const int64_t K = w.states, rows = length * side, wide = panels(3 * K) * PANEL;
    const int64_t at_once = side > 1 ? side : TURN<T>, turns = (rows + at_once - 1) / at_once;
    const int64_t room = tiles<T>(at_once) * ROWS<T>;
    using Whole = typename Left<T>::Whole;
    T* seen = scratch<T, 1>((rows + room + SPARE<T>) * C);
    float* given = scratch<float, 2>(room * wide);
    Whole* found = scratch<Whole, 3>((rows + room) * 4 * K);
    const int64_t apart = side > 1 ? C : stride;  // rows of a turn
    for (int64_t d = 0; d < 2; ++d) {
        const bool back = d && !past;
        float* state = last ? last + d * 2 * K : scratch<float, 4>(side * 2 * K);
        if (!last) std::fill_n(state, side * 2 * K, 0.0f);
        for (int64_t n = 0; n < turns; ++n) {
            const int64_t first = (back ? turns - 1 - n : n) * at_once;
            const int64_t count = std::min(at_once, rows - first);
            float* here = maps + first / side * stride;
            for (int64_t r = 0; !d && r < count; ++r)
                normed<W>(here + r * apart, w.gain, w.norm_bias, seen + (first + r) * C, C);
            // What a step of few channels reads, and multiplies by 0.
            if (!d) std::fill_n(seen + (first + count) * C, C, T{});
            for (int64_t j = 0; j < wide; j += PANEL) {
                const T* panel =
                    w.into + (d * panels(3 * K) + j / PANEL) * panel_size<T>(C);
                for (int64_t r = 0; r < count; r += ROWS<T>) {
                    Tile<T> tile(panel);
                    tile.add(seen + (first + r) * C, C, panel + HEADER<T>, C);
                    float* to = given + r * wide + j;
                    if constexpr (FLOAT_SQUARES<T>)
                        tile.write(to, wide);
                    else
                        tile.each(std::min(ROWS<T>, count - r),
                                  [&](int64_t m, Lane* x) __attribute__((always_inline)) {
                                      store_row(to + m * wide, x);
                                  });
                }
            }
            const int64_t begin = back && side == 1 ? count - 1 : 0, step = back ? -1 : 1;
            Whole* to = found + first * 4 * K + d * 2 * K;
            // Of the states of a vector, the imaginary parts follow the real ones.
            const auto keep = [](Whole* at, Lane r, Lane i) __attribute__((always_inline)) {
                store_two<LANES>(at, r, i);
            };
            for (int64_t k = 0; k < K; k += LANES) {
                const Gate<LANES> gate(w.bias + d * 3 * K + k, w.cosine + d * K + k,
                                       w.sine + d * K + k, K);
                for (int64_t s = 0; s < side; ++s)
                    run_states<LANES>(gate, given + (begin + s) * wide + k, step * wide,
                                      to + (begin + s) * 4 * K + 2 * k, step * 4 * K,
                                      state + s * 2 * K + k, side > 1 ? 1 : count, K, keep);
            }
            for (int64_t r = 0; d && r < count; r += ROWS<T>) {
                const int64_t these = std::min(ROWS<T>, count - r);
                const Left<T> left(found + (first + r) * 4 * K, 4 * K, 4 * K, these);
                add_product(here + r * apart, apart, C, these, left, w.out, 4 * K);
            }
        }
    }
}

// `last` [batch][bands][2][2][K], of frames alone.
template <int W, class T>
void recurrent(float* maps, const Recurrent<T>& w, float* last, const Maps& m, bool bands,
               bool past, int threads) {
    const int64_t C = m.channels, F = m.bands, T_ = m.frames;
    const int64_t side = bands ? std::max<int64_t>(1, AT_ONCE / (F * ROWS<T>)) * ROWS<T> : 1;
    const int64_t pieces = bands ? (T_ + side - 1) / side : F;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t n = 0; n < m.batch * pieces; ++n) {
        const Working<T> working;
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

// Calls body(n, k, place) for all values of matrices [N][parts][K] by panels; k counts all parts.
template <class T, class Body>
void each_place(int64_t N, int64_t K, int64_t parts, const Body& body) {
    for (int64_t n = 0; n < N; ++n)
        for (int64_t k = 0; k < parts * K; ++k)
            body(n, k,
                 n / PANEL * panel_size<T>(K, parts) + HEADER<T> +
                     k / K * packed_rows<T>(K) * PANEL + place<T>(k % K, n % PANEL, K));
}

// Packs matrices [N][parts][K] into what is zero so far.
template <class T>
void pack(T* to, const float* matrix, int64_t N, int64_t K, int64_t parts) {
    each_place<T>(N, K, parts, [&](int64_t n, int64_t k, int64_t at) {
        store<1>(to + at, Vector<1>::f{matrix[n * parts * K + k]});
    });
}

#ifdef CPLXSEP_BYTES
// 127 steps are the largest value of a column.
template <>
void pack(byte* to, const float* matrix, int64_t N, int64_t K, int64_t parts) {
    std::vector<float> steps(N);
    std::vector<int32_t> zeros(N);
    for (int64_t n = 0; n < N; ++n) {
        float largest = 0;
        for (int64_t k = 0; k < parts * K; ++k)
            largest = std::max(largest, std::abs(matrix[n * parts * K + k]));
        steps[n] = largest / MOST;
    }
    each_place<byte>(N, K, parts, [&](int64_t n, int64_t k, int64_t at) {
        const int32_t value = steps[n] > 0 ? std::lround(matrix[n * parts * K + k] / steps[n]) : 0;
        zeros[n] -= 128 * value;
        to[at].bits = value;
    });
    for (int64_t n = 0; n < N; ++n) {
        byte* header = to + n / PANEL * panel_size<byte>(K, parts);
        std::memcpy(header + 4 * (n % PANEL), &steps[n], sizeof(float));
        std::memcpy(header + 4 * (PANEL + n % PANEL), &zeros[n], sizeof(int32_t));
    }
}
#endif

}  // namespace

extern "C" int64_t lanes() { return LANES; }

#define CPLXSEP_EXPORT(T, NAME)                                                                    \
    extern "C" int64_t packed_##NAME(int64_t N, int64_t K, int64_t parts) {                        \
        return panels(N) * panel_size<T>(K, parts);                                                \
    }                                                                                              \
    extern "C" void pack_##NAME(T* to, const float* matrix, int64_t N, int64_t K, int64_t parts,   \
                                int) {                                                             \
        pack(to, matrix, N, K, parts);                                                             \
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
