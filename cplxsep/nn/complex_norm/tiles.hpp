// Rows of a batch cut into tiles of fixed size, whose sums are added in a fixed order: results do
// not depend on the number of threads.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace {

constexpr int64_t TILE = 512;       // rows
constexpr int64_t CACHE = 1 << 19;  // bytes of maps that a thread finds again

struct Shape {
    int64_t batch, positions, channels;
    int64_t tiles() const { return (positions + TILE - 1) / TILE; }
    int64_t row() const { return 2 * channels; }
    int64_t example() const { return positions * row(); }
    int64_t at_once(int64_t bytes, int threads) const {
        return std::clamp<int64_t>(CACHE * threads / (example() * bytes), 1, batch);
    }
};

// Some examples of all.
struct Few {
    int64_t begin, count;
};

// Calls body(example, first row, rows, tile of these examples) for every tile, in parallel.
template <class Body>
void over_tiles(const Shape& s, Few few, int threads, const Body& body) {
    const int64_t tiles = s.tiles(), all = few.count * tiles;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t n = 0; n < all; ++n) {
        const int64_t first = (n % tiles) * TILE;
        body(few.begin + n / tiles, first, std::min(TILE, s.positions - first), n);
    }
}

// Sums over the tiles of an example, from [tile][KINDS][channels] to [KINDS][channels].
template <int KINDS>
std::vector<double> total(const Shape& s, const std::vector<float>& partial, int64_t example) {
    std::vector<double> sums(KINDS * s.channels);
    const float* from = partial.data() + example * s.tiles() * KINDS * s.channels;
    for (int64_t t = 0; t < s.tiles(); ++t)
        for (double& sum : sums) sum += *from++;
    return sums;
}

}  // namespace
