// Statistics of complex channels, and the affine map of each channel that whitens them.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

constexpr double EPS = 1e-4;  // on the covariance's diagonal, as in statement.py

// Statistics of an example, `plane` apart, from sums [5][channels] over `count` positions about the
// shift.
inline void about_mean(const std::vector<double>& sums, double count, const float* shift, int64_t C,
                       float* to, int64_t plane) {
    for (int64_t c = 0; c < C; ++c, ++to) {
        const double r = sums[c] / count, i = sums[C + c] / count;
        to[0] = static_cast<float>(shift[c] + r);
        to[plane] = static_cast<float>(shift[C + c] + i);
        to[2 * plane] = static_cast<float>(sums[2 * C + c] / count - r * r);
        to[3 * plane] = static_cast<float>(sums[3 * C + c] / count - r * i);
        to[4 * plane] = static_cast<float>(sums[4 * C + c] / count - i * i);
    }
}

// V^-1/2 of a covariance V with EPS on its diagonal, and its derivative (statement.py).
struct Whitening {
    double v_rr, v_ri, v_ii, s, t, k, rr, ri, ii;

    Whitening(double cov_rr, double cov_ri, double cov_ii)
        : v_rr(cov_rr + EPS), v_ri(cov_ri), v_ii(cov_ii + EPS),
          // At least EPS^2 in exact arithmetic; rounding of a nearly singular V must not pass it.
          s(std::sqrt(std::fmax(v_rr * v_ii - v_ri * v_ri, EPS * EPS))),
          t(std::sqrt(v_rr + v_ii + 2 * s)), k(1 / (s * t)), rr((v_ii + s) * k), ri(-v_ri * k),
          ii((v_rr + s) * k) {}

    // Gradient for rr, ri, ii of the covariance, `stride` apart, from that for those of V^-1/2.
    void backward(double g_rr, double g_ri, double g_ii, double* to, int64_t stride) const {
        const double into_k = g_rr * (v_ii + s) - g_ri * v_ri + g_ii * (v_rr + s);
        const double into_t = -into_k * k / t;
        const double into_s = (g_rr + g_ii - into_k / s) * k + into_t / t;
        const double both = into_t / (2 * t), half = into_s / (2 * s);
        to[0] = g_ii * k + both + half * v_ii;
        to[stride] = -g_ri * k - 2 * half * v_ri;
        to[2 * stride] = g_rr * k + both + half * v_rr;
    }
};

// The 2x2 map of every channel, from statistics and the norm's parameters.
class Coefficients {
  public:
    Coefficients(int64_t batch, int64_t channels)
        : channels_(channels), values_(batch * 6 * channels) {}

    // One example's channels from `at` on; statistics are means r, i and covariance rr, ri, ii.
    void set(int64_t b, int64_t c, const double* s, const float* gain, const float* bias) {
        const Whitening w(s[2], s[3], s[4]);
        const int64_t C = channels_;
        const double g_rr = gain[c], g_ri = gain[C + c], g_ii = gain[2 * C + c];
        const double m[4] = {g_rr * w.rr + g_ri * w.ri, g_rr * w.ri + g_ri * w.ii,
                             g_ri * w.rr + g_ii * w.ri, g_ri * w.ri + g_ii * w.ii};
        float* to = values_.data() + b * 6 * C + c;
        for (int n = 0; n < 4; ++n) to[n * C] = static_cast<float>(m[n]);
        to[4 * C] = static_cast<float>(bias[c] - m[0] * s[0] - m[1] * s[1]);
        to[5 * C] = static_cast<float>(bias[C + c] - m[2] * s[0] - m[3] * s[1]);
    }

    // The example's matrix and offset, [6][channels].
    const float* example(int64_t b) const { return values_.data() + b * 6 * channels_; }

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

// Statistics of an example's channel, or of all its channels as one.
struct Pooled {
    double values[5] = {};

    Pooled(const Statistics& s, int64_t b, int64_t c) {
        for (int k = 0; k < 5; ++k) values[k] = s.at(k, b, c);
    }

    Pooled(const Statistics& s, int64_t b) {
        for (int64_t c = 0; c < s.channels; ++c)
            for (int k = 0; k < 2; ++k) values[k] += s.at(k, b, c) / s.channels;
        for (int64_t c = 0; c < s.channels; ++c) {
            const double r = s.at(0, b, c) - values[0], i = s.at(1, b, c) - values[1];
            values[2] += (s.at(2, b, c) + r * r) / s.channels;
            values[3] += (s.at(3, b, c) + r * i) / s.channels;
            values[4] += (s.at(4, b, c) + i * i) / s.channels;
        }
    }
};

// Coefficients of one example's channels.
inline void set_example(Coefficients& out, const Statistics& s, int64_t b, const float* gain,
                        const float* bias, bool layer) {
    if (layer) {
        const Pooled all(s, b);
        for (int64_t c = 0; c < s.channels; ++c) out.set(b, c, all.values, gain, bias);
    } else {
        for (int64_t c = 0; c < s.channels; ++c)
            out.set(b, c, Pooled(s, b, c).values, gain, bias);
    }
}

inline Coefficients coefficients(const Statistics& s, const float* gain, const float* bias,
                                 bool layer) {
    Coefficients out(s.batch, s.channels);
    for (int64_t b = 0; b < s.batch; ++b) set_example(out, s, b, gain, bias, layer);
    return out;
}

}  // namespace
