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

constexpr int kSpins = 300;       // some 6 us, about what two threads differ by in a stage
constexpr int kIdleSpins = 3000;  // some 60 us: a worker must not take the processor from who samples

inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins for a while, since a sleeper is woken late; then sleeps, since who is waited for may need the processor.
void await_change(const std::atomic<unsigned>& number, unsigned old, int spins) {
  for (; spins > 0; --spins) {
    if (number.load(std::memory_order_acquire) != old) return;
    relax();
  }
  number.wait(old, std::memory_order_acquire);
}

}  // namespace

void Barrier::wait() {
  if (count_ == 1) return;
  const unsigned phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == count_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    phase_.notify_all();
    return;
  }
  await_change(phase_, phase, kSpins);
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
    await_change(round_, seen, kIdleSpins);
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
