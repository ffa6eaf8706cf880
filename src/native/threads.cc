#include "threads.h"

#include <sched.h>

#include <cmath>
#include <fstream>
#include <string>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace rookery {
namespace {

constexpr int kSpins = 4000;      // about 50 us: longer than any stage of a small model, shorter than a time slice
constexpr int kIdleSpins = 20000;  // a decoding loop comes back within this; waking a sleeper costs 30 us

inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

void Barrier::wait() {
  if (count_ == 1) return;
  unsigned phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == count_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; phase_.load(std::memory_order_acquire) == phase; ++spins) {
    if (spins < kSpins)
      relax();
    else
      std::this_thread::yield();
  }
}

Threads::Threads(int count) : count_(count), barrier_(count) {
  for (int i = 1; i < count; ++i) workers_.emplace_back([this, i] { serve(i); });
}

Threads::~Threads() {
  stop_.store(true);
  round_.fetch_add(1);
  round_.notify_all();
  for (std::thread& t : workers_) t.join();
}

void Threads::run(const std::function<void(int)>& work) {
  work_ = &work;
  if (count_ > 1) {
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
  }
  work(0);
  barrier_.wait();
}

void Threads::serve(int i) {
  for (unsigned seen = 0;; ++seen) {
    for (int spins = 0; round_.load(std::memory_order_acquire) == seen; ++spins) {
      if (spins < kIdleSpins)
        relax();
      else
        round_.wait(seen, std::memory_order_acquire);
    }
    if (stop_.load()) return;
    (*work_)(i);
    barrier_.wait();
  }
}

int usable_processors() {
  int count = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0)
    count = std::min(count, static_cast<int>(std::ceil(std::stod(quota) / period)));
  return std::max(count, 1);
}

}  // namespace rookery
