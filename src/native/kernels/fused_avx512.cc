// AVX-512 F, BW, VL, DQ.
#include "fused.h"

namespace rookery {
namespace {

constexpr int W = 16;
typedef float vf __attribute__((vector_size(64)));
typedef int vi __attribute__((vector_size(64)));

}  // namespace
}  // namespace rookery

#include "fused.inl"

const rookery::FusedKernels rookery::kFusedAvx512 = ROOKERY_FUSED_KERNELS("avx512");
