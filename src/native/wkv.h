// The WKV recurrences of whole ragged segments, forward and backward, for training.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/wkv.h"

namespace rookery {

class Threads;

// The kernels that belong to the table of choose_kernels(name); nullptr where there is none.
const WkvKernels* choose_wkv(const char* name);

// Which rows belong together: offsets of segments, and which of their chunks is the first.
class Segments {
 public:
  Segments(const int64_t* offsets, size_t count);

  size_t count() const { return offsets_.size() - 1; }
  int64_t begin(size_t segment) const { return offsets_[segment]; }
  int64_t end(size_t segment) const { return offsets_[segment + 1]; }
  int64_t first_chunk(size_t segment) const { return chunks_[segment]; }
  int64_t chunks() const { return chunks_.back(); }

 private:
  std::vector<int64_t> offsets_, chunks_;
};

// Lanes of a head in the kernels: a size they are made for, or a multiple of 16.
int padded_lanes(int lanes);

// Matrix-valued states: RWKV-7, with the operands r w k v a b, and 5 and 6, with r w k v.  Operands are (rows, heads x
// lanes), states (segments, heads, key lane, value lane).  Every segment's head is a task of its own, so that threads
// change no bit.
class HeadWkv {
 public:
  HeadWkv(const WkvKernels& kernels, const Segments& segments, int heads, int lanes, size_t operands);

  // Floats that keep the states before every chunk, for the way back.
  size_t kept() const;

  struct Forward {
    std::vector<const float*> x;
    const float* u;      // or nullptr
    const float* state;  // before the segments
    float* y;
    float* final_state;
    float* kept;  // or nullptr
  };
  void forward(const Forward& call, Threads& threads) const;

  struct Backward {
    std::vector<const float*> x;  // and dy behind them
    const float* u;
    const float* kept;
    const float* dfinal;  // or nullptr: zero
    std::vector<float*> dx;
    float* du;      // (segments, heads x lanes); or nullptr
    float* dstate;  // or nullptr
  };
  void backward(const Backward& call, Threads& threads) const;

 private:
  struct Task;
  size_t width() const { return size_t(heads_) * lanes_; }
  float* kept_of(float* kept, const Task& task, int64_t chunk) const;
  void run(Threads& threads, size_t scratch, const std::function<void(const Task&)>& each) const;
  void forward_task(const Forward& call, const Task& task) const;
  void backward_task(const Backward& call, const Task& task) const;

  const WkvKernels& kernels_;
  const Segments& segments_;
  const int heads_, lanes_, padded_;
  const size_t operands_;
};

}  // namespace rookery
