// AVX2 with FMA.
#include "fused.h"

namespace rookery {
namespace {

constexpr int W = 8;
typedef float vf __attribute__((vector_size(32)));
typedef int vi __attribute__((vector_size(32)));

}  // namespace
}  // namespace rookery

#include "fused.inl"

const rookery::FusedKernels rookery::kFusedAvx2 = ROOKERY_FUSED_KERNELS("avx2");
