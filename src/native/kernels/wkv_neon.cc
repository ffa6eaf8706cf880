// NEON.
#include <arm_neon.h>

#include "wkv.h"

namespace rookery {
namespace {

constexpr int W = 4;
typedef float vf __attribute__((vector_size(16)));
typedef int vi __attribute__((vector_size(16)));

inline void sum4(const vf* x, float* out) {
  const float32x4_t ab = vpaddq_f32(float32x4_t(x[0]), float32x4_t(x[1]));
  const float32x4_t cd = vpaddq_f32(float32x4_t(x[2]), float32x4_t(x[3]));
  vst1q_f32(out, vpaddq_f32(ab, cd));
}

}  // namespace
}  // namespace rookery

#include "wkv.inl"

const rookery::WkvKernels rookery::kWkvNeon = ROOKERY_WKV_KERNELS("neon");
