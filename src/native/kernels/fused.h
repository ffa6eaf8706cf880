// Kernels of fused row-wise ops for training, forward and backward, on small tiles of numbers.
//
// A tile is a few rows of some columns, without gaps, in a buffer that has room for a whole number of vectors and whose
// numbers behind the last are finite.  Vectors of parameters come as tiles too, repeated for every row, so that there
// is one kind of operand.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rookery {

// The vocabulary of src/rookery/ops/__init__.py that looks at one row only.  Offset and Scale take a number for the
// second operand; Norm is layer_norm and group_norm alike: operands x, weight, bias.
enum class Fused : int { Add, Sub, Mul, Offset, Scale, Exp, Tanh, Sigmoid, Silu, Relu2, Norm, L2Norm, HeadSum };

constexpr int kMostOperands = 3;
constexpr size_t kMostVector = 16;  // floats in a vector of any table

// One op on a tile of `count` numbers, in spans of `lanes` for ops that look across columns.
struct FusedStep {
  Fused code;
  size_t count;
  int lanes;
  float scalar;  // the number, or eps
  const float* x[kMostOperands];
  float* y;  // backward: what forward left there
};

// Where gradients go: dx may be nullptr, else dx = or += the gradient, as `add` says.
struct FusedGradients {
  const float* dy;
  float* dx[kMostOperands];
  bool add[kMostOperands];
};

struct Softmax {
  float top, sum;  // the largest number, and the sum of e^(x - top)
};

struct FusedKernels {
  const char* name;
  void (*forward)(const FusedStep& step);
  // Reads of x and y only what the op's derivative needs; see `Plan` in fused.cc.
  void (*backward)(const FusedStep& step, const FusedGradients& to);
  void (*add)(float* x, const float* y, size_t count);  // x += y, any count
  // bfloat16 to floats and back, rounded to nearest even; any count.
  void (*widen)(const uint16_t* x, float* y, size_t count);
  void (*narrow)(const float* x, uint16_t* y, size_t count);
  // x becomes e^(x - top); then x becomes x * factor; any count.
  Softmax (*softmax)(float* x, size_t count);
  void (*scale)(float* x, float factor, size_t count);
};

extern const FusedKernels kFusedPortable;
#if defined(__x86_64__)
extern const FusedKernels kFusedAvx2;
extern const FusedKernels kFusedAvx512;
#elif defined(__aarch64__)
extern const FusedKernels kFusedNeon;
#endif

}  // namespace rookery
