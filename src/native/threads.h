// A pool of threads that run one function together, and the barrier they meet at.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
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

// `count` threads in all, the caller among them.  Idle workers spin briefly, then sleep.  Throws std::system_error
// where the system refuses so many.
class Threads {
 public:
  explicit Threads(int count);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  int count() const { return count_; }
  Barrier& barrier() { return meeting_->barrier; }
  // In the child of a fork, where no worker lives on, makes new ones, or throws as the constructor does.  Returns
  // whether it was needed.  Not to be called while another thread may be in `run`.
  bool revive();
  // Runs work(i) on every thread i and returns when all are done.  `work` must not throw.
  void run(const std::function<void(int)>& work);

 private:
  // What the threads share; the child of a fork begins with another, since threads that are gone may have left
  // this one in any condition.
  struct Meeting {
    explicit Meeting(int count) : barrier(count) {}
    Barrier barrier;
    alignas(64) std::atomic<unsigned> round{0};
    std::atomic<bool> stop{false};
    const std::function<void(int)>* work = nullptr;
    std::vector<std::thread> workers;
  };

  void start();
  void stop();
  static void serve(Meeting& meeting, int i);

  const int count_;
  unsigned forks_;  // when the workers were made
  std::unique_ptr<Meeting> meeting_;
};

// Processors this process may use: its affinity mask, capped by the cgroup's quota.
int usable_processors();

}  // namespace rookery
