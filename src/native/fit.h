// The best scale and offset for a group of numbers: x ~ scale * q + offset with whole q from `low` to `high`.
//
// The error of a group is sum w (x - scale q - offset)^2.  For given codes the best scale and offset have a closed
// form (weighted least squares); for a given scale and offset the best codes are the nearest.  A fit tries a grid of
// ranges, takes the least-squares answer of each, and improves the best one by turns.
#pragma once

namespace rookery {

constexpr int kMaxGroup = 32;  // numbers in the largest group

struct Codes {  // of codes
  int low, high;
};

enum class Offset { None, Any, NotPositive };

struct Fit {
  float scale = 0, offset = 0;
};

// A group of n numbers (a multiple of 8, at most kMaxGroup) and the weights of their errors, not all of them 0.
struct Group {
  const float* x;
  const float* w;
  int n;
};

// Sums of a group and its codes, enough for every closed form.
struct Sums {
  float w = 0, x = 0, q = 0, qq = 0, xq = 0;
};

// The nearest codes for a fit, as whole floats; returns the group's error.
float assign(const Group& g, Fit fit, Codes codes, float* q);

Sums sums_of(const Group& g, const float* q);

// The least-squares fit for given codes.
Fit solve(const Sums& s, Offset offset);

// The best fit found, its scale of either sign where there is no offset, otherwise not negative.
Fit search(const Group& g, Codes codes, Offset offset);

}  // namespace rookery
