// core_check [TABLE [RECORDING ...]]: checks one table, or all that this processor runs and the rest of the core.
#include <cmath>
#include <cstdio>
#include <cstring>

#include "check.h"

namespace check {
namespace {

int failed = 0;

}  // namespace

int failures() { return failed; }

void expect(bool holds, const std::string& what) {
  if (holds) return;
  if (++failed <= 20) std::printf("FAILED %s\n", what.c_str());
}

void expect_close(const Floats& got, const Doubles& want, const Doubles& bound, const std::string& what) {
  for (size_t i = 0; i < got.size(); ++i) {
    const bool same = got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]));
    if (same || std::fabs(got[i] - want[i]) <= bound[i]) continue;
    return expect(false, what + ": number " + std::to_string(i) + " is " + std::to_string(got[i]) + ", not " +
                             std::to_string(want[i]) + " within " + std::to_string(bound[i] * 1e6) + "e-6");
  }
}

void expect_same_bits(const float* got, const float* want, size_t n, const std::string& what) {
  expect(n == 0 || std::memcmp(got, want, n * sizeof(float)) == 0, what + ": other bits");
}

void digest(const std::string& name, const void* data, size_t bytes) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (size_t i = 0; i < bytes; ++i) hash = (hash ^ static_cast<const uint8_t*>(data)[i]) * 0x100000001b3;
  std::printf("digest %s %016llx\n", name.c_str(), static_cast<unsigned long long>(hash));
}

Floats Numbers::many(size_t n, double low, double high) {
  Floats x(n);
  const double middle = (low + high) / 2, half = (high - low) / 2;
  for (float& v : x) v = static_cast<float>(middle + half * (2 * random_.uniform() - 1) * random_.uniform());
  return x;
}

}  // namespace check

namespace {

void check_table(const rookery::Kernels& table) {
  check::linear(table);
  check::norms(table);
  check::elementwise(table);
  check::memories(table);
  check::training(table);
  std::printf("checked %s\n", table.name);
}

}  // namespace

int main(int argc, char** argv) {
  const rookery::Kernels* best = rookery::choose_kernels(argc > 1 ? argv[1] : nullptr);
  if (best == nullptr) {
    std::printf("no table %s here\n", argv[1]);
    return 2;
  }
  std::printf("best %s\n", best->name);
  for (int i = 2; i < argc; ++i) check::replay(*best, argv[i]);
  if (argc == 1) check::core();
  if (argc <= 2)
    for (const char* name : rookery::kTableNames)
      if (const rookery::Kernels* table = rookery::choose_kernels(name); table && (argc == 1 || table == best))
        check_table(*table);
  std::printf("%d failures\n", check::failures());
  return check::failures() != 0;
}
