// What is done with every tile of a group, in which order, and in which buffers.
#pragma once
#include <vector>

#include "fused.h"

namespace rookery {

constexpr int kFusedChunk = 128;  // rows whose sums are taken together, whatever the threads

// A step works on cells: the value or the gradient of a slot, each a tile.  Cells whose lives do not overlap share a
// buffer; those of vectors have their own, since they live as long as a chunk.
class FusedPlan {
 public:
  enum class Kind { Load, Compute, Store, LoadGradient, Derive, StoreGradient };
  struct Step {
    Kind kind;
    int index;  // of the input, op or output
    bool add[kMostOperands] = {};     // Derive: to what is there; LoadGradient: likewise, in [0]
    bool wanted[kMostOperands] = {};  // Derive: the operand's gradient
  };

  explicit FusedPlan(const FusedGroup& group);                           // forward
  FusedPlan(const FusedGroup& group, const FusedGroup::Gradients& to);  // backward

  const std::vector<Step>& steps() const { return steps_; }
  int buffers() const { return buffers_; }
  // The buffer of a slot's value or gradient; -1 where there is none.
  int value(int slot) const { return buffer_[slot]; }
  int gradient(int slot) const { return buffer_[gradient_cell_[slot]]; }
  // Whether an input's gradient is stored.
  bool stores(int input) const { return begun_[input] && carries_[input]; }

 private:
  void plan_values(const std::vector<char>& needed, bool store);
  std::vector<char> needed_values() const;
  void plan_carriers(const FusedGroup::Gradients& to);
  void plan_derivatives(const FusedGroup::Gradients& to);
  void plan_derivative(int op);
  int first_touch_of(int slot);
  void touch(int cell);
  void place();

  const FusedGroup& group_;
  std::vector<Step> steps_;
  std::vector<std::vector<int>> touches_;  // of each step: cells
  std::vector<int> gradient_cell_;         // of each slot; an op that passes its gradient on gives its cell away
  std::vector<int> buffer_;                // of each cell
  std::vector<char> carries_, begun_;      // of each slot: leads to a wanted gradient; has one
  int buffers_ = 0;
};

}  // namespace rookery
