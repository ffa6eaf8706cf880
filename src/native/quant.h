// Weight formats: how stored bytes become numbers.  Plain scalar code, the twin of rookery.quant: both compute
// scale * q + min in float32, in this order and without contraction, so their results are equal bit by bit.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rookery {

// The numbers are the type ids of GGUF files; formats that GGUF does not have count from 1000.
enum class Format : int {
  F32 = 0, F16 = 1, Q4_0 = 2, Q4_1 = 3, Q5_0 = 6, Q5_1 = 7, Q8_0 = 8, Q4_K = 12, Q5_K = 13, Q6_K = 14, BF16 = 30,
  INT8 = 1000, NF4 = 1001, C4 = 1002, C5 = 1003
};

constexpr int kRowHead = 4;     // bytes of the scale at the beginning of a row, in formats that have one
constexpr int kMaxBlock = 256;  // numbers in the largest block
constexpr int kMaxGroups = 16;  // groups with a scale of their own in one block

bool known_format(int id);
int block_size(Format format);   // numbers per block; 1 for the dense formats
int block_bytes(Format format);  // bytes per block
int sub_block(Format format);    // numbers that share one scale
bool has_min(Format format);     // whether the numbers have offsets
int row_head(Format format);     // bytes of a row before its blocks: kRowHead, a float32 scale, or 0

// What the codes of a format with a codebook stand for; null where a code stands for itself.
const float* codebook(Format format);

// Bytes of a row of n numbers; n must be a multiple of block_size.
size_t row_bytes(Format format, size_t n);

float half_to_float(uint16_t half);  // exact, subnormals included
float bf16_to_float(uint16_t bits);
float byte_scale(uint8_t byte);  // a sign, three bits of exponent, four of mantissa: 1 to 248 in magnitude
float row_scale(Format format, const uint8_t* row);  // what multiplies every number of a row; 1 where there is none

// One block of a block format: number j is scale[j / sub] * q[j] + min[j / sub], sub = sub_block(format), where q[j]
// is looked up in the codebook if there is one, and the scale multiplied by the row's.
// q: block_size codes; scale, min: block_size / sub floats each; min is 0 in formats that have none.
void unpack_block(Format format, const uint8_t* block, int8_t* q, float* scale, float* min);

// A row of any format as n floats; n must be a multiple of block_size.
void decode_row(Format format, const uint8_t* row, float* out, int n);

}  // namespace rookery
