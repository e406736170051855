// Tiles of products in the registers of AMX, which multiply squares of bfloat16 or bytes.
//
// Registers 0 to 3 are four squares of sums, 4 and 5 two of rows, 6 and 7 two of a panel. Sums of
// bytes are those of vectors, to the last bit.

#pragma once

#include "residual_blocks/panels.hpp"

#ifdef CPLXSEP_AMX
namespace {

// What the registers are told of their shapes; as a constant, for GCC believes that only its first
// bytes are read.
struct alignas(64) Shapes {
    uint8_t palette = 1, begin_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {DEEP, DEEP, DEEP, DEEP, DEEP, DEEP, DEEP, DEEP};
    uint8_t rows[16] = {SQUARE, SQUARE, SQUARE, SQUARE, SQUARE, SQUARE, SQUARE, SQUARE};
};
static_assert(sizeof(Shapes) == 64);
constexpr Shapes SHAPES;

// While this lives, the thread's registers have these shapes. Whoever else uses them, as oneDNN,
// says so for himself each time.
class InSquares {
  public:
    InSquares() { _tile_loadconfig(&SHAPES); }
    InSquares(const InSquares&) = delete;
    ~InSquares() { _tile_release(); }
};

inline void multiply_squares(const bf16*) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

inline void multiply_squares(const byte*) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
}

// As `Vectors`. There is one at a time, within the life of an `InSquares`.
template <class T>
struct Squares {
    static_assert(LANES == SQUARE);
    const T* header;

    explicit Squares(const T* panel) : header(panel) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }

    // `meanwhile` is called in each step: products take their time, and vectors have none to do.
    template <class Meanwhile = Nothing>
    inline __attribute__((always_inline)) void add(const T* rows, int64_t stride, const T* panel,
                                                   int64_t K, const Meanwhile& meanwhile = {}) {
        constexpr int64_t deep = DEEP / sizeof(T);
        asm volatile("" ::: "memory");  // GCC's loads do not say that they read memory
        int64_t k = 0;
        for (; k + deep <= K; k += deep, panel += deep * PANEL) {
            add_step(rows + k, stride, panel);
            meanwhile();
        }
        if (k < K) add_step(rows + step_begin<T>(k, K), stride, panel);
    }

    void collect(Sums<T>& sums) const {
        write(sums.values[0], PANEL);
        sums.header = header;
    }

    template <class Body>
    inline __attribute__((always_inline)) void each(int64_t count, const Body& body) const {
        Sums<T> sums;
        collect(sums);
        for (int64_t m = 0; m < count; ++m) {
            Lane row[VECTORS];
            sums.row(m, row);
            body(m, row);
        }
    }

    inline __attribute__((always_inline)) void add_step(const T* rows, int64_t stride,
                                                        const T* panel) {
        _tile_loadd(4, rows, stride * sizeof(T));
        _tile_loadd(5, rows + SQUARE * stride, stride * sizeof(T));
        // A panel fills the nearest cache, and all else that is there is needed sooner.
        _tile_stream_loadd(6, panel, DEEP);
        _tile_stream_loadd(7, panel + PANEL / 2 * DEEP / sizeof(T), DEEP);
        multiply_squares(panel);
    }

    // All sums, in rows that begin `apart` values apart.
    void write(float* to, int64_t apart) const {
        _tile_stored(0, to, 4 * apart);
        _tile_stored(1, to + SQUARE, 4 * apart);
        _tile_stored(2, to + SQUARE * apart, 4 * apart);
        _tile_stored(3, to + SQUARE * apart + SQUARE, 4 * apart);
    }

    // Begin with what is there.
    void read(const float* from, int64_t apart) {
        asm volatile("" ::: "memory");
        _tile_loadd(0, from, 4 * apart);
        _tile_loadd(1, from + SQUARE, 4 * apart);
        _tile_loadd(2, from + SQUARE * apart, 4 * apart);
        _tile_loadd(3, from + SQUARE * apart + SQUARE, 4 * apart);
    }
};

}  // namespace
#endif
