// Rows of complex channels as vectors of their real and their imaginary parts.
//
// A row is [2 * channels], real halves first. A sweep over rows is written once, for vectors r and
// i; how a vector meets the channels is one of two kinds of lanes.

#pragma once

#include <algorithm>
#include <type_traits>

#include "native/lanes.hpp"

namespace {

// W channels of one row.
template <int W>
struct Spread {
    using F = typename Vector<W>::f;
    static constexpr int ROWS = 1;
    int64_t channels;

    int64_t stride() const { return 2 * channels; }
    F values(const float* from) const { return load<W>(from); }

    template <class T>
    void read(const T* from, F& r, F& i) const {
        r = load<W>(from);
        i = load<W>(from + channels);
    }

    template <class T>
    void write(T* to, F r, F i) const {
        store<W>(to, r);
        store<W>(to + channels, i);
    }

    void write_sum(float* to, F value) const { store<W>(to, value); }
};

// All of few channels, of as many rows as fill a vector; that must be two or more.
template <int C, int W = LANES>
struct Folded {
    using F = typename Vector<W>::f;
    static constexpr int ROWS = W / C;

    int64_t stride() const { return 2 * W; }

    F values(const float* from) const {
        F out;
        for (int j = 0; j < W; ++j) out[j] = from[j % C];
        return out;
    }

    template <class T>
    void read(const T* from, F& r, F& i) const {
        const F low = load<W>(from), high = load<W>(from + W);
        r = chosen(low, high, [](int j) { return j / C * 2 * C + j % C; });
        i = chosen(low, high, [](int j) { return j / C * 2 * C + C + j % C; });
    }

    template <class T>
    void write(T* to, F r, F i) const {
        const auto place = [](int j) { return j % (2 * C) / C * W + j / (2 * C) * C + j % C; };
        store<W>(to, chosen(r, i, place));
        store<W>(to + W, chosen(r, i, [=](int j) { return place(j) + W / 2; }));
    }

    void write_sum(float* to, F value) const {
        for (int c = 0; c < C; ++c) to[c] = 0;
        for (int j = 0; j < W; ++j) to[j % C] += value[j];
    }

  private:
    // Lane j is lane from(j) of the lanes of a and b.
    template <class From>
    static F chosen(F a, F b, const From& from) {
        typename Vector<W>::i at;
        for (int j = 0; j < W; ++j) at[j] = from(j);
#ifdef __clang__
        F out;
        for (int j = 0; j < W; ++j) out[j] = at[j] < W ? a[at[j]] : b[at[j] - W];
        return out;
#else
        return __builtin_shuffle(a, b, at);
#endif
    }
};

// Calls body(lanes, first channel) until all channels have been met.
template <class Body>
void over_lanes(int64_t C, const Body& body) {
    switch (C) {
        case 1: return body(Folded<1>{}, 0);
        case 2: return body(Folded<2>{}, 0);
        case 4:
            if constexpr (LANES >= 8) return body(Folded<4>{}, 0);
            break;
        case 8:
            if constexpr (LANES >= 16) return body(Folded<8>{}, 0);
            break;
    }
    over_channels(C, [&]<int W>(int64_t c) { body(Spread<W>{C}, c); });
}

// Calls step(turn, rows, grad, out) for `count` rows; turn is 0 or 1, known when compiling, so that
// a step can keep two sums and need not wait for its last one. Lanes beyond the last row see
// `beyond` for rows and 0 for grad. `grad` and `out` may be null.
template <class L, class T, class Step>
inline __attribute__((always_inline)) void over_rows(const L& lanes, int64_t count, const T* rows,
                                                     const T* grad, T* out, const T* beyond,
                                                     const Step& step) {
    const int64_t stride = lanes.stride(), steps = count / L::ROWS;
    const auto call = [&](auto turn, int64_t at) __attribute__((always_inline)) {
        step(turn, rows + at, grad ? grad + at : grad, out ? out + at : out);
    };
    using Even = std::integral_constant<int, 0>;
    using Odd = std::integral_constant<int, 1>;
    int64_t n = 0;
    for (; n + 2 <= steps; n += 2) {
        call(Even{}, n * stride);
        call(Odd{}, (n + 1) * stride);
    }
    if (n < steps) call(Even{}, n * stride);
    if constexpr (L::ROWS > 1) {
        const int64_t width = stride / L::ROWS, left = count % L::ROWS * width;
        if (!left) return;
        T last[2 * LANES], last_grad[2 * LANES] = {}, last_out[2 * LANES];
        for (int64_t j = 0; j < stride; ++j) last[j] = beyond[j % width];
        std::copy_n(rows + steps * stride, left, last);
        if (grad) std::copy_n(grad + steps * stride, left, last_grad);
        step(Even{}, last, last_grad, last_out);
        if (out) std::copy_n(last_out, left, out + steps * stride);
    }
}

// Sums of r, i, rr, ri, ii about the shift over `count` rows, to sums[k * C + c]. `middle` is a row
// that equals the shift.
template <class T>
void sum_rows(const T* rows, int64_t count, int64_t C, const float* shift, const T* middle,
              float* sums) {
    over_lanes(C, [&](auto lanes, int64_t c) {
        using F = typename decltype(lanes)::F;
        const F k_r = lanes.values(shift + c), k_i = lanes.values(shift + C + c);
        F both[2][5] = {};
        over_rows(lanes, count, rows + c, (const T*)nullptr, (T*)nullptr, middle + c,
                  [&](auto turn, const T* at, const T*, T*) __attribute__((always_inline)) {
                      F r, i, *sum = both[turn];
                      lanes.read(at, r, i);
                      r -= k_r;
                      i -= k_i;
                      sum[0] += r;
                      sum[1] += i;
                      sum[2] += r * r;
                      sum[3] += r * i;
                      sum[4] += i * i;
                  });
        for (int n = 0; n < 5; ++n) lanes.write_sum(sums + n * C + c, both[0][n] + both[1][n]);
    });
}

// The affine map of the channels of some lanes, from a matrix and an offset [6][C].
template <class L>
struct Affine {
    using F = typename L::F;
    F a, b, c, d, p, q;

    Affine(const L& lanes, const float* from, int64_t C)
        : a(lanes.values(from)), b(lanes.values(from + C)), c(lanes.values(from + 2 * C)),
          d(lanes.values(from + 3 * C)), p(lanes.values(from + 4 * C)),
          q(lanes.values(from + 5 * C)) {}

    F real(F r, F i) const { return a * r + b * i + p; }
    F imag(F r, F i) const { return c * r + d * i + q; }
};

}  // namespace
