#include "blocks.h"

#include <cmath>
#include <cstring>

namespace rookery {
namespace {

constexpr size_t kVector = 4 * kGroup;  // bytes of four inputs of all rows

void put_half(uint8_t* halves, int r, const uint8_t* half) { std::memcpy(halves + 2 * r, half, 2); }


// Bytes: vector j holds inputs 4 j .. 4 j + 3.
void put_bytes(uint8_t* to, int r, const uint8_t* codes) {
  for (int j = 0; j < 8; ++j) std::memcpy(to + j * kVector + 4 * r, codes + 4 * j, 4);
}

// Nibbles: vector i holds inputs 8 i .. + 3 in the low halves, the next four in the high halves.
void put_nibbles(uint8_t* to, int r, const uint8_t* codes, int count) {
  for (int k = 0; k < count; ++k) {
    uint8_t& byte = to[k / 8 * kVector + 4 * r + k % 4];
    byte = static_cast<uint8_t>(byte | (codes[k] & 15) << (k % 8 / 4 * 4));
  }
}

// The bits above the nibbles: `width` bits of input 4 j + i at position width * j of byte i.
void put_high(uint8_t* to, int r, const uint8_t* codes, int count, int width) {
  for (int k = 0; k < count; ++k) {
    uint8_t& byte = to[4 * r + k % 4];
    byte = static_cast<uint8_t>(byte | (codes[k] >> 4 & ((1 << width) - 1)) << (k / 4 * width));
  }
}

// The 6-bit scales and minima of Q4_K and Q5_K; see k_scales in kernels/integers.inl.
void put_k_scales(uint8_t* to, int r, const uint8_t* block) {
  put_half(to, r, block);
  put_half(to + 2 * kGroup, r, block + 2);
  const uint8_t* s = block + 4;
  uint8_t *a = to + 128 + r, *b = a + kVector, *c = b + kVector;
  for (int i = 0; i < 4; ++i) {
    const int sc = s[i] & 63, mn = s[i + 4] & 63;
    const int later_sc = (s[i + 8] & 15) | (s[i] >> 6) << 4, later_mn = (s[i + 8] >> 4) | (s[i + 4] >> 6) << 4;
    a[i * kGroup] = static_cast<uint8_t>(sc | (later_mn & 3) << 6);
    b[i * kGroup] = static_cast<uint8_t>(later_sc | (later_mn >> 2 & 3) << 6);
    c[i * kGroup] = static_cast<uint8_t>(mn | later_mn >> 4 << 6);
  }
}

void put_k(uint8_t* unit, int r, const uint8_t* block, const uint8_t* codes, bool five) {
  put_k_scales(unit, r, block);
  uint8_t* to = unit + 512;
  for (int b = 0; b < 8; ++b, codes += 32) {
    if (five) put_high(to, r, codes, 32, 1), to += kVector;
    put_nibbles(to, r, codes, 32);
    to += 4 * kVector;
  }
}

void put_q6(uint8_t* unit, int r, const uint8_t* block, const uint8_t* codes) {
  put_half(unit, r, block + 208);
  for (int i = 0; i < 16; ++i) unit[64 + i * kGroup + r] = block[192 + i];
  uint8_t* to = unit + 576;
  for (int part = 0; part < 16; ++part, codes += 16) {
    put_high(to, r, codes, 16, 2);
    put_nibbles(to + kVector, r, codes, 16);
    to += 3 * kVector;
  }
}

// A simple block: a scale, perhaps a minimum, perhaps fifth bits, then nibbles or bytes.
void put_simple(Pack pack, uint8_t* unit, int r, const uint8_t* block, const uint8_t* codes) {
  put_half(unit, r, block);
  uint8_t* to = unit + 2 * kGroup;
  if (pack == Pack::Q4Min || pack == Pack::Q5Min) put_half(to, r, block + 2), to += 2 * kGroup;
  if (pack == Pack::Q8) return put_bytes(to, r, codes);
  if (pack == Pack::Q5 || pack == Pack::Q5Min) put_high(to, r, codes, 32, 1), to += kVector;
  put_nibbles(to, r, codes, 32);
}

// C4 and C5: scales and choices of tables, then the codes of two runs.
void put_paired(uint8_t* unit, int r, const uint8_t* block, const uint8_t* codes, bool five) {
  std::memcpy(unit + 4 * r, block, 4);
  uint8_t* to = unit + kVector;
  for (int b = 0; b < 2; ++b, codes += 32) {
    if (five) put_high(to, r, codes, 32, 1), to += kVector;
    put_nibbles(to, r, codes, 32);
    to += 4 * kVector;
  }
}

void put_nf4(uint8_t* unit, int r, const uint8_t* block, const uint8_t* codes) {
  put_half(unit, r, block);
  put_nibbles(unit + 2 * kGroup, r, codes, 64);
}

// What is added to the signed codes of `unpack_block` to make them unsigned.
int bias_of(Pack pack) {
  switch (pack) {
    case Pack::Q8: case Pack::Int8: return 128;
    case Pack::Q4: return 8;
    case Pack::Q5: return 16;
    case Pack::Q6K: return 32;
    default: return 0;
  }
}

}  // namespace

Pack pack_of(Format format) {
  switch (format) {
    case Format::F32: return Pack::F32;
    case Format::F16: return Pack::F16;
    case Format::BF16: return Pack::BF16;
    case Format::Q8_0: return Pack::Q8;
    case Format::Q4_0: return Pack::Q4;
    case Format::Q4_1: return Pack::Q4Min;
    case Format::Q5_0: return Pack::Q5;
    case Format::Q5_1: return Pack::Q5Min;
    case Format::Q4_K: return Pack::Q4K;
    case Format::Q5_K: return Pack::Q5K;
    case Format::INT8: return Pack::Int8;
    case Format::NF4: return Pack::Nf4;
    case Format::C4: return Pack::C4;
    case Format::C5: return Pack::C5;
    default: return Pack::Q6K;
  }
}

size_t unit_bytes(Pack pack) {
  switch (pack) {
    case Pack::Q8:
    case Pack::Q8Lines: return 64 + 8 * kVector;
    case Pack::Q4: return 64 + 4 * kVector;
    case Pack::Q4Min: return 128 + 4 * kVector;
    case Pack::Q5: return 64 + 5 * kVector;
    case Pack::Q5Min: return 128 + 5 * kVector;
    case Pack::Q4K: return 512 + 8 * 4 * kVector;
    case Pack::Q5K: return 512 + 8 * 5 * kVector;
    case Pack::Q6K: return 576 + 8 * 6 * kVector;
    case Pack::Int8: return 8 * kVector;
    case Pack::Nf4: return 64 + 8 * kVector;
    case Pack::C4: return (1 + 2 * 4) * kVector;
    case Pack::C5: return (1 + 2 * 5) * kVector;
    default: return 0;
  }
}

int scale_count(Pack pack) {
  switch (pack) {
    case Pack::Q4Min:
    case Pack::Q5Min:
    case Pack::Q4K:
    case Pack::Q5K: return 2 * kGroup;
    case Pack::Int8:
    case Pack::C4:
    case Pack::C5: return 0;
    default: return kGroup;
  }
}

int layout_revision(Pack) { return 1; }

size_t head_bytes(Pack pack) {
  return pack == Pack::Int8 || pack == Pack::C4 || pack == Pack::C5 ? kGroup * sizeof(float) : 0;
}

bool pack_head(Format format, const uint8_t* row, uint8_t* head, int r) {
  const float scale = row_scale(format, row);
  if (row_head(format)) std::memcpy(head + sizeof scale * static_cast<size_t>(r), &scale, sizeof scale);
  return std::isfinite(scale);
}

bool pack_block(Format format, const uint8_t* block, uint8_t* unit, int r) {
  const Pack pack = pack_of(format);
  int8_t q[kMaxBlock];
  float scale[kMaxGroups], min[kMaxGroups];
  unpack_block(format, block, q, scale, min);
  for (int i = 0; i < block_size(format) / sub_block(format); ++i)
    if (!std::isfinite(scale[i]) || !std::isfinite(min[i])) return false;
  uint8_t codes[kMaxBlock];
  for (int k = 0; k < block_size(format); ++k) codes[k] = static_cast<uint8_t>(q[k] + bias_of(pack));
  if (pack == Pack::Q6K)
    put_q6(unit, r, block, codes);
  else if (pack == Pack::Q4K || pack == Pack::Q5K)
    put_k(unit, r, block, codes, pack == Pack::Q5K);
  else if (pack == Pack::Int8)
    put_bytes(unit, r, codes);
  else if (pack == Pack::Nf4)
    put_nf4(unit, r, block, codes);
  else if (pack == Pack::C4 || pack == Pack::C5)
    put_paired(unit, r, block, codes, pack == Pack::C5);
  else
    put_simple(pack, unit, r, block, codes);
  return true;
}

bool pack_lines(const uint8_t* block, uint8_t* unit, int r) {
  int8_t q[32];
  float scale, min;
  unpack_block(Format::Q8_0, block, q, &scale, &min);
  put_half(unit, r, block);
  const int place = r / 4 % 4 * 16 + r / 16 * 4 + r % 4;  // so that weaving leaves the rows in order
  for (int k = 0; k < 32; ++k) unit[2 * kLineRows + k * kLineRows + place] = static_cast<uint8_t>(q[k] + 128);
  return std::isfinite(scale);
}

}  // namespace rookery
