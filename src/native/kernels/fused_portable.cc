// Any processor: vectors of four floats by the compiler.
#include "fused.h"

namespace rookery {
namespace {

constexpr int W = 4;
typedef float vf __attribute__((vector_size(16)));
typedef int vi __attribute__((vector_size(16)));

}  // namespace
}  // namespace rookery

#include "fused.inl"

const rookery::FusedKernels rookery::kFusedPortable = ROOKERY_FUSED_KERNELS("portable");
