// Which kernels this processor can run.
#include <cstring>

#include "kernels/table.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace rookery {
namespace {

#if defined(__x86_64__)

// clang learnt to ask for it by name only lately.
bool has_f16c() {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

// The builtin also asks whether the system saves the registers.
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c(); }

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

#elif defined(__aarch64__)

// Products of bytes.  The operating system is asked: the processor tells only the kernel.
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
      {&kAvx512, has_avx512()},
      {&kAvx2, has_avx2()},
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
