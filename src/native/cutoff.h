// Selection without sorting.
#pragma once
#include <cstdint>
#include <vector>

namespace rookery {

struct Cutoff {
  uint32_t key;  // of the element at which the target was reached
  double above;  // weight of the elements with a strictly greater key
};

// Walk the elements in descending order of key, adding up weights: where is `target` first reached?
// Where rounding keeps the sum below the target, the smallest key is the answer.
// keys must not be empty; weights are positive, or `weights` is null and each counts 1.
// Three rounds of counting by digits: O(n), no comparison sort, and the same sums on every platform.
Cutoff cut_off(const std::vector<uint32_t>& keys, const float* weights, double target);

}  // namespace rookery
