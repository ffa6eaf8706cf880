// Weight formats: how numbers become stored bytes.  The way back is in quant.h.
//
// Two ways: rounding to nearest, byte for byte as rookery.quant and other tools do; and a search for the scales and
// offsets with the smallest squared error, weighted by the importance of each column.  Plain float32 operations, never
// contracted: the bytes are the same on every processor.
#pragma once
#include <cstddef>
#include <cstdint>

#include "quant.h"

namespace rookery {

// Whether encode_row writes the format: all block formats.
bool can_encode(Format format);

// Whether every number is finite; anything else cannot be stored.
bool all_finite(const float* x, size_t n);

// A row of n finite numbers as row_bytes(format, n) bytes, by search.
// importance: n numbers >= 0, the weight of each column's squared error; null: large numbers matter more.
// head: the row's scale if it is given already, in formats that have one; null: the best is searched.
void encode_row(Format format, const float* row, const float* importance, const uint8_t* head, uint8_t* out, int n);

// The same by rounding to nearest; for the formats of GGUF with blocks of 32.
void encode_row_nearest(Format format, const float* row, uint8_t* out, int n);

// Nearest fp16, ties to even; magnitudes beyond its range become its largest number.
uint16_t float_to_half(float x);

}  // namespace rookery
