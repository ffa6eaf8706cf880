// What the machine can deliver at this moment: the speed of reading memory, and of integer products.
#pragma once
#include <cstdint>
#include <vector>

#include "matrix.h"
#include "threads.h"

namespace rookery {

// Measured with the threads and the memory a program would have: each thread reads a stretch of its own.
class Ceilings {
 public:
  // bytes: of all stretches together; to mean memory they must be several times the caches.
  Ceilings(const Kernels* kernels, int threads, size_t bytes);

  // Bytes per second of reading everything once from the beginning to the end.
  double touch();
  // Additions and multiplications per second of dot4 on registers, over `seconds`.
  double peak(double seconds);

  int threads() const { return threads_.count(); }
  size_t bytes() const { return arena_.size(); }

 private:
  const Kernels* kernels_;
  Threads threads_;
  size_t each_;  // bytes of a stretch
  Arena arena_;
  std::vector<uint8_t*> stretches_;
};

}  // namespace rookery
