// Back from the kernels' layout to rows: the inverse of `pack_group`, bit by bit.
#pragma once
#include <cstdint>
#include <vector>

#include "matrix.h"

namespace rookery {

// Where the bits of a block lie in a unit.  It is found by packing blocks that have a single bit, so it cannot disagree
// with `pack_block`, and a new format whose packing only moves bits needs nothing here.
class BlockMap {
 public:
  // Throws std::logic_error for a format whose packing does more than to move bits.
  explicit BlockMap(Format format);
  // Block of row `r` (0..31) of a unit.
  void unpack(const uint8_t* unit, int r, uint8_t* block) const;

 private:
  // Neighbouring bits of one byte that stay neighbours.
  struct Run {
    uint32_t unit_byte, row_step;  // of row 0; from row to row
    uint16_t block_byte;
    uint8_t unit_shift, block_shift, mask, flip;
  };
  Format format_;
  std::vector<Run> runs_;
};

// Unpacks group g of a matrix into its rows; `rows` is where row 0 of the matrix lies.
void unpack_group(const Shape& shape, const uint8_t* group, uint8_t* rows, int g);

}  // namespace rookery
