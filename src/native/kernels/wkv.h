// Kernels of the WKV recurrences for training: up to 64 rows of one head at a time, forward and backward.
#pragma once
#include <cstddef>

namespace rookery {

constexpr int kWkvChunk = 64;       // rows between two kept states
constexpr int kWkvMostLanes = 512;  // of a head
constexpr int kWkvChannels = 64;    // of RWKV-4, taken together
constexpr int kWkvBlock = 8;        // no kernel takes more value lanes at once

// Rows of one head, the operands of a row side by side, `lanes` numbers each, lanes that a head lacks zero:
//   RWKV-7       r w k v a b dy
//   RWKV-5, 6    r w k v dy
//   RWKV-4       k v dy, of 64 channels
// lanes: 16, 32, 64 or another multiple of 16.  States are (value lane, key lane); RWKV-4's (4, 64): numerator,
// denominator, exponent, and what rounding took from the exponent, zero where a segment begins and ends.
struct WkvRows {
  int count, lanes;
  const float* x;
  const float* u;    // RWKV-4, 5, 6: the bonus
  const float* w;    // RWKV-4: the logarithm of the decay
  bool first, last;  // whether a segment begins here, and ends
  float* reads;      // RWKV-7: S a of every row, for the way back: 64 x lanes in the kernel's order; or nullptr
};

// Where the gradients of rows go: those of the operands but dy, in their order; du and dw are added to.
struct WkvGradients {
  float* dx;
  float* du;
  float* dw;
};

struct WkvKernels {
  const char* name;
  // y: count x lanes.  The state becomes the one after the rows.
  void (*forward7)(const WkvRows& rows, float* state, float* y);
  void (*forward6)(const WkvRows& rows, float* state, float* y);
  void (*forward4)(const WkvRows& rows, float* state, float* y);
  // state: the one before the rows.  ds: the gradient of the state after the rows becomes that of the one before;
  // between the chunks of a segment, RWKV-4's are in its kernel's own terms.
  // scratch: wkv_scratch(lanes) floats.
  void (*backward7)(const WkvRows& rows, const float* state, float* ds, const WkvGradients& to, float* scratch);
  void (*backward6)(const WkvRows& rows, const float* state, float* ds, const WkvGradients& to, float* scratch);
  void (*backward4)(const WkvRows& rows, const float* state, float* ds, const WkvGradients& to, float* scratch);
};

inline size_t wkv_scratch(int lanes) { return (kWkvChunk + 1) * size_t(kWkvBlock) * (lanes + 1); }

extern const WkvKernels kWkvPortable;
#if defined(__x86_64__)
extern const WkvKernels kWkvAvx2;
extern const WkvKernels kWkvAvx512;
#elif defined(__aarch64__)
extern const WkvKernels kWkvNeon;
#endif

}  // namespace rookery
