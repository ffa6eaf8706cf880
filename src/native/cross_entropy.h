// Softmax, its cross-entropy and the gradient of that in one pass over logits.
#pragma once
#include <cstdint>

#include "fused.h"

namespace rookery {

// Of `rows` rows of logits: adds up weight * -log softmax(row)[target] in double precision, in the order of rows, and
// puts the gradient in the place of the logits: weight * (softmax - 1 at the target + flatten * top at the top).
struct CrossEntropy {
  int64_t rows, vocab;
  Numbers logits;
  const int64_t* targets;  // inside the vocabulary
  const float* weights;
  float flatten;

  double run(const FusedKernels& kernels, Threads& threads) const;

 private:
  double row(const FusedKernels& kernels, int64_t row, float* x) const;
};

}  // namespace rookery
