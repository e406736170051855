// Lines of complex maps, and statistics of maps from sums over their lines.

#pragma once

#include "complex_norm/folds.hpp"
#include "complex_norm/whitening.hpp"

namespace {

struct Maps {
    int64_t batch, lines, positions, channels;
    int64_t all() const { return batch * lines; }
    int64_t line() const { return positions * 2 * channels; }
    int64_t example() const { return lines * line(); }
};

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
        about_mean(total, count, shift.data() + b * 2 * C, C, statistics + b * C, m.batch * C);
    }
}

// The first position of each example: sums about it keep their precision under a large mean.
template <class T>
std::vector<float> first_positions(const T* maps, const Maps& m) {
    std::vector<float> shift(m.batch * 2 * m.channels);
    for (int64_t b = 0; b < m.batch; ++b)
        convert(maps + b * m.example(), 2 * m.channels, shift.data() + b * 2 * m.channels);
    return shift;
}

}  // namespace
