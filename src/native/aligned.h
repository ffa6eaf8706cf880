// Numbers that begin on a cache line: a vector across two lines costs twice.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace rookery {

class AlignedFloats {
 public:
  explicit AlignedFloats(size_t count = 0) {
    if (count == 0) return;
    data_.reset(static_cast<float*>(std::aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64)));
    if (!data_) throw std::bad_alloc();
  }
  float* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  std::unique_ptr<float[], Free> data_;  // not set to zero: pages that are never used cost nothing
};

}  // namespace rookery
