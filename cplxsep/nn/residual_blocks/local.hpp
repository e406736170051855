// The local block: what is near in time and frequency.

#pragma once

#include "native/functions.hpp"
#include "position_norm/rows.hpp"
#include "residual_blocks/products.hpp"

namespace {

// Frames of a piece: whole tiles.
template <class T>
constexpr int64_t PIECE = ROWS<T> * std::max<int64_t>(1, 32 / ROWS<T>);

// Maps in pieces of PIECE frames, as a 3x3 kernel sees them: two frames more, one on each side or,
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
        : m(m), front(causal ? 2 : 1), count((m.frames + PIECE<T> - 1) / PIECE<T>),
          borders(scratch<T, 6>(m.batch * count * m.bands * 2 * m.channels)), past(past) {}

    int64_t frames(int64_t piece) const { return std::min(PIECE<T>, m.frames - piece * PIECE<T>); }

    T* border(int64_t b, int64_t piece, int64_t band) const {
        return borders + ((b * count + piece) * m.bands + band) * 2 * m.channels;
    }

    template <int W>
    void keep_borders(const float* maps, const float* gain, const float* bias, int threads) const {
        const int64_t C = m.channels;
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t n = 0; n < m.batch * count * m.bands; ++n) {
            const FlushDenormals flush;
            const int64_t piece = n / m.bands % count;
            const int64_t row = n / m.bands / count * m.bands + n % m.bands;
            for (int64_t j = 0; j < 2; ++j) {
                T* to = borders + (2 * n + j) * C;
                const int64_t frame = piece * PIECE<T> - front + j;
                if (frame >= 0)
                    normed<W>(maps + (row * m.frames + frame) * C, gain, bias, to, C);
                else if (past)
                    std::copy_n(past + (2 * row + j) * C, C, to);
                else
                    std::fill_n(to, C, T{});
            }
        }
    }
};

// A piece as it is normed, a row at a time: `to` [bands + 2][PIECE + 2], zeros in the outer bands.
template <int W, class T>
class Seen {
  public:
    Seen(const Pieces<T>& p, const float* maps, const float* gain, const float* bias, int64_t b,
         int64_t piece, T* to)
        : p_(p), gain_(gain), bias_(bias), b_(b), piece_(piece), frames_(p.frames(piece)),
          from_(maps + (b * p.m.bands * p.m.frames + piece * PIECE<T>) * p.m.channels), to_(to) {
        std::fill_n(to, wide(), T{});
        std::fill_n(to + (p.m.bands + 1) * wide(), wide(), T{});
    }

    int64_t wide() const { return (PIECE<T> + 2) * p_.m.channels; }

    // The next row, unless it is of a band after this one.
    inline void some(int64_t band) {
        if (band_ > band || band_ == p_.m.bands) return;
        const int64_t C = p_.m.channels;
        normed<W>(from_ + (band_ * p_.m.frames + frame_) * C, gain_, bias_,
                  to_ + (band_ + 1) * wide() + (p_.front + frame_) * C, C);
        if (++frame_ == frames_) enclose();
    }

    // All rows up to this band.
    void finish(int64_t band) {
        while (band_ <= band && band_ < p_.m.bands) some(band);
    }

  private:
    // What is around the rows of a band; of the last piece, the latest two are the past.
    void enclose() {
        const int64_t C = p_.m.channels, front = p_.front * C, behind = (2 - p_.front) * C;
        T* to = to_ + (band_ + 1) * wide();
        std::copy_n(p_.border(b_, piece_, band_), front, to);
        T* end = to + front + frames_ * C;
        if (piece_ + 1 < p_.count)
            std::copy_n(p_.border(b_, piece_ + 1, band_) + front, behind, end);
        else
            std::fill_n(end, behind, T{});
        if (p_.past && piece_ + 1 == p_.count)
            std::copy_n(to + frames_ * C, 2 * C, p_.past + (b_ * p_.m.bands + band_) * 2 * C);
        frame_ = 0;
        ++band_;
    }

