#include "quant.h"

#include <array>
#include <bit>
#include <cstring>

#include "codebooks.h"

namespace rookery {

static_assert(std::endian::native == std::endian::little, "model files are little-endian, and so must the machine be");

namespace {

uint16_t load_u16(const uint8_t* p) {
  uint16_t x;
  std::memcpy(&x, p, 2);
  return x;
}

float load_half(const uint8_t* p) { return half_to_float(load_u16(p)); }

// Half-bytes: the first half of the numbers in the low halves, the others in the high halves.
void nibbles(const uint8_t* qs, int8_t* q, int count = 32) {
  for (int j = 0; j < count / 2; j++) {
    q[j] = static_cast<int8_t>(qs[j] & 15);
    q[j + count / 2] = static_cast<int8_t>(qs[j] >> 4);
  }
}

// Bit j of the mask is the fifth bit of number j.
void fifth_bits(const uint8_t* qh, int8_t* q) {
  for (int j = 0; j < 32; j++) q[j] = static_cast<int8_t>(q[j] | (((qh[j / 8] >> (j % 8)) & 1) << 4));
}

void centre(int8_t* q, int half) {
  for (int j = 0; j < 32; j++) q[j] = static_cast<int8_t>(q[j] - half);
}

// The group scales of Q4_K and Q5_K: 8 six-bit scales and 8 six-bit minima in 12 bytes.
void k_scales(const uint8_t* block, float* scale, float* min) {
  const float d = load_half(block), dmin = load_half(block + 2);
  const uint8_t* s = block + 4;
  for (int i = 0; i < 8; i++) {
    const int sc = i < 4 ? s[i] & 63 : (s[i + 4] & 15) | (s[i - 4] >> 6) << 4;
    const int mn = i < 4 ? s[i + 4] & 63 : (s[i + 4] >> 4) | (s[i] >> 6) << 4;
    scale[i] = d * static_cast<float>(sc);
    min[i] = -(dmin * static_cast<float>(mn));
  }
}

// Groups 2g and 2g + 1 share 32 bytes: low and high halves.
void k_nibbles(const uint8_t* qs, int8_t* q) {
  for (int g = 0; g < 4; g++) {
    for (int j = 0; j < 32; j++) {
      q[64 * g + j] = static_cast<int8_t>(qs[32 * g + j] & 15);
      q[64 * g + 32 + j] = static_cast<int8_t>(qs[32 * g + j] >> 4);
    }
  }
}

void unpack_q6_k(const uint8_t* block, int8_t* q, float* scale) {
  const uint8_t *ql = block, *qh = block + 128;
  for (int j = 0; j < 256; j++) {
    const int half = j / 128, run = j % 128 / 32, lane = j % 32;
    const int byte = ql[64 * half + 32 * (run % 2) + lane];
    const int low = run < 2 ? byte & 15 : byte >> 4;
    const int high = qh[32 * half + lane] >> (2 * run) & 3;
    q[j] = static_cast<int8_t>((low | high << 4) - 32);
  }
  const float d = load_half(block + 208);
  for (int i = 0; i < 16; i++) scale[i] = d * static_cast<float>(static_cast<int8_t>(block[192 + i]));
}

// A block of C4 or C5: two scales, two bytes that say which of two tables every four numbers use, half-bytes; the choice
// of the table is the bit above the `bits` of a code.
void unpack_paired(const uint8_t* block, const uint8_t* qs, int bits, int8_t* q, float* scale) {
  nibbles(qs, q, 64);
  for (int j = 0; j < 64; j++) q[j] = static_cast<int8_t>(q[j] | (block[2 + j / 32] >> (j % 32 / 4) & 1) << bits);
  for (int i = 0; i < 2; i++) scale[i] = byte_scale(block[i]);
}

template <size_t N>
constexpr std::array<float, 2 * N> both_tables(const uint8_t (&tables)[2][N]) {
  std::array<float, 2 * N> out{};
  for (size_t i = 0; i < 2 * N; i++) out[i] = static_cast<float>(tables[i / N][i % N] - kBookBias);
  return out;
}

void decode_dense(Format format, const uint8_t* row, float* out, int n) {
  if (format == Format::F32) {
    std::memcpy(out, row, sizeof(float) * static_cast<size_t>(n));
  } else if (format == Format::F16) {
    for (int j = 0; j < n; j++) out[j] = load_half(row + 2 * j);
  } else {
    for (int j = 0; j < n; j++) out[j] = bf16_to_float(load_u16(row + 2 * j));
  }
}

}  // namespace

bool known_format(int id) { return block_bytes(static_cast<Format>(id)) > 0; }

int block_size(Format format) {
  switch (format) {
    case Format::F32: case Format::F16: case Format::BF16: return 1;
    case Format::Q4_K: case Format::Q5_K: case Format::Q6_K: return 256;
    case Format::NF4: case Format::C4: case Format::C5: return 64;
    default: return 32;
  }
}

int block_bytes(Format format) {
  switch (format) {
    case Format::F32: return 4;
    case Format::F16: case Format::BF16: return 2;
    case Format::Q4_0: return 18;
    case Format::Q4_1: return 20;
    case Format::Q5_0: return 22;
    case Format::Q5_1: return 24;
    case Format::Q8_0: return 34;
    case Format::Q4_K: return 144;
    case Format::Q5_K: return 176;
    case Format::Q6_K: return 210;
    case Format::INT8: return 32;
    case Format::NF4: return 34;
    case Format::C4: return 36;
    case Format::C5: return 44;
  }
  return 0;  // not a format: see known_format
}

int sub_block(Format format) {
  if (format == Format::Q6_K) return 16;
  if (format == Format::NF4) return 64;
  return block_size(format) == 1 ? 1 : 32;
}

bool has_min(Format format) {
  return format == Format::Q4_1 || format == Format::Q5_1 || format == Format::Q4_K || format == Format::Q5_K;
}

int row_head(Format format) {
  return format == Format::INT8 || format == Format::C4 || format == Format::C5 ? kRowHead : 0;
}

const float* codebook(Format format) {
  static constexpr auto c4 = both_tables(kC4);
  static constexpr auto c5 = both_tables(kC5);
  switch (format) {
    case Format::NF4: return kNf4;
    case Format::C4: return c4.data();
    case Format::C5: return c5.data();
    default: return nullptr;
  }
}

size_t row_bytes(Format format, size_t n) {
  return static_cast<size_t>(row_head(format)) + n / static_cast<size_t>(block_size(format)) * static_cast<size_t>(block_bytes(format));
}

float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = half >> 10 & 31, mantissa = half & 0x3ff;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24, which float32 holds exactly
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  const uint32_t wide = exponent == 31 ? 255 : exponent + (127 - 15);  // infinity and NaN keep the top exponent
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

float bf16_to_float(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

float byte_scale(uint8_t byte) {
  const uint32_t sign = static_cast<uint32_t>(byte & 128) << 24, magnitude = static_cast<uint32_t>(byte & 127) << 19;
  return std::bit_cast<float>(sign | (magnitude + 0x3f800000u));
}

float row_scale(Format format, const uint8_t* row) {
  float scale = 1;
  if (row_head(format)) std::memcpy(&scale, row, sizeof scale);
  return scale;
}

void unpack_block(Format format, const uint8_t* block, int8_t* q, float* scale, float* min) {
  for (int i = 0; i < block_size(format) / sub_block(format); i++) min[i] = 0;
  if (block_size(format) == 32) scale[0] = load_half(block);
  switch (format) {
    case Format::Q4_0: nibbles(block + 2, q); centre(q, 8); return;
    case Format::Q4_1: nibbles(block + 4, q); min[0] = load_half(block + 2); return;
    case Format::Q5_0: nibbles(block + 6, q); fifth_bits(block + 2, q); centre(q, 16); return;
    case Format::Q5_1: nibbles(block + 8, q); fifth_bits(block + 4, q); min[0] = load_half(block + 2); return;
    case Format::Q8_0: std::memcpy(q, block + 2, 32); return;
    case Format::Q4_K: k_scales(block, scale, min); k_nibbles(block + 16, q); return;
    case Format::Q5_K:
      k_scales(block, scale, min);
      k_nibbles(block + 48, q);
      for (int j = 0; j < 256; j++) q[j] = static_cast<int8_t>(q[j] | ((block[16 + j % 32] >> (j / 32)) & 1) << 4);
      return;
    case Format::Q6_K: unpack_q6_k(block, q, scale); return;
    case Format::INT8: std::memcpy(q, block, 32); scale[0] = 1; return;
    case Format::NF4: nibbles(block + 2, q, 64); scale[0] = load_half(block); return;
    case Format::C4: unpack_paired(block, block + 4, 4, q, scale); return;
    case Format::C5: {
      unpack_paired(block, block + 12, 5, q, scale);
      for (int j = 0; j < 64; j++) q[j] = static_cast<int8_t>(q[j] | (block[4 + j / 8] >> (j % 8) & 1) << 4);
      return;
    }
    case Format::F32: case Format::F16: case Format::BF16: return;  // dense: nothing to unpack
  }
}

void decode_row(Format format, const uint8_t* row, float* out, int n) {
  const int size = block_size(format), sub = sub_block(format);
  if (size == 1) return decode_dense(format, row, out, n);
  const float whole = row_scale(format, row);
  const float* book = codebook(format);
  int8_t q[kMaxBlock];
  float scale[kMaxGroups], min[kMaxGroups];
  row += row_head(format);
  for (int start = 0; start < n; start += size, row += block_bytes(format), out += size) {
    unpack_block(format, row, q, scale, min);
    for (int i = 0; i < size / sub; i++) scale[i] *= whole;
    for (int j = 0; j < size; j++) out[j] = scale[j / sub] * (book ? book[q[j]] : static_cast<float>(q[j]));
    if (!has_min(format)) continue;  // adding 0 would turn -0 into 0
    for (int j = 0; j < size; j++) out[j] += min[j / sub];
  }
}

}  // namespace rookery
