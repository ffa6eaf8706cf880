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

// Which rows belong together: segment i holds rows [offsets[i], offsets[i + 1]), in chunks of 64.
class Segments {
 public:
  Segments(const int64_t* offsets, size_t count);

  size_t count() const { return offsets_.size() - 1; }
  int64_t begin(size_t segment) const { return offsets_[segment]; }
  int64_t end(size_t segment) const { return offsets_[segment + 1]; }
  int64_t rows() const { return offsets_.back(); }
  int64_t first_chunk(size_t segment) const { return chunks_[segment]; }
  int64_t chunks() const { return chunks_.back(); }

 private:
  std::vector<int64_t> offsets_, chunks_;
};

// Operands are (rows, width), in this order; states in the layout of rookery.ops.
//   7    r w k v a b              states (segments, heads, key lane, value lane)
//   6    r w k v, with u          the same; RWKV-5 too
//   4    k v, with u and w        states (segments, 3, width)
// Every segment's head, or 64 channels of it, is a task of its own, and du and dw are summed within segments, then over
// them in order: threads change no bit.
class Wkv {
 public:
  // version: 4, 6 or 7.  width: a whole number of `lanes`, a head's; RWKV-4 has no heads.
  Wkv(const WkvKernels& kernels, Segments segments, int version, int width, int lanes);

  size_t operands() const { return operands_; }
  size_t width() const { return width_; }
  const Segments& segments() const { return segments_; }
  size_t states() const;  // numbers of all segments' states
  size_t kept() const;    // numbers that keep the states before every chunk and what was read, for the way back

  struct Shared {  // of all rows, (width); nullptr where the version has none
    const float *u, *w;
  };
  struct Forward {
    std::vector<const float*> x;
    Shared shared;
    const float* state;  // before the segments
    float* y;
    float* final_state;
    float* kept;  // or nullptr
  };
  void forward(const Forward& call, Threads& threads) const;

  struct Backward {
    std::vector<const float*> x;  // and dy behind them
    Shared shared;
    const float* kept;
    const float* dfinal;  // or nullptr: zero
    std::vector<float*> dx;
    float *du, *dw;  // (width); where the version has u and w
    float* dstate;   // or nullptr
  };
  void backward(const Backward& call, Threads& threads) const;

 private:
  struct Task;
  struct Strip;
  using Work = std::function<void(const Task&)>;

  Strip strip(const Task& task) const;
  void take_state(const Task& task, const float* from, float* to) const;
  void give_state(const Task& task, const float* from, float* to) const;
  size_t kept_place(const Task& task, int64_t chunk) const;
  void run(Threads& threads, size_t scratch, const Work& each) const;
  void forward_task(const Forward& call, const Task& task) const;
  void backward_task(const Backward& call, float* du, float* dw, const Task& task) const;
  void add_up(const float* sums, float* to) const;

  const WkvKernels& kernels_;
  const Segments segments_;
  const int version_;
  const size_t width_;
  const int lanes_, padded_;  // of a task: in the operands, in the kernels
  const size_t tasks_;        // of a segment
  const size_t operands_, state_, kept_;  // kept_: of a task's chunk
};

}  // namespace rookery
