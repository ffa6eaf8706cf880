#include "encode.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "encode_blocks.h"
#include "encode_rows.h"

namespace rookery {
namespace {

constexpr float kHalfMax = 65504;

// 1/d; 0 where d is so small that 1/d overflows.
float reciprocal(float d) {
  const float inverse = 1 / d;
  return std::isfinite(inverse) ? inverse : 0;
}

float saturated(float x) { return std::clamp(x, -kHalfMax, kHalfMax); }

// The number of largest magnitude gets code 0 of 0 .. 2 half - 1; see rookery.quant.simple.
float nearest_signed(const float* x, int half, uint8_t* q) {
  float extreme = x[0];
  for (int j = 1; j < 32; j++) extreme = std::fabs(x[j]) > std::fabs(extreme) ? x[j] : extreme;
  const float d = saturated(extreme / static_cast<float>(-half)), inverse = reciprocal(d);
  const float centre = static_cast<float>(half) + 0.5f, top = static_cast<float>(2 * half - 1);
  for (int j = 0; j < 32; j++) q[j] = static_cast<uint8_t>(std::clamp(x[j] * inverse + centre, 0.0f, top));
  return d;
}

Affine nearest_affine(const float* x, int top, uint8_t* q) {
  const auto [least, most] = std::minmax_element(x, x + 32);
  const float m = saturated(*least), d = saturated((*most - m) / static_cast<float>(top)), inverse = reciprocal(d);
  for (int j = 0; j < 32; j++)
    q[j] = static_cast<uint8_t>(std::clamp((x[j] - m) * inverse + 0.5f, 0.0f, static_cast<float>(top)));
  return {d, m};
}

// Ties away from zero.
float nearest_bytes(const float* x, int8_t* q) {
  float peak = 0;
  for (int j = 0; j < 32; j++) peak = std::max(peak, std::fabs(x[j]));
  const float d = saturated(peak / 127), inverse = reciprocal(d);
  for (int j = 0; j < 32; j++) q[j] = static_cast<int8_t>(std::round(std::clamp(x[j] * inverse, -127.0f, 127.0f)));
  return d;
}

void encode_nearest(Format format, const float* x, uint8_t* out) {
  uint8_t q[32];
  if (format == Format::Q8_0) return store_half(out, nearest_bytes(x, reinterpret_cast<int8_t*>(out + 2)));
  if (has_min(format)) {
    const Affine found = nearest_affine(x, format == Format::Q4_1 ? 15 : 31, q);
    return store_simple(format, found, q, out);
  }
  const float d = nearest_signed(x, format == Format::Q4_0 ? 8 : 16, q);
  store_simple(format, {d, 0}, q, out);
}

}  // namespace

bool can_encode(Format format) { return block_size(format) > 1 && block_bytes(format) > 0; }

bool all_finite(const float* x, size_t n) {
  uint32_t worst = 0;
  for (size_t i = 0; i < n; i++) worst = std::max(worst, std::bit_cast<uint32_t>(x[i]) & 0x7f800000u);
  return worst != 0x7f800000u;
}

uint16_t float_to_half(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const float magnitude = std::min(std::bit_cast<float>(bits & 0x7fffffff), kHalfMax);
  if (magnitude < 0x1p-14f) {  // subnormal: a multiple of 2^-24; the sum is rounded to one
    const uint32_t units = std::bit_cast<uint32_t>(magnitude + 0.5f) - std::bit_cast<uint32_t>(0.5f);
    return static_cast<uint16_t>(sign | units);
  }
  const uint32_t m = std::bit_cast<uint32_t>(magnitude);
  const uint32_t rounded = m + 0xfff + (m >> 13 & 1) - (112u << 23);
  return static_cast<uint16_t>(sign | std::min<uint32_t>(rounded >> 13, 0x7bff));
}

void encode_row(Format format, const float* row, const float* importance, const uint8_t* head, uint8_t* out, int n) {
  if (row_head(format)) return encode_headed(format, row, importance, head, out, n);
  const int size = block_size(format);
  for (int at = 0; at < n; at += size, out += block_bytes(format))
    encode_searched(format, row + at, importance ? importance + at : nullptr, out);
}

void encode_row_nearest(Format format, const float* row, uint8_t* out, int n) {
  for (int at = 0; at < n; at += 32, out += block_bytes(format)) encode_nearest(format, row + at, out);
}

}  // namespace rookery
