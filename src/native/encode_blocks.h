// One block of a format, encoded by search; and how codes and scales become bytes.
#pragma once
#include <cstdint>

#include "quant.h"

namespace rookery {

struct Affine {
  float d, m;
};

void store_half(uint8_t* out, float x);

// A block of Q4_0, Q4_1, Q5_0 or Q5_1.  q: 32 codes, counted from 0.
void store_simple(Format format, Affine scale, const uint8_t* q, uint8_t* out);

// The weight of each column's error: its importance, or where that is null more for larger numbers.
void weigh_columns(const float* importance, const float* x, int n, float* w);

// A block of any block format without a row head.  importance: of each column, or null.
void encode_searched(Format format, const float* x, const float* importance, uint8_t* out);

// A block whose numbers are at most 1 in magnitude, with the weights of their errors; every scale that is stored is
// 2^power times what fits the numbers given here.
struct Block {
  const float* x;
  const float* w;
  int power;

  // What a scale becomes by being stored as fp16.
  float stored(float scale) const;
  void store(uint8_t* out, float scale) const;
};

void encode_k_affine(Format format, const Block& block, uint8_t* out);  // Q4_K, Q5_K
void encode_q6_k(const Block& block, uint8_t* out);

}  // namespace rookery
