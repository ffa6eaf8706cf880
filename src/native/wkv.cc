#include "wkv.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "aligned.h"
#include "kernels/table.h"
#include "threads.h"

namespace rookery {
namespace {

// One head's part of `count` rows, `lanes` numbers each, into every `step`th place; lanes that it lacks are zero.
struct Strip {
  size_t width, offset;  // of the matrix, and of the head in its rows
  int lanes, padded;

  void take(const float* x, int64_t row, int count, float* to, size_t step) const {
    x += row * width + offset;
    for (int t = 0; t < count; ++t, x += width, to += step) {
      std::memcpy(to, x, lanes * sizeof(float));
      if (lanes < padded) std::memset(to + lanes, 0, (padded - lanes) * sizeof(float));
    }
  }
  void give(float* x, int64_t row, int count, const float* from, size_t step) const {
    x += row * width + offset;
    for (int t = 0; t < count; ++t, x += width, from += step) std::memcpy(x, from, lanes * sizeof(float));
  }
};

// (key lane, value lane) without padding to (value lane, key lane) with it, and back.
void turn_in(const float* from, float* to, int lanes, int padded) {
  std::memset(to, 0, sizeof(float) * padded * padded);
  for (int v = 0; v < lanes; ++v)
    for (int k = 0; k < lanes; ++k) to[v * padded + k] = from[k * lanes + v];
}

void turn_out(const float* from, float* to, int lanes, int padded) {
  for (int k = 0; k < lanes; ++k)
    for (int v = 0; v < lanes; ++v) to[k * lanes + v] = from[v * padded + k];
}

}  // namespace

const WkvKernels* choose_wkv(const char* name) {
  const Kernels* table = choose_kernels(name);
  const WkvKernels* all[] = {
#if defined(__x86_64__)
      &kWkvAvx512,
      &kWkvAvx2,
#elif defined(__aarch64__)
      &kWkvNeon,
#endif
      &kWkvPortable,
  };
  for (const WkvKernels* kernels : all)
    if (table != nullptr && std::strcmp(table->name, kernels->name) == 0) return kernels;
  return nullptr;
}

Segments::Segments(const int64_t* offsets, size_t count) : offsets_(offsets, offsets + count + 1), chunks_(count + 1) {
  for (size_t i = 0; i < count; ++i) chunks_[i + 1] = chunks_[i] + (end(i) - begin(i) + kWkvChunk - 1) / kWkvChunk;
}

int padded_lanes(int lanes) {
  for (int fast : {16, 32, 64, 128})
    if (lanes <= fast) return fast;
  return (lanes + 15) / 16 * 16;
}

struct HeadWkv::Task {
  size_t segment;
  int head;
  float* scratch;
};

HeadWkv::HeadWkv(const WkvKernels& kernels, const Segments& segments, int heads, int lanes, size_t operands)
    : kernels_(kernels),
      segments_(segments),
      heads_(heads),
      lanes_(lanes),
      padded_(padded_lanes(lanes)),
      operands_(operands) {}

size_t HeadWkv::kept() const { return segments_.chunks() * heads_ * padded_ * padded_; }

float* HeadWkv::kept_of(float* kept, const Task& task, int64_t chunk) const {
  return kept + ((segments_.first_chunk(task.segment) + chunk) * heads_ + task.head) * padded_ * padded_;
}

void HeadWkv::run(Threads& threads, size_t scratch, const std::function<void(const Task&)>& each) const {
  const size_t tasks = segments_.count() * heads_;
  const AlignedFloats room(scratch * threads.count());
  std::atomic<size_t> next{0};
  threads.run([&](int thread) {
    for (size_t i; (i = next.fetch_add(1)) < tasks;)
      each({i / heads_, static_cast<int>(i % heads_), room.data() + scratch * thread});
  });
}

void HeadWkv::forward(const Forward& call, Threads& threads) const {
  const size_t scratch = size_t(padded_) * (padded_ + kWkvChunk * (operands_ + 3));
  run(threads, scratch, [&](const Task& task) { forward_task(call, task); });
}

void HeadWkv::forward_task(const Forward& call, const Task& task) const {
  const size_t square = size_t(padded_) * padded_, step = (operands_ + 1) * padded_;
  const Strip strip{width(), size_t(task.head) * lanes_, lanes_, padded_};
  const size_t place = (task.segment * heads_ + task.head) * lanes_ * lanes_;
  float *state = task.scratch, *x = state + square, *y = x + kWkvChunk * step, *u = y + kWkvChunk * padded_;
  turn_in(call.state + place, state, lanes_, padded_);
  if (call.u) strip.take(call.u, 0, 1, u, 0);
  const int64_t begin = segments_.begin(task.segment), end = segments_.end(task.segment);
  for (int64_t row = begin; row < end; row += kWkvChunk) {
    const int count = static_cast<int>(std::min<int64_t>(kWkvChunk, end - row));
    for (size_t i = 0; i < operands_; ++i) strip.take(call.x[i], row, count, x + i * padded_, step);
    if (call.kept) std::memcpy(kept_of(call.kept, task, (row - begin) / kWkvChunk), state, sizeof(float) * square);
    (call.u ? kernels_.forward6 : kernels_.forward7)({count, padded_, x, u}, state, y);
    strip.give(call.y, row, count, y, padded_);
  }
  turn_out(state, call.final_state + place, lanes_, padded_);
}

void HeadWkv::backward(const Backward& call, Threads& threads) const {
  const size_t scratch = size_t(padded_) * (padded_ + kWkvChunk * (2 * operands_ + 1) + 16) + wkv_scratch(padded_);
  run(threads, scratch, [&](const Task& task) { backward_task(call, task); });
}

void HeadWkv::backward_task(const Backward& call, const Task& task) const {
  const size_t square = size_t(padded_) * padded_, step = (operands_ + 1) * padded_, back = operands_ * padded_;
  const Strip strip{width(), size_t(task.head) * lanes_, lanes_, padded_};
  const size_t place = (task.segment * heads_ + task.head) * lanes_ * lanes_;
  float *ds = task.scratch, *x = ds + square, *dx = x + kWkvChunk * step, *u = dx + kWkvChunk * back;
  float *du = u + padded_, *scratch = u + 16 * padded_;
  if (call.dfinal)
    turn_in(call.dfinal + place, ds, lanes_, padded_);
  else
    std::memset(ds, 0, sizeof(float) * square);
  if (call.u) strip.take(call.u, 0, 1, u, 0);
  std::memset(du, 0, sizeof(float) * padded_);
  const int64_t begin = segments_.begin(task.segment), end = segments_.end(task.segment);
  for (int64_t chunk = (end - begin + kWkvChunk - 1) / kWkvChunk - 1; chunk >= 0; --chunk) {
    const int64_t row = begin + chunk * kWkvChunk;
    const int count = static_cast<int>(std::min<int64_t>(kWkvChunk, end - row));
    for (size_t i = 0; i <= operands_; ++i) strip.take(call.x[i], row, count, x + i * padded_, step);
    const float* before = kept_of(const_cast<float*>(call.kept), task, chunk);
    (call.u ? kernels_.backward6 : kernels_.backward7)({count, padded_, x, u}, before, ds, {dx, du}, scratch);
    for (size_t i = 0; i < operands_; ++i) strip.give(call.dx[i], row, count, dx + i * padded_, back);
  }
  if (call.du) strip.give(call.du, task.segment, 1, du, 0);
  if (call.dstate) turn_out(ds, call.dstate + place, lanes_, padded_);
}

}  // namespace rookery
