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

// What codes stand for: a table of numbers, ascending, or two tables, a wide and a narrow one, of which every four
// numbers of a group use the one that suits them better.
class Codebook {
 public:
  // entries: `tables` times `count` numbers, at most 32 in a table, no three of one in a 512th of the first's range.
  Codebook(const float* entries, int count, int tables);

  // The value of the nearest entry for each number times `inverse`.
  void nearest(const Group& g, float inverse, float* values) const;
  // The same, and its place among all entries.
  void nearest(const Group& g, float inverse, float* values, uint8_t* codes) const;

  // The error of a group whose numbers become scale * nearest entry; scale is not 0.
  float error(const Group& g, float scale) const;

  float largest() const { return largest_; }  // magnitude of an entry

 private:
  static constexpr int kCells = 512;  // of the first table's range
  struct Cell {
    float middle, low, high;  // the entries on both sides of the middle that lies in the cell, if one does
    int first;                // the place of the lower
  };
  struct Four {
    const Cell* cells[4];
    bool high[4];
    float values[4], error;
  };
  void fill(const float* entries, int count, Cell* cells) const;
  Four nearest_four(const Cell* cells, const int* at, const float* t, const float* w) const;
  template <class Take>
  void each_four(const Group& g, float inverse, Take take) const;

  int tables_;
  float start_, cells_per_unit_, largest_;
  Cell cells_[2][kCells];
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
