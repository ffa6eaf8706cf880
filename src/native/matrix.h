// Matrices packed for the kernels, and the memory they lie in.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "blocks.h"
#include "ownership.h"
#include "threads.h"

namespace rookery {

// Memory for weights: one stretch per thread, handed out in order and never given back.  A thread that walks through
// a program reads its stretch from the beginning to the end.
class Arena {
 public:
  // bytes[i]: how much thread i will take in all.
  explicit Arena(const std::vector<size_t>& bytes);
  uint8_t* take(int thread, size_t bytes);
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(uint8_t* p) const;
  };
  std::vector<std::unique_ptr<uint8_t[], Free>> stretches_;
  std::vector<size_t> taken_, given_;
  size_t size_ = 0;
};

// What a matrix needs before its numbers are there.
struct Shape {
  Format format;
  int rows, cols;
  bool sparse = false;  // many of its inputs are zero

  Pack pack() const { return sparse && format == Format::Q8_0 ? Pack::Q8Lines : pack_of(format); }
  size_t group_bytes() const;  // of 32 packed rows
  size_t bytes_of(Range groups) const;
  int groups() const { return (rows + kGroup - 1) / kGroup; }
  Range groups_of(const Ownership& own, int thread) const;
};

// Packs group g of a matrix that lies row after row in `source`.  Throws std::overflow_error for NaN and infinity.
void pack_group(const Shape& shape, const uint8_t* source, uint8_t* to, int g);

// Whether a packed group holds no NaN and no infinity, missing rows included.
bool finite_group(const Shape& shape, const uint8_t* group);

// A packed matrix, each thread's groups in its own stretch of the arena.
class Matrix {
 public:
  Matrix(const Shape& shape, const Ownership& own, Arena& arena);
  // source: `rows` rows of `cols` numbers in the shape's format, one after another.  Throws std::overflow_error for
  // NaN and infinity.
  void pack(const uint8_t* source);
  // Takes all groups as another call of `pack_group` has left them; each thread fills its own stretch.  Returns their
  // checksum.  Throws std::overflow_error as `pack` does.
  uint64_t take(const uint8_t* packed, Threads& threads);
  const Mat& mat(int thread) const { return mats_[thread]; }
  const Shape& shape() const { return shape_; }

 private:
  Shape shape_;
  std::vector<Mat> mats_;       // per thread
  std::vector<Range> groups_;   // per thread
  std::vector<uint8_t*> data_;  // per thread
};

}  // namespace rookery
