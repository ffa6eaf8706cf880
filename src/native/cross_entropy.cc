#include "cross_entropy.h"

#include <atomic>
#include <cmath>
#include <numeric>

#include "aligned.h"
#include "threads.h"

namespace rookery {
namespace {

constexpr int64_t kRows = 8;  // taken by a thread at once

}  // namespace

double CrossEntropy::run(const FusedKernels& kernels, Threads& threads) const {
  const AlignedFloats room(logits.half ? vocab * threads.count() : 0);
  std::vector<double> losses(rows);
  std::atomic<int64_t> next{0};
  threads.run([&](int thread) {
    float* wide = room.data() + (logits.half ? vocab * thread : 0);
    for (int64_t begin; (begin = next.fetch_add(kRows)) < rows;)
      for (int64_t i = begin; i < std::min(begin + kRows, rows); ++i) {
        uint16_t* half = static_cast<uint16_t*>(logits.data) + i * vocab;
        if (logits.half) kernels.widen(half, wide, vocab);
        losses[i] = row(kernels, i, logits.half ? wide : static_cast<float*>(logits.data) + i * vocab);
        if (logits.half) kernels.narrow(wide, half, vocab);
      }
  });
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

double CrossEntropy::row(const FusedKernels& kernels, int64_t row, float* x) const {
  const float weight = weights[row], asked = x[targets[row]];
  if (weight == 0) {
    std::fill(x, x + vocab, 0.0f);
    return 0;
  }
  int64_t place = 0;
  if (flatten != 0)
    for (int64_t i = 1; i < vocab; ++i)
      if (x[i] > x[place]) place = i;
  const Softmax found = kernels.softmax(x, vocab);
  kernels.scale(x, weight / found.sum, vocab);
  x[targets[row]] -= weight;
  if (flatten != 0) x[place] += weight * flatten * found.top;
  return double(weight) * (std::log(double(found.sum)) + found.top - asked);
}

}  // namespace rookery
