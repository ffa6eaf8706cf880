// Which kernels this processor can run.
#include <cstring>

#include "kernels/table.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace rookery {
namespace {

#if defined(__aarch64__)
// Whether there are dot products of bytes.  The operating system says so: the processor tells only the kernel.
bool has_dot_products() {
#if defined(__linux__)
  constexpr unsigned long kDotProducts = 1ul << 20;  // HWCAP_ASIMDDP
  return getauxval(AT_HWCAP) & kDotProducts;
#elif defined(__APPLE__)
  int has = 0;
  size_t size = sizeof has;
  return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, nullptr, 0) == 0 && has != 0;
#else
  return false;
#endif
}
#endif

struct Choice {
  const Kernels* table;
  bool runs;
};

}  // namespace

const Kernels* choose_kernels(const char* name) {
  const Choice choices[] = {
#if defined(__x86_64__)
      {&kAvx512, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni") &&
                     __builtin_cpu_supports("fma")},
      {&kAvx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")},
#elif defined(__aarch64__)
      {&kNeon, has_dot_products()},
#endif
      {&kPortable, true},
  };
  for (const Choice& c : choices)
    if (c.runs && (name == nullptr || std::strcmp(name, c.table->name) == 0)) return c.table;
  return nullptr;
}

}  // namespace rookery
