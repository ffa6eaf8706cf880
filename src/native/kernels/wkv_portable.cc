// Any processor: vectors of four floats by the compiler.
#include "wkv.h"

namespace rookery {
namespace {

constexpr int W = 4;
typedef float vf __attribute__((vector_size(16)));
typedef int vi __attribute__((vector_size(16)));

inline void sum4(const vf* x, float* out) {
  for (int i = 0; i < 4; ++i) out[i] = (x[i][0] + x[i][2]) + (x[i][1] + x[i][3]);
}

}  // namespace
}  // namespace rookery

#include "wkv.inl"

const rookery::WkvKernels rookery::kWkvPortable = ROOKERY_WKV_KERNELS("portable");
