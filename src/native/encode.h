// Weight formats: how numbers become stored bytes.  The way back is in quant.h.
//
// Without importance the 32-block formats are rounded to nearest, byte for byte as rookery.quant and other tools do.
// With it, and always in Q4_K, Q5_K and Q6_K, scales and offsets are searched for the smallest squared error, weighted
// by the importance of each column.  Scalar code of plain float32 operations, never contracted: the bytes are the same
// on every processor.
#pragma once
#include <cstddef>
#include <cstdint>

#include "quant.h"

namespace rookery {

// Whether encode_row writes the format: all block formats.
bool can_encode(Format format);

// Whether every number is finite; anything else cannot be stored.
bool all_finite(const float* x, size_t n);

// A row of n finite numbers as row_bytes(format, n) bytes.
// importance: n numbers >= 0, the weight of each column's squared error; or null.
void encode_row(Format format, const float* row, const float* importance, uint8_t* out, int n);

// Nearest fp16, ties to even; magnitudes beyond its range become its largest number.
uint16_t float_to_half(float x);

}  // namespace rookery
