#include "cutoff.h"

#include <array>
#include <cstddef>

namespace rookery {
namespace {

constexpr int kDigitBits = 11;  // 2048 sums of 8 bytes stay in the first-level cache
using Sums = std::array<double, size_t{1} << kDigitBits>;

struct Digit {
  int shift, bits;
  uint32_t of(uint32_t key) const { return (key >> shift) & ((1u << bits) - 1); }
  uint32_t mask() const { return ((1u << bits) - 1) << shift; }
};

constexpr Digit kDigits[] = {{21, 11}, {10, 11}, {0, 10}};

// The digit in which `target` is reached, from the top; `above` grows by what lies over it.
uint32_t reach(const Sums& sums, double target, double& above) {
  uint32_t lowest = 0;
  double over_lowest = above;
  for (size_t d = sums.size(); d-- > 0;) {
    if (sums[d] == 0) continue;
    lowest = static_cast<uint32_t>(d);
    over_lowest = above;
    if (above + sums[d] >= target) return lowest;
    above += sums[d];
  }
  above = over_lowest;
  return lowest;
}

}  // namespace

Cutoff cut_off(const std::vector<uint32_t>& keys, const float* weights, double target) {
  Cutoff cut{0, 0};
  uint32_t known = 0;
  for (const Digit& digit : kDigits) {
    Sums sums{};
    for (size_t i = 0; i < keys.size(); ++i)
      if ((keys[i] & known) == cut.key) sums[digit.of(keys[i])] += weights ? weights[i] : 1.0;
    cut.key |= reach(sums, target, cut.above) << digit.shift;
    known |= digit.mask();
  }
  return cut;
}

}  // namespace rookery
