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

// What codes stand for.
class Coder {
 public:
  virtual ~Coder() = default;
  // The nearest entry for each number times `inverse`: its code and its value.
  virtual void nearest(const Group& g, float inverse, uint8_t* codes, float* values) const = 0;
  virtual float largest() const = 0;  // magnitude of an entry
};

// One table of at most 32 numbers, ascending, no three in a 512th of their range.
class Codebook : public Coder {
 public:
  Codebook(const float* entries, int count);
  void nearest(const Group& g, float inverse, uint8_t* codes, float* values) const override;
  float largest() const override { return largest_; }

 private:
  static constexpr int kCells = 512;
  float entries_[32], middle_[32];  // middle_[i]: between entries i and i + 1
  float start_, cells_per_unit_, largest_;
  uint8_t first_[kCells];  // the entry nearest to the beginning of each cell
};

// Two tables of `count` numbers; every four numbers of a group use the one that suits them better.  The choice is
// added to their codes as `count`.
class PairedCodebook : public Coder {
 public:
  PairedCodebook(const float* entries, int count)
      : wide_(entries, count), narrow_(entries + count, count), count_(static_cast<uint8_t>(count)) {}
  void nearest(const Group& g, float inverse, uint8_t* codes, float* values) const override;
  float largest() const override { return wide_.largest(); }

 private:
  Codebook wide_, narrow_;
  uint8_t count_;
};

// A group as it is stored.
struct Coded {
  float scale = 0, error = 0;
  uint8_t codes[kMaxCoded] = {};
};

// The best scale, as if any could be stored.
float search(const Group& g, const Coder& book);

// The best codes near a wanted scale; `stored` gives the scale a file can hold next to one wanted.
Coded encode_near(const Group& g, const Coder& book, float wanted, const std::function<float(float)>& stored);

}  // namespace rookery
