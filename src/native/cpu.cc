// Which kernels this processor can run.
#include <cstring>

#include "kernels/table.h"

namespace rookery {
namespace {

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
#endif
      {&kPortable, true},
  };
  for (const Choice& c : choices)
    if (c.runs && (name == nullptr || std::strcmp(name, c.table->name) == 0)) return c.table;
  return nullptr;
}

}  // namespace rookery
