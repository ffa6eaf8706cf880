// Blocks of weights in the layout of the integer kernels (docs/weight-layouts.md).
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/table.h"
#include "quant.h"

namespace rookery {

// The pack that holds a format without changing a number.
Pack pack_of(Format format);

// Bytes of a unit of an integer pack: one block of each of 32 rows.
size_t unit_bytes(Pack pack);

// fp16 scales and minima of all rows that a unit of an integer pack begins with; elsewhere nothing can be infinite.
int scale_count(Pack pack);

// Which arrangement of units this is.  Raise it with every change of a pack that moves a bit: files written before
// (formats/native.py) are then refused and not misread.
int layout_revision(Pack pack);

// Bytes before the units of a group: 32 float scales in packs whose rows have one, else 0.
size_t head_bytes(Pack pack);

// Puts the scale of row `r` into the head of its group, if there is one.  False if it is NaN or infinite.
bool pack_head(Format format, const uint8_t* row, uint8_t* head, int r);

// Puts one block of row `r` (0..31) into its unit, which was all zeros.  False if a scale is NaN or infinite.
bool pack_block(Format format, const uint8_t* block, uint8_t* unit, int r);

// Puts one block of Q8_0 of row `r` (0..63) into its unit of lines.  False if the scale is NaN or infinite.
bool pack_lines(const uint8_t* block, uint8_t* unit, int r);

}  // namespace rookery
