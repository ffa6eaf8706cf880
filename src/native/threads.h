// A pool of threads that run one function together, and the barrier they meet at.
#pragma once
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace rookery {

// Spins shortly, then sleeps: a thread that lost its processor must not find it taken by those who wait for it.
class Barrier {
 public:
  explicit Barrier(int count) : count_(count) {}
  void wait();

 private:
  const int count_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> phase_{0};
};

// `count` threads in all, the caller among them.  Idle workers spin briefly, then sleep.
class Threads {
 public:
  explicit Threads(int count);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  int count() const { return count_; }
  Barrier& barrier() { return barrier_; }
  // Runs work(i) on every thread i and returns when all are done.  `work` must not throw.
  void run(const std::function<void(int)>& work);

 private:
  void serve(int i);

  const int count_;
  Barrier barrier_;
  alignas(64) std::atomic<unsigned> round_{0};
  std::atomic<bool> stop_{false};
  const std::function<void(int)>* work_ = nullptr;
  std::vector<std::thread> workers_;
};

// Processors this process may use: its affinity mask, capped by the cgroup's quota.
int usable_processors();

}  // namespace rookery
