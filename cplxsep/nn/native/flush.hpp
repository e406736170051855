// Arithmetic that takes numbers too small for a float's full precision for zero.
//
// Where a signal is silent, what a recurrence remembers fades to such numbers, and its gradient
// does so sooner. Processors compute with them a hundred times slower, to no use.

#pragma once

#if defined(__SSE__)
#include <immintrin.h>
#endif

namespace {

// In this thread, for as long as it lives.
class FlushDenormals {
  public:
#if defined(__SSE__)
    FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
    ~FlushDenormals() { _mm_setcsr(before_); }

  private:
    unsigned before_;
#else
    FlushDenormals() {}
    ~FlushDenormals() {}  // not trivial: its objects count as used
#endif
};

}  // namespace