    const Pieces<T>& p_;
    const float *gain_, *bias_;
    const int64_t b_, piece_, frames_;
    const float* from_;
    T* to_;
    int64_t band_ = 0, frame_ = 0;
};

// SiLU of what a tile found, a row at a time.
template <class T>
class Activation {
  public:
    using Whole = typename Left<T>::Whole;

    // Of so many rows, to memory in which they are so far apart.
    void begin(const Sums<T>& sums, int64_t rows, Whole* to, int64_t apart) {
        sums_ = &sums;
        row_ = 0;
        rows_ = rows;
        to_ = to;
        apart_ = apart;
    }

    inline __attribute__((always_inline)) void some() {
        if (row_ == rows_) return;
        Lane x[VECTORS];
        sums_->row(row_, x);
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; ++v) x[v] *= logistic<LANES>(x[v]);
        store_row(to_ + row_++ * apart_, x);
    }

    void finish() {
        while (row_ < rows_) some();
    }

  private:
    const Sums<T>* sums_ = nullptr;
    int64_t row_ = 0, rows_ = 0, apart_ = 0;
    Whole* to_ = nullptr;
};

// A piece of a local block. With AMX, while a panel's products are under way, vectors are busy with
// what the panel before found, and with the norm of a band that is soon seen.
template <int W, class T>
void local_piece(float* maps, const float* gain, const float* bias, const T* conv, const T* out,
                 const Pieces<T>& p, int64_t b, int64_t piece) {
    using Whole = typename Left<T>::Whole;
    const Maps& m = p.m;
    const int64_t C = m.channels, count = panels(C), width = count * PANEL;
    const int64_t frames = p.frames(piece), blocks = tiles<T>(frames);
    const int64_t row = (PIECE<T> + 2) * C, all = m.bands * blocks * count;
    T* padded = scratch<T, 1>((m.bands + 2) * row + SPARE<T> * C);
    Whole* hidden = scratch<Whole, 0>(2 * ROWS<T> * width);
    Seen<W, T> seen(p, maps, gain, bias, b, piece, padded);
    Activation<T> activation;
    Sums<T> sums[2];
    for (int64_t n = 0; n <= all; ++n) {
        const int64_t block = n / count, j = n % count, band = block / blocks;
        const int64_t first = block % blocks * ROWS<T>;
        if (n < all) {
            seen.finish(band + 1);
            const T* panel = conv + j * panel_size<T>(3 * C, 3);
            Tile<T> tile(panel);
            panel += HEADER<T>;
            for (int64_t near = 0; near < 3; ++near, panel += packed_rows<T>(3 * C) * PANEL)
                tile.add(padded + (band + near) * row + first * C, C, panel, 3 * C, [&] {
                    activation.some();
                    seen.some(band + 2);
                });
            tile.collect(sums[n % 2]);
        }
        activation.finish();
        if (n && j == 0) {  // all of the block before
            const int64_t band_before = (block - 1) / blocks, at = (block - 1) % blocks * ROWS<T>;
            const int64_t rows = std::min(ROWS<T>, frames - at);
            const Left<T> left(hidden + (block - 1) % 2 * ROWS<T> * width, width, C, rows);
            float* to = maps + ((b * m.bands + band_before) * m.frames + piece * PIECE<T> + at) * C;
            add_product(left, out, C, C, [&](const auto& add) { add(0, rows, to, C); });
        }
        if (n < all)
            activation.begin(sums[n % 2], std::min(ROWS<T>, frames - first),
                             hidden + (block % 2 * ROWS<T> * count + j) * PANEL, width);
    }
}

// maps += out SiLU(conv(norm(maps))); `conv` packed band by band, three taps of C rows each.
template <int W, class T>
void local(float* maps, const float* gain, const float* bias, const T* conv, const T* out,
           T* past, const Maps& m, bool causal, int threads) {
    const Pieces<T> p(m, causal, past);
    p.template keep_borders<W>(maps, gain, bias, threads);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t n = 0; n < m.batch * p.count; ++n) {
        const Working<T> working;
        local_piece<W>(maps, gain, bias, conv, out, p, n / p.count, n % p.count);
    }
}

}  // namespace
