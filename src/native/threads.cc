#include "threads.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace rookery {
namespace {

constexpr int kSpins = 300;       // some 6 us, about what two threads differ by in a stage
constexpr int kIdleSpins = 3000;  // some 60 us: a worker must not take the processor from who samples

// Asks the system to run this thread in short slices: a thread that has slept at a barrier then takes a processor from
// a busy stranger at once, not when that one's slice is over.  Linux from 6.12 on heeds it, others do not mind.
void ask_for_short_slices() {
#if defined(__linux__) && defined(SYS_sched_getattr)
  struct Attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;  // nanoseconds
  } attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0 || attributes.policy != SCHED_OTHER) return;
  attributes.size = sizeof attributes;
  attributes.runtime = 100'000;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
#endif
}

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

// How often this process and those before it have forked on the way here, since this was first called.
unsigned forks() {
  static std::atomic<unsigned> count{0};
  static const int registered = pthread_atfork(nullptr, nullptr, [] { count.fetch_add(1); });
  (void)registered;
  return count.load();
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

Threads::Threads(int count) : count_(count), forks_(forks()), meeting_(std::make_unique<Meeting>(count)) { start(); }

Threads::~Threads() {
  if (forks_ == forks())
    stop();
  else
    (void)meeting_.release();
}

bool Threads::revive() {
  const unsigned now = forks();
  if (forks_ == now) return false;
  (void)meeting_.release();  // its threads exist in the parent only and can be neither joined nor destroyed
  meeting_ = std::make_unique<Meeting>(count_);
  start();
  forks_ = now;
  return true;
}

void Threads::start() {
  try {
    for (int i = 1; i < count_; ++i) meeting_->workers.emplace_back(serve, std::ref(*meeting_), i);
  } catch (...) {  // a thread that can still be joined must not be destroyed
    stop();
    throw;
  }
}

void Threads::stop() {
  meeting_->stop.store(true);
  meeting_->round.fetch_add(1);
  meeting_->round.notify_all();
  for (std::thread& t : meeting_->workers) t.join();
  meeting_->workers.clear();
}

void Threads::run(const std::function<void(int)>& work) {
  meeting_->work = &work;
  if (count_ > 1) {
    static thread_local const bool asked = (ask_for_short_slices(), true);
    (void)asked;
    meeting_->round.fetch_add(1, std::memory_order_release);
    meeting_->round.notify_all();
  }
  work(0);
  meeting_->barrier.wait();
}

void Threads::serve(Meeting& meeting, int i) {
  ask_for_short_slices();
  for (unsigned seen = 0;; ++seen) {
    await_change(meeting.round, seen, kIdleSpins);
    if (meeting.stop.load()) return;
    (*meeting.work)(i);
    meeting.barrier.wait();
  }
}

int usable_processors() {
  int count = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
#endif
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0)
    count = std::min(count, static_cast<int>(std::ceil(std::stod(quota) / period)));
  return std::max(count, 1);
}

}  // namespace rookery
