#include "ceilings.h"

#include <atomic>
#include <chrono>
#include <cstring>

namespace rookery {
namespace {

using Clock = std::chrono::steady_clock;
typedef uint64_t Pair __attribute__((vector_size(16)));

constexpr size_t kStep = 128;    // bytes a round of the loop reads
constexpr size_t kAhead = 8192;  // as far ahead as the kernels ask for their weights
constexpr int kRounds = 2000;    // of products between two looks at the clock: some 10 us

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Adds up [p, p + bytes), a whole number of steps.  The sum is handed out so that nothing is left out.
Pair sum(const uint8_t* p, size_t bytes) {
  Pair sums[8] = {};
  for (const uint8_t* end = p + bytes; p < end; p += kStep) {
    __builtin_prefetch(p + kAhead);
    __builtin_prefetch(p + kAhead + 64);
    for (int i = 0; i < 8; ++i) {
      Pair v;
      std::memcpy(&v, p + 16 * i, sizeof v);
      sums[i] += v;
    }
  }
  for (int i = 1; i < 8; ++i) sums[0] += sums[i];
  return sums[0];
}

}  // namespace

Ceilings::Ceilings(const Kernels* kernels, int threads, size_t bytes)
    : kernels_(kernels),
      threads_(threads),
      each_((bytes / threads + kStep - 1) / kStep * kStep),
      arena_(std::vector<size_t>(threads, each_)) {
  for (int i = 0; i < threads; ++i) {
    stretches_.push_back(arena_.take(i, each_));
    for (size_t b = 0; b < each_; b += sizeof b) std::memcpy(stretches_[i] + b, &b, sizeof b);
  }
}

double Ceilings::touch() {
  std::atomic<uint64_t> total{0};
  const auto start = Clock::now();
  threads_.run([&](int thread) {
    const Pair s = sum(stretches_[thread], each_);
    total.fetch_add(s[0] + s[1], std::memory_order_relaxed);
  });
  const double seconds = since(start);
  volatile uint64_t kept = total.load();
  (void)kept;
  return double(each_) * threads_.count() / seconds;
}

double Ceilings::peak(double seconds) {
  std::atomic<int64_t> operations{0};
  const auto start = Clock::now();
  threads_.run([&](int) {
    int64_t mine = 0;
    do mine += kernels_->peak(kRounds);
    while (since(start) < seconds);
    operations.fetch_add(mine, std::memory_order_relaxed);
  });
  return double(operations.load()) / since(start);
}

}  // namespace rookery
