// The best scale for a group of numbers whose codes stand for the entries of a codebook: x ~ scale * entry.
//
// As in fit.h: for given entries the best scale is a least-squares answer, for a given scale the best entries are the
// nearest; a fit tries a grid of scales of either sign and improves the best by turns.
#pragma once
#include <cstdint>
#include <functional>

#include "fit.h"

namespace rookery {

constexpr int kMaxCoded = 64;  // numbers in the largest group with a codebook

class Codebook {
 public:
  // entries: `count` numbers, ascending, at most 32, none further than 1/32 of the largest magnitude's distance apart
  // from being told apart: no two in one cell of a grid of 512 over their range.
  Codebook(const float* entries, int count);

  // The nearest entry for each number times `inverse`: its place and its value.
  void nearest(const Group& g, float inverse, uint8_t* codes, float* values) const;

  float largest() const { return largest_; }  // magnitude

 private:
  static constexpr int kCells = 512;
  float entries_[32], middle_[32];  // middle_[i]: between entries i and i + 1
  float start_, cells_per_unit_, largest_;
  uint8_t first_[kCells];
};

// A group as it is stored.
struct Coded {
  float scale = 0, error = 0;
  uint8_t codes[kMaxCoded] = {};
};

// The best scale, as if any could be stored.
float search(const Group& g, const Codebook& book);

// The best codes near a wanted scale; `stored` gives the scale a file can hold next to one wanted.
Coded encode_near(const Group& g, const Codebook& book, float wanted, const std::function<float(float)>& stored);

}  // namespace rookery
