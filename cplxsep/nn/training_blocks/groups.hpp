// Sums over positions of whole maps, in groups whose number is fixed, so that no result depends on
// the number of threads.

#pragma once

#include <algorithm>
#include <cstdint>

namespace {

constexpr int64_t GROUPS = 16;

// Calls body(group, its first piece, the one behind its last) by the threads of a parallel region.
template <class Body>
void over_groups(int64_t pieces, const Body& body) {
    const int64_t each = (pieces + GROUPS - 1) / GROUPS;
#pragma omp for schedule(dynamic, 1)
    for (int64_t g = 0; g < GROUPS; ++g)
        body(g, std::min(pieces, g * each), std::min(pieces, (g + 1) * each));
}

// Adds all groups' sums [GROUPS][size] to those of the first, by such threads.
inline void total_groups(float* sums, int64_t size) {
    constexpr int64_t at_once = 1024;
#pragma omp for schedule(static)
    for (int64_t first = 0; first < size; first += at_once)
        for (int64_t g = 1; g < GROUPS; ++g)
            for (int64_t j = first; j < std::min(size, first + at_once); ++j)
                sums[j] += sums[g * size + j];
}

}  // namespace
