// What the memory of a thread is for, by its numbers, beside that of residual_blocks/products.hpp.

#pragma once

namespace {

// What does not live at a time has one number, so that it stays in the cache from block to block.
enum Memory {
    // Of a piece.
    OVER_POSITIONS = 20,
    OWN,
    GRADS,
    HIDDEN,
    OF_STATES,
    OF_GIVEN,
    TURNED,
    FOUND,
    // Of a call: sums of all groups, weights in several orders, several packed ones.
    SUMS = 30,
    ORDERED = 40,
    PACKED = 50,
    // Where the bands that a kernel sees lie.
    BANDS = OF_GIVEN,
    TURNED_BANDS = OF_STATES,
};

}  // namespace
