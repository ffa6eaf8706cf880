// Groups of row-wise ops run as one, forward and backward, for training.
//
// A group reads its inputs once and writes its outputs once; what lies between exists only as tiles that stay in the
// cache.  On the way back the tiles are computed again from the inputs, so that nothing else is kept.
//
// Rows are dealt in chunks whose size does not depend on the threads.  Gradients of vectors are summed over the rows of
// a chunk and then over chunks in their order: threads change no bit.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/fused.h"

namespace rookery {

class Threads;

// The kernels that belong to the table of choose_kernels(name); nullptr where there is none.
const FusedKernels* choose_fused(const char* name);

// Numbers of a matrix in memory, float32 or bfloat16; data may be nullptr where a call says so.
struct Numbers {
  void* data = nullptr;
  bool half = false;
};

// What a group reads: rows of a value as they are; or, with a state, each row's predecessor in its segment, where the
// first row's is the segment's row of that state.
struct FusedInput {
  int value;
  int state = -1;
};

// Slots number what an op can read: first the inputs, then the vectors, then the results of the ops before it.
struct FusedOp {
  Fused code;
  std::vector<int> operands;
  float scalar = 0;
  int heads = 1;
};

// The matrices of a call: values (rows, columns), states (segments, columns), vectors (columns).
struct FusedCall {
  int64_t rows;
  std::vector<int64_t> offsets;  // of segments: where they begin, and the end
  std::vector<Numbers> values;
  std::vector<const float*> states, vectors;
};

class FusedGroup {
 public:
  // Throws std::invalid_argument where slots, heads or operands do not fit.
  FusedGroup(int columns, std::vector<FusedInput> inputs, int vectors, std::vector<FusedOp> ops,
             std::vector<int> outputs);

  int columns() const { return columns_; }
  int values() const { return values_; }
  int states() const { return states_; }
  int vectors() const { return vectors_; }
  int outputs() const { return static_cast<int>(outputs_.size()); }

  void forward(const FusedKernels& kernels, const FusedCall& call, const std::vector<Numbers>& outputs,
               Threads& threads) const;

  // Where a gradient of an output is nullptr it is zero; where another is nullptr it is not wanted.
  struct Gradients {
    std::vector<Numbers> outputs, values;
    std::vector<float*> states, vectors;
  };
  void backward(const FusedKernels& kernels, const FusedCall& call, const Gradients& to, Threads& threads) const;

 private:
  friend class FusedPlan;
  friend class FusedWalk;
  int slots() const { return static_cast<int>(inputs_.size() + vectors_ + ops_.size()); }
  int first_op() const { return static_cast<int>(inputs_.size()) + vectors_; }
  void check() const;
  void choose_block();

  int columns_, values_ = 0, states_ = 0, vectors_;
  std::vector<FusedInput> inputs_;
  std::vector<FusedOp> ops_;
  std::vector<int> outputs_;
  int block_ = 0;  // columns of a tile: whole heads, or whole rows where an op needs them
};

}  // namespace rookery
