// Whether it pays to go together.
//
// Where strangers keep processors busy, one thread may wait longer for the others than it would take to do their parts
// itself.  Then it does for a while, and tries company again.
#pragma once
#include <cstdint>

namespace rookery {

class Company {
 public:
  explicit Company(int count) : count_(count) {}

  // Whether the first thread should do everything now.
  bool alone() const { return alone_ > 0; }

  // What the first thread spent: all of it, and what of that was waiting for the others; in nanoseconds.
  void together(int64_t total, int64_t waited) {
    total_ += total;
    waited_ += waited;
    if (total_ < kTrial) return;
    if (total_ > count_ * (total_ - waited_)) alone_ = kAlone;
    total_ = waited_ = 0;
  }
  void apart(int64_t total) { alone_ -= total; }

 private:
  static constexpr int64_t kTrial = 20'000'000;   // longer than a stranger's slices: a short one must not decide it
  static constexpr int64_t kAlone = 200'000'000;

  const int count_;
  int64_t total_ = 0, waited_ = 0, alone_ = 0;
};

}  // namespace rookery
