// Which columns of a value, and so which rows of a matrix, belong to which thread.
#pragma once
#include <algorithm>
#include <cstdint>
#include <numeric>

#include "kernels/table.h"

namespace rookery {

struct Range {
  int begin, end;
};

// Columns are dealt in units, so that a head and a group of matrix rows never straddle two threads.
struct Ownership {
  int threads = 1;
  int width = 0;      // channels of the model: only values this wide are made of heads
  int head_size = 1;

  Range of(int columns, int thread) const {
    const int unit = columns == width ? std::lcm(kGroup, head_size) : kGroup;
    const int64_t units = (columns + unit - 1) / unit;
    const int begin = static_cast<int>(units * thread / threads) * unit;
    const int end = static_cast<int>(units * (thread + 1) / threads) * unit;
    return {std::min(begin, columns), std::min(end, columns)};
  }
};

}  // namespace rookery
