// A plan carried out over all tiles of a call.
#pragma once
#include <vector>

#include "aligned.h"
#include "fused.h"
#include "fused_plan.h"

namespace rookery {

class FusedWalk {
 public:
  FusedWalk(const FusedGroup& group, const FusedPlan& plan, const FusedKernels& kernels, const FusedCall& call);
  void forward(const std::vector<Numbers>& outputs, Threads& threads);
  void backward(const FusedGroup::Gradients& to, Threads& threads);

 private:
  struct Tile {
    int64_t row;
    int rows, column, columns;
    float* buffers;
    size_t count() const { return size_t(rows) * columns; }
  };
  void run(Threads& threads);
  void walk_chunk(int64_t chunk, float* buffers);
  void walk_tile(const Tile& tile);
  void begin_block(const Tile& tile);
  void end_block(const Tile& tile, int64_t chunk);
  void load(const Tile& tile, const FusedInput& input, float* to);
  void load_shifted(const Tile& tile, const FusedInput& input, float* to);
  void load_gradient(const Tile& tile, const FusedPlan::Step& step);
  void store(const Tile& tile, const Numbers& to, const float* from);
  void store_gradient(const Tile& tile, int input);
  void store_shifted(const Tile& tile, int input, const float* from);
  void clear_gradients(const Tile& tile);
  void derive(const Tile& tile, const FusedPlan::Step& step);
  FusedStep step_of(const Tile& tile, int op) const;
  void add_edges();
  void sum_vectors();

  float* buffer(const Tile& tile, int index) const { return tile.buffers + std::max(index, 0) * tile_size_; }
  // The segment that a row lies in.
  size_t segment_of(int64_t row) const;
  int64_t chunks() const { return (call_.rows + kFusedChunk - 1) / kFusedChunk; }

  const FusedGroup& group_;
  const FusedPlan& plan_;
  const FusedKernels& kernels_;
  const FusedCall& call_;
  const std::vector<Numbers>* outputs_ = nullptr;
  const FusedGroup::Gradients* to_ = nullptr;
  std::vector<int> unread_;  // wanted gradients of values whose rows no input stores first
  AlignedFloats edges_;      // of each chunk and input: what its first row gives to the row before
  AlignedFloats sums_;       // of each chunk and vector
  int tile_rows_;            // rows of a tile
  size_t tile_size_;         // numbers of a buffer
};

}  // namespace rookery
