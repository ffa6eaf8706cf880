// Working without the interpreter lock, and being done with it before the interpreter ends.
#pragma once
#include <nanobind/nanobind.h>

#include <optional>

// Where the interpreter has ended, waiting for its lock ends the thread, and with C++ frames on the stack the process.
// So `leave`, called at exit, waits until nobody works without the lock; who comes later sleeps for ever, as daemon
// threads may.
class Unlocked {
 public:
  Unlocked();
  ~Unlocked();
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  std::optional<nanobind::gil_scoped_release> released_;
};

void bind_unlocked(nanobind::module_& m);
