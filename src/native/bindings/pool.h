// One pool of threads for the calls of training, one call at a time.
#pragma once
#include <memory>
#include <mutex>

#include "threads.h"
#include "unlocked.h"

class Pool {
 public:
  // Runs work(threads) with `count` threads and without the interpreter lock.
  template <class F>
  static void with(int count, F work) {
    Unlocked unlocked;
    Pool& pool = shared();
    const std::lock_guard lock(pool.mutex_);
    if (!pool.threads_ || pool.threads_->count() != count) pool.threads_ = std::make_unique<rookery::Threads>(count);
    work(*pool.threads_);
  }

 private:
  // Another one in the child of a fork, which has none of the threads and perhaps a mutex that nobody will open.
  static Pool& shared();

  std::mutex mutex_;
  std::unique_ptr<rookery::Threads> threads_;
};
