// Sums over positions of whole maps, in groups whose number depends on the maps alone, so that no
// result depends on the number of threads.

#pragma once

#include <algorithm>
#include <cstdint>

namespace {

// Positions that a piece has on the way back: what is found of them fills the second cache.
constexpr int64_t AT_ONCE_BACK = 256;

// Of `pieces`. Each group has sums of its own, which cost as much memory as all weights, and as
// much time as a piece or so; a thread takes whole groups.
inline int64_t groups(int64_t pieces) { return std::clamp<int64_t>(pieces / 4, 1, 64); }

// Calls body(group, its first piece, the one behind its last) by the threads of a parallel region.
template <class Body>
void over_groups(int64_t count, int64_t pieces, const Body& body) {
#pragma omp for schedule(dynamic, 1)
    for (int64_t g = 0; g < count; ++g) body(g, g * pieces / count, (g + 1) * pieces / count);
}

// Adds the sums [count][size] of all groups to those of the first, by such threads.
inline void total_groups(float* sums, int64_t count, int64_t size) {
    constexpr int64_t at_once = 1024;
#pragma omp for schedule(static)
    for (int64_t first = 0; first < size; first += at_once)
        for (int64_t g = 1; g < count; ++g)
            for (int64_t j = first; j < std::min(size, first + at_once); ++j)
                sums[j] += sums[g * size + j];
}

}  // namespace
