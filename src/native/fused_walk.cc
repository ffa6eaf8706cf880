#include "fused_walk.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "threads.h"

namespace rookery {
namespace {

using Kind = FusedPlan::Kind;

size_t round_up(size_t count) { return (count + kMostVector - 1) / kMostVector * kMostVector; }

template <class T>
T* at(const Numbers& numbers, int64_t row, int columns, int column) {
  return static_cast<T*>(numbers.data) + row * columns + column;
}

constexpr int kTile = 1024;  // numbers: a kernel's work is worth its call, and dozens of tiles share a near cache

}  // namespace

FusedWalk::FusedWalk(const FusedGroup& group, const FusedPlan& plan, const FusedKernels& kernels,
                     const FusedCall& call)
    : group_(group), plan_(plan), kernels_(kernels), call_(call),
      tile_rows_(std::clamp(kTile / group.block_, 1, kFusedChunk)),
      tile_size_(round_up(size_t(group.block_) * tile_rows_)) {}

void FusedWalk::forward(const std::vector<Numbers>& outputs, Threads& threads) {
  outputs_ = &outputs;
  run(threads);
}

void FusedWalk::backward(const FusedGroup::Gradients& to, Threads& threads) {
  to_ = &to;
  std::vector<char> stored(group_.values_);
  for (size_t i = 0; i < group_.inputs_.size(); ++i)
    if (group_.inputs_[i].state < 0) stored[group_.inputs_[i].value] |= plan_.stores(static_cast<int>(i));
  for (int v = 0; v < group_.values_; ++v)
    if (to.values[v].data && !stored[v]) unread_.push_back(v);
  edges_ = AlignedFloats(chunks() * group_.inputs_.size() * group_.columns_);
  sums_ = AlignedFloats(chunks() * group_.vectors_ * group_.columns_);
  run(threads);
  add_edges();
  sum_vectors();
}

void FusedWalk::run(Threads& threads) {
  const size_t room = tile_size_ * std::max(plan_.buffers(), 1);
  const AlignedFloats buffers(room * threads.count());
  std::atomic<int64_t> next{0};
  threads.run([&](int thread) {
    float* mine = buffers.data() + room * thread;
    std::memset(mine, 0, room * sizeof(float));  // numbers behind the last of a tile must be finite
    for (int64_t chunk; (chunk = next.fetch_add(1)) < chunks();) walk_chunk(chunk, mine);
  });
}

void FusedWalk::walk_chunk(int64_t chunk, float* buffers) {
  const int64_t begin = chunk * kFusedChunk, end = std::min<int64_t>(begin + kFusedChunk, call_.rows);
  for (int column = 0; column < group_.columns_; column += group_.block_) {
    Tile tile{begin, tile_rows_, column, std::min(group_.block_, group_.columns_ - column), buffers};
    begin_block(tile);
    for (; tile.row < end; tile.row += tile.rows) {
      tile.rows = static_cast<int>(std::min<int64_t>(tile.rows, end - tile.row));
      walk_tile(tile);
    }
    if (to_) end_block(tile, chunk);
  }
}

// Vectors are repeated for every row of a tile, and their sums begin with zero.
void FusedWalk::begin_block(const Tile& tile) {
  for (int v = 0; v < group_.vectors_; ++v) {
    const int slot = static_cast<int>(group_.inputs_.size()) + v;
    float* to = buffer(tile, plan_.value(slot));
    for (int row = 0; row < tile_rows_; ++row)
      std::memcpy(to + size_t(row) * tile.columns, call_.vectors[v] + tile.column, tile.columns * sizeof(float));
    if (to_) std::memset(buffer(tile, plan_.gradient(slot)), 0, tile_size_ * sizeof(float));
  }
}

void FusedWalk::walk_tile(const Tile& tile) {
  if (to_) clear_gradients(tile);
  for (const FusedPlan::Step& step : plan_.steps()) {
    switch (step.kind) {
      case Kind::Load:
        load(tile, group_.inputs_[step.index], buffer(tile, plan_.value(step.index)));
        break;
      case Kind::Compute: kernels_.forward(step_of(tile, step.index)); break;
      case Kind::Store:
        store(tile, (*outputs_)[step.index], buffer(tile, plan_.value(group_.outputs_[step.index])));
        break;
      case Kind::LoadGradient: load_gradient(tile, step); break;
      case Kind::Derive: derive(tile, step); break;
      case Kind::StoreGradient: store_gradient(tile, step.index); break;
    }
  }
}

FusedStep FusedWalk::step_of(const Tile& tile, int index) const {
  const FusedOp& op = group_.ops_[index];
  FusedStep step{op.code, tile.count(), group_.columns_ / op.heads, op.scalar, {}, nullptr};
  for (size_t i = 0; i < op.operands.size(); ++i) step.x[i] = buffer(tile, plan_.value(op.operands[i]));
  step.y = buffer(tile, plan_.value(group_.first_op() + index));
  return step;
}

void FusedWalk::derive(const Tile& tile, const FusedPlan::Step& step) {
  const FusedOp& op = group_.ops_[step.index];
  FusedGradients to{buffer(tile, plan_.gradient(group_.first_op() + step.index)), {}, {}};
  for (size_t i = 0; i < op.operands.size(); ++i) {
    to.add[i] = step.add[i];
    if (step.wanted[i]) to.dx[i] = buffer(tile, plan_.gradient(op.operands[i]));
  }
  kernels_.backward(step_of(tile, step.index), to);
}

// ---------------------------------------------------------------- between memory and tiles

// Numbers behind the last become zero, so that whatever is added up there stays as it is.
void FusedWalk::load(const Tile& tile, const FusedInput& input, float* to) {
  const size_t count = tile.count();
  std::memset(to + count, 0, (round_up(count) - count) * sizeof(float));
  if (input.state >= 0) return load_shifted(tile, input, to);
  const Numbers& from = call_.values[input.value];
  for (int t = 0; t < tile.rows; ++t, to += tile.columns) {
    if (from.half)
      kernels_.widen(at<const uint16_t>(from, tile.row + t, group_.columns_, tile.column), to, tile.columns);
    else
      std::memcpy(to, at<const float>(from, tile.row + t, group_.columns_, tile.column), tile.columns * sizeof(float));
  }
}

size_t FusedWalk::segment_of(int64_t row) const {
  return std::upper_bound(call_.offsets.begin(), call_.offsets.end(), row) - call_.offsets.begin() - 1;
}

void FusedWalk::load_shifted(const Tile& tile, const FusedInput& input, float* to) {
  size_t segment = segment_of(tile.row);
  for (int t = 0; t < tile.rows; ++t, to += tile.columns) {
    const int64_t row = tile.row + t;
    while (row >= call_.offsets[segment + 1]) ++segment;
    const float* from = row == call_.offsets[segment]
                            ? call_.states[input.state] + segment * group_.columns_ + tile.column
                            : at<const float>(call_.values[input.value], row - 1, group_.columns_, tile.column);
    std::memcpy(to, from, tile.columns * sizeof(float));
  }
}

void FusedWalk::store(const Tile& tile, const Numbers& to, const float* from) {
  for (int t = 0; t < tile.rows; ++t, from += tile.columns) {
    if (to.half)
      kernels_.narrow(from, at<uint16_t>(to, tile.row + t, group_.columns_, tile.column), tile.columns);
    else
      std::memcpy(at<float>(to, tile.row + t, group_.columns_, tile.column), from, tile.columns * sizeof(float));
  }
}

// ---------------------------------------------------------------- gradients

void FusedWalk::load_gradient(const Tile& tile, const FusedPlan::Step& step) {
  const Numbers& from = to_->outputs[step.index];
  float* to = buffer(tile, plan_.gradient(group_.outputs_[step.index]));
  const size_t count = tile.count();
  if (!step.add[0]) std::memset(to + count, 0, (round_up(count) - count) * sizeof(float));
  float row[kMostVector * 16];
  for (int t = 0; t < tile.rows; ++t, to += tile.columns) {
    for (int c = 0; c < tile.columns; c += std::size(row)) {
      const size_t some = std::min<size_t>(std::size(row), tile.columns - c);
      float* into = step.add[0] ? row : to + c;
      if (from.half)
        kernels_.widen(at<const uint16_t>(from, tile.row + t, group_.columns_, tile.column + c), into, some);
      else
        std::memcpy(into, at<const float>(from, tile.row + t, group_.columns_, tile.column + c), some * sizeof(float));
      if (step.add[0]) kernels_.add(to + c, row, some);
    }
  }
}

void FusedWalk::clear_gradients(const Tile& tile) {
  for (int v : unread_) {
    const Numbers& to = to_->values[v];
    const size_t size = to.half ? sizeof(uint16_t) : sizeof(float);
    for (int t = 0; t < tile.rows; ++t)
      std::memset(static_cast<char*>(to.data) + ((tile.row + t) * group_.columns_ + tile.column) * size, 0,
                  tile.columns * size);
  }
}

void FusedWalk::store_gradient(const Tile& tile, int index) {
  const float* from = buffer(tile, plan_.gradient(index));
  const FusedInput& input = group_.inputs_[index];
  if (input.state < 0) return store(tile, to_->values[input.value], from);
  store_shifted(tile, index, from);
}

// A row's gradient belongs to the row before it, or to the state.  Tiles of a chunk go down, so that the row before
// has its own already; in another chunk it may not, and waits for `add_edges`.
void FusedWalk::store_shifted(const Tile& tile, int index, const float* from) {
  const FusedInput& input = group_.inputs_[index];
  const Numbers& value = to_->values[input.value];
  float* state = to_->states[input.state];
  size_t segment = segment_of(tile.row);
  for (int t = 0; t < tile.rows; ++t, from += tile.columns) {
    const int64_t row = tile.row + t;
    while (row >= call_.offsets[segment + 1]) ++segment;
    if (row == call_.offsets[segment]) {
      if (state) std::memcpy(state + segment * group_.columns_ + tile.column, from, tile.columns * sizeof(float));
    } else if (value.data && row % kFusedChunk == 0) {
      const size_t edge = (row / kFusedChunk) * group_.inputs_.size() + index;
      std::memcpy(edges_.data() + edge * group_.columns_ + tile.column, from, tile.columns * sizeof(float));
    } else if (value.data) {
      kernels_.add(at<float>(value, row - 1, group_.columns_, tile.column), from, tile.columns);
    }
  }
}

void FusedWalk::add_edges() {
  for (size_t i = 0; i < group_.inputs_.size(); ++i) {
    const FusedInput& input = group_.inputs_[i];
    if (input.state < 0 || !plan_.stores(static_cast<int>(i)) || !to_->values[input.value].data) continue;
    for (int64_t chunk = 1; chunk < chunks(); ++chunk) {
      const int64_t row = chunk * kFusedChunk;
      if (call_.offsets[segment_of(row)] == row) continue;
      const float* edge = edges_.data() + (chunk * group_.inputs_.size() + i) * group_.columns_;
      kernels_.add(at<float>(to_->values[input.value], row - 1, group_.columns_, 0), edge, group_.columns_);
    }
  }
}

// The sums over a chunk's rows, from those over every row of its tiles.
void FusedWalk::end_block(const Tile& tile, int64_t chunk) {
  for (int v = 0; v < group_.vectors_; ++v) {
    if (!to_->vectors[v]) continue;
    const float* from = buffer(tile, plan_.gradient(static_cast<int>(group_.inputs_.size()) + v));
    float* to = sums_.data() + (chunk * group_.vectors_ + v) * group_.columns_ + tile.column;
    std::memcpy(to, from, tile.columns * sizeof(float));
    for (int row = 1; row < tile_rows_; ++row)
      kernels_.add(to, from + size_t(row) * tile.columns, tile.columns);
  }
}

void FusedWalk::sum_vectors() {
  for (int v = 0; v < group_.vectors_; ++v) {
    if (!to_->vectors[v]) continue;
    std::memset(to_->vectors[v], 0, group_.columns_ * sizeof(float));
    for (int64_t chunk = 0; chunk < chunks(); ++chunk)
      kernels_.add(to_->vectors[v], sums_.data() + (chunk * group_.vectors_ + v) * group_.columns_, group_.columns_);
  }
}

}  // namespace rookery
