#include "wkv.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "aligned.h"
#include "kernels/table.h"
#include "threads.h"

namespace rookery {
namespace {

// The size that kernels are made for, or a multiple of 16.
int padded_lanes(int lanes) {
  for (int fast : {16, 32, 64, 128})
    if (lanes <= fast) return fast;
  return (lanes + 15) / 16 * 16;
}

size_t operands_of(int version) { return version == 7 ? 6 : version == 6 ? 4 : 2; }

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

struct Wkv::Task {
  size_t segment, part;  // which head, or 64 channels
  float* scratch;
};

// A task's lanes of rows of `width`, into every `step`th place; those that it lacks are zero.
struct Wkv::Strip {
  size_t width, offset;
  int lanes, padded;

  void take(const float* x, int64_t row, int count, float* to, size_t step) const {
    if (x == nullptr) return;
    x += row * width + offset;
    for (int t = 0; t < count; ++t, x += width, to += step) {
      std::memcpy(to, x, lanes * sizeof(float));
      std::memset(to + lanes, 0, (padded - lanes) * sizeof(float));
    }
  }
  void give(float* x, int64_t row, int count, const float* from, size_t step) const {
    if (x == nullptr) return;
    x += row * width + offset;
    for (int t = 0; t < count; ++t, x += width, from += step) std::memcpy(x, from, lanes * sizeof(float));
  }
};

Wkv::Wkv(const WkvKernels& kernels, Segments segments, int version, int width, int lanes)
    : kernels_(kernels),
      segments_(std::move(segments)),
      version_(version),
      width_(width),
      lanes_(version == 4 ? kWkvChannels : lanes),
      padded_(padded_lanes(lanes_)),
      tasks_((width_ + lanes_ - 1) / lanes_),
      operands_(operands_of(version)),
      state_(size_t(padded_) * (version == 4 ? 4 : padded_)),
      kept_(state_ + (version == 7 ? size_t(kWkvChunk) * padded_ : 0)) {}

size_t Wkv::states() const { return segments_.count() * width_ * (version_ == 4 ? 3 : lanes_); }
size_t Wkv::kept() const { return segments_.chunks() * tasks_ * kept_; }

size_t Wkv::kept_place(const Task& task, int64_t chunk) const {
  return ((segments_.first_chunk(task.segment) + chunk) * tasks_ + task.part) * kept_;
}

Wkv::Strip Wkv::strip(const Task& task) const {
  const size_t offset = task.part * lanes_;
  return {width_, offset, static_cast<int>(std::min<size_t>(lanes_, width_ - offset)), padded_};
}

// (key lane, value lane) becomes (value lane, key lane), with padding.
void Wkv::take_state(const Task& task, const float* from, float* to) const {
  std::memset(to, 0, sizeof(float) * state_);
  if (version_ == 4) return strip(task).take(from, 3 * task.segment, 3, to, padded_);
  from += (task.segment * tasks_ + task.part) * lanes_ * lanes_;
  for (int v = 0; v < lanes_; ++v)
    for (int k = 0; k < lanes_; ++k) to[v * padded_ + k] = from[k * lanes_ + v];
}

void Wkv::give_state(const Task& task, const float* from, float* to) const {
  if (version_ == 4) return strip(task).give(to, 3 * task.segment, 3, from, padded_);
  to += (task.segment * tasks_ + task.part) * lanes_ * lanes_;
  for (int k = 0; k < lanes_; ++k)
    for (int v = 0; v < lanes_; ++v) to[k * lanes_ + v] = from[v * padded_ + k];
}

void Wkv::run(Threads& threads, size_t scratch, const Work& each) const {
  const size_t tasks = segments_.count() * tasks_;
  const AlignedFloats room(scratch * threads.count());
  std::atomic<size_t> next{0};
  threads.run([&](int thread) {
    for (size_t i; (i = next.fetch_add(1)) < tasks;) each({i / tasks_, i % tasks_, room.data() + scratch * thread});
  });
}

void Wkv::forward(const Forward& call, Threads& threads) const {
  const size_t scratch = state_ + size_t(padded_) * (kWkvChunk * (operands_ + 2) + 2);
  run(threads, scratch, [&](const Task& task) { forward_task(call, task); });
}

void Wkv::forward_task(const Forward& call, const Task& task) const {
  const size_t step = (operands_ + 1) * padded_;  // room for dy
  const Strip strip = this->strip(task);
  float *state = task.scratch, *x = state + state_, *y = x + kWkvChunk * step, *u = y + kWkvChunk * padded_;
  float* w = u + padded_;
  strip.take(call.shared.u, 0, 1, u, 0);
  strip.take(call.shared.w, 0, 1, w, 0);
  take_state(task, call.state, state);
  const auto rows_forward = version_ == 7   ? kernels_.forward7
                            : version_ == 6 ? kernels_.forward6
                                            : kernels_.forward4;
  const int64_t begin = segments_.begin(task.segment), end = segments_.end(task.segment);
  for (int64_t row = begin; row < end; row += kWkvChunk) {
    const int count = static_cast<int>(std::min<int64_t>(kWkvChunk, end - row));
    for (size_t i = 0; i < operands_; ++i) strip.take(call.x[i], row, count, x + i * padded_, step);
    float* kept = call.kept ? call.kept + kept_place(task, (row - begin) / kWkvChunk) : nullptr;
    if (kept) std::memcpy(kept, state, sizeof(float) * state_);
    rows_forward({count, padded_, x, u, w, row == begin, row + count == end, kept ? kept + state_ : nullptr}, state, y);
    strip.give(call.y, row, count, y, padded_);
  }
  give_state(task, state, call.final_state);
}

void Wkv::backward(const Backward& call, Threads& threads) const {
  const size_t room = state_ + size_t(padded_) * (kWkvChunk * (2 * operands_ + 1) + 4) + wkv_scratch(padded_);
  const size_t shared = segments_.count() * width_;
  const AlignedFloats du(call.du ? shared : 0), dw(call.dw ? shared : 0);
  run(threads, (room + 15) / 16 * 16, [&](const Task& task) { backward_task(call, du.data(), dw.data(), task); });
  add_up(du.data(), call.du);
  add_up(dw.data(), call.dw);
}

// Over segments, in their order.
void Wkv::add_up(const float* sums, float* to) const {
  if (to == nullptr) return;
  std::fill(to, to + width_, 0.0f);
  for (size_t i = 0; i < segments_.count(); ++i)
    for (size_t c = 0; c < width_; ++c) to[c] += sums[i * width_ + c];
}

void Wkv::backward_task(const Backward& call, float* all_du, float* all_dw, const Task& task) const {
  const size_t step = (operands_ + 1) * padded_, back = operands_ * padded_;
  const Strip strip = this->strip(task);
  float *ds = task.scratch, *x = ds + state_, *dx = x + kWkvChunk * step, *u = dx + kWkvChunk * back;
  float *w = u + padded_, *du = w + padded_, *dw = du + padded_, *scratch = dw + padded_;
  std::memset(ds, 0, sizeof(float) * state_);
  std::memset(du, 0, sizeof(float) * 2 * padded_);
  if (call.dfinal) take_state(task, call.dfinal, ds);
  strip.take(call.shared.u, 0, 1, u, 0);
  strip.take(call.shared.w, 0, 1, w, 0);
  const auto rows_backward = version_ == 7   ? kernels_.backward7
                             : version_ == 6 ? kernels_.backward6
                                             : kernels_.backward4;
  const int64_t begin = segments_.begin(task.segment), end = segments_.end(task.segment);
  for (int64_t chunk = (end - begin + kWkvChunk - 1) / kWkvChunk - 1; chunk >= 0; --chunk) {
    const int64_t row = begin + chunk * kWkvChunk;
    const int count = static_cast<int>(std::min<int64_t>(kWkvChunk, end - row));
    for (size_t i = 0; i <= operands_; ++i) strip.take(call.x[i], row, count, x + i * padded_, step);
    float* kept = const_cast<float*>(call.kept) + kept_place(task, chunk);  // only read
    rows_backward({count, padded_, x, u, w, chunk == 0, row + count == end, kept + state_}, kept, ds, {dx, du, dw},
                  scratch);
    for (size_t i = 0; i < operands_; ++i) strip.give(call.dx[i], row, count, dx + i * padded_, back);
  }
  strip.give(all_du, task.segment, 1, du, 0);
  strip.give(all_dw, task.segment, 1, dw, 0);
  if (call.dstate) give_state(task, ds, call.dstate);
}

}  // namespace rookery
