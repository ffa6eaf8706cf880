// Matrices packed for the kernels.
#pragma once
#include <cstdint>
#include <memory>

#include "kernels/table.h"
#include "quant.h"

namespace rookery {

// Owns a matrix in the layout of `Mat`.  Block formats keep their codes as int8 with a scale and a minimum per run,
// so that every number is exactly the one the file stores.
class Matrix {
 public:
  // source: `rows` rows of `cols` numbers in `format`, one after another.
  Matrix(Format format, int rows, int cols, const uint8_t* source);
  const Mat& mat() const { return mat_; }
  size_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(uint8_t* p) const;
  };
  void pack_dense(Format format, const uint8_t* source);
  void pack_blocks(Format format, const uint8_t* source);

  std::unique_ptr<uint8_t[], Free> data_;
  size_t bytes_ = 0;
  Mat mat_{};
};

}  // namespace rookery
