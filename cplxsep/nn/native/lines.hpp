// Lines of complex maps, their statistics, and the affine map of each channel that whitens them.

#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "lanes.hpp"

namespace {

constexpr double EPS = 1e-4;  // on the covariance's diagonal, as in cplxsep/nn/norm.py

struct Maps {
    int64_t batch, lines, positions, channels;
    int64_t all() const { return batch * lines; }
    int64_t line() const { return positions * 2 * channels; }
};

// Call body<W>(first channel) for all channels. The last step may overlap the one before, so a
// body must not read what it writes.
template <class Body>
void over_channels(int64_t C, const Body& body) {
    const auto steps = [&]<int W>() {
        for (int64_t c = 0; c + W <= C; c += W) body.template operator()<W>(c);
        if (C % W) body.template operator()<W>(C - W);
    };
    if (C >= 16) return steps.template operator()<16>();
    if (C >= 8) return steps.template operator()<8>();
    if (C >= 4) return steps.template operator()<4>();
    steps.template operator()<1>();
}

// Sums of r, i, rr, ri, ii about the shift over one line, to sums[k * C + c].
template <int W, class T>
void sum_line(const T* from, int64_t count, int64_t C, const float* shift, float* sums) {
    typename Vector<W>::f sr = {}, si = {}, rr = {}, ri = {}, ii = {};
    const auto kr = load<W>(shift), ki = load<W>(shift + C);
    for (int64_t n = 0; n < count; ++n, from += 2 * C) {
        const auto r = load<W>(from) - kr, i = load<W>(from + C) - ki;
        sr += r;
        si += i;
        rr += r * r;
        ri += r * i;
        ii += i * i;
    }
    store<W>(sums, sr);
    store<W>(sums + C, si);
    store<W>(sums + 2 * C, rr);
    store<W>(sums + 3 * C, ri);
    store<W>(sums + 4 * C, ii);
}

template <class T>
void sum_line(const T* from, int64_t count, int64_t C, const float* shift, float* sums) {
    over_channels(C, [&]<int W>(int64_t c) {
        sum_line<W>(from + c, count, C, shift + c, sums + c);
    });
}

// Runs body(line, sums, shift of the example) on all lines and makes statistics of the sums.
template <class Body>
void gather(const Maps& m, const std::vector<float>& shift, float* statistics, int threads,
            const Body& body) {
    const int64_t C = m.channels;
    std::vector<float> sums(m.all() * 5 * C);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t n = 0; n < m.all(); ++n)
        body(n, sums.data() + n * 5 * C, shift.data() + n / m.lines * 2 * C);
    std::vector<double> total(5 * C);
    const double count = static_cast<double>(m.lines) * m.positions;
    for (int64_t b = 0; b < m.batch; ++b) {
        std::fill(total.begin(), total.end(), 0.0);
        const float* from = sums.data() + b * m.lines * 5 * C;
        for (int64_t y = 0; y < m.lines; ++y, from += 5 * C)
            for (int64_t j = 0; j < 5 * C; ++j) total[j] += from[j];
        for (double& value : total) value /= count;
        const float* k = shift.data() + b * 2 * C;
        float* to = statistics + b * C;
        for (int64_t c = 0; c < C; ++c, ++to) {
            const int64_t plane = m.batch * C;
            const double r = total[c], i = total[C + c];
            to[0] = static_cast<float>(k[c] + r);
            to[plane] = static_cast<float>(k[C + c] + i);
            to[2 * plane] = static_cast<float>(total[2 * C + c] - r * r);
            to[3 * plane] = static_cast<float>(total[3 * C + c] - r * i);
            to[4 * plane] = static_cast<float>(total[4 * C + c] - i * i);
        }
    }
}

inline float wide(float value) { return value; }
inline float wide(bf16 value) { return load<1>(&value)[0]; }

// The first position of each example: sums about it keep their precision under a large mean.
template <class T>
std::vector<float> first_positions(const T* maps, const Maps& m) {
    std::vector<float> shift(m.batch * 2 * m.channels);
    for (int64_t b = 0; b < m.batch; ++b)
        for (int64_t j = 0; j < 2 * m.channels; ++j)
            shift[b * 2 * m.channels + j] = wide(maps[b * m.lines * m.line() + j]);
    return shift;
}

// The 2x2 map of every channel, from statistics and the norm's parameters.
class Coefficients {
  public:
    Coefficients(int64_t batch, int64_t channels)
        : channels_(channels), values_(batch * 6 * channels) {}

    // One example's channels from `at` on; statistics are means r, i and covariance rr, ri, ii.
    void set(int64_t b, int64_t c, const double* s, const float* gain, const float* bias) {
        const double rr = s[2] + EPS, ri = s[3], ii = s[4] + EPS;
        const double root = std::sqrt(std::fmax(rr * ii - ri * ri, EPS * EPS));
        const double k = 1 / (root * std::sqrt(rr + ii + 2 * root));
        const double w_rr = (ii + root) * k, w_ri = -ri * k, w_ii = (rr + root) * k;
        const int64_t C = channels_;
        const double g_rr = gain[c], g_ri = gain[C + c], g_ii = gain[2 * C + c];
        const double m[4] = {g_rr * w_rr + g_ri * w_ri, g_rr * w_ri + g_ri * w_ii,
                             g_ri * w_rr + g_ii * w_ri, g_ri * w_ri + g_ii * w_ii};
        float* to = values_.data() + b * 6 * C + c;
        for (int n = 0; n < 4; ++n) to[n * C] = static_cast<float>(m[n]);
        to[4 * C] = static_cast<float>(bias[c] - m[0] * s[0] - m[1] * s[1]);
        to[5 * C] = static_cast<float>(bias[C + c] - m[2] * s[0] - m[3] * s[1]);
    }

    template <int W>
    Affine<W> at(int64_t b, int64_t c) const {
        const float* from = values_.data() + b * 6 * channels_ + c;
        return Affine<W>(from, from + 4 * channels_, channels_, 0);
    }

  private:
    int64_t channels_;
    std::vector<float> values_;
};

// Statistics [5][batch][channels], of one map or of two that are concatenated.
struct Statistics {
    const float* first;
    const float* second;
    int64_t batch, split, channels;

    double at(int k, int64_t b, int64_t c) const {
        const int64_t rest = channels - split;
        return c < split ? first[(k * batch + b) * split + c]
                         : second[(k * batch + b) * rest + c - split];
    }
};

Coefficients coefficients(const Statistics& s, const float* gain, const float* bias, bool layer) {
    Coefficients out(s.batch, s.channels);
    for (int64_t b = 0; b < s.batch; ++b) {
        double all[5] = {};
        for (int64_t c = 0; layer && c < s.channels; ++c) {
            for (int k = 0; k < 2; ++k) all[k] += s.at(k, b, c) / s.channels;
        }
        for (int64_t c = 0; layer && c < s.channels; ++c) {
            const double r = s.at(0, b, c) - all[0], i = s.at(1, b, c) - all[1];
            all[2] += (s.at(2, b, c) + r * r) / s.channels;
            all[3] += (s.at(3, b, c) + r * i) / s.channels;
            all[4] += (s.at(4, b, c) + i * i) / s.channels;
        }
        for (int64_t c = 0; c < s.channels; ++c) {
            double own[5];
            for (int k = 0; k < 5; ++k) own[k] = layer ? all[k] : s.at(k, b, c);
            out.set(b, c, own, gain, bias);
        }
    }
    return out;
}

}  // namespace
