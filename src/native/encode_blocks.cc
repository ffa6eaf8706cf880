#include "encode_blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "encode.h"
#include "encode_rows.h"
#include "fit.h"

namespace rookery {
namespace {

constexpr int kTurns = 3;  // of rounding the scales to fp16 and choosing codes again

// The fit as it can be stored, improved by turns: codes for stored scales, then scales for these codes.
Fit stored_fit(const Block& block, Codes codes, Offset offset, float* q) {
  const Group group = {block.x, block.w, 32};
  Fit fit = search(group, codes, offset), best;
  float least = INFINITY, trial[32];
  for (int turn = 0; turn < kTurns; turn++) {
    fit = {block.stored(fit.scale), block.stored(fit.offset)};
    const float error = assign(group, fit, codes, trial);
    if (!(error < least)) break;
    least = error, best = fit;
    std::copy(trial, trial + 32, q);
    fit = solve(sums_of(group, trial), offset);
  }
  return best;
}

void encode_32(Format format, const Block& block, uint8_t* out) {
  float q[32] = {};
  if (format == Format::Q8_0) {
    const Fit fit = stored_fit(block, {-127, 127}, Offset::None, q);
    block.store(out, fit.scale);
    for (int j = 0; j < 32; j++) out[2 + j] = static_cast<uint8_t>(static_cast<int>(q[j]));
    return;
  }
  const int half = block_bytes(format) < 22 ? 8 : 16;
  const Codes codes = has_min(format) ? Codes{0, 2 * half - 1} : Codes{-half, half - 1};
  const Fit fit = stored_fit(block, codes, has_min(format) ? Offset::Any : Offset::None, q);
  uint8_t whole[32];
  for (int j = 0; j < 32; j++) whole[j] = static_cast<uint8_t>(static_cast<int>(q[j]) - codes.low);
  store_simple(format, {std::ldexp(fit.scale, block.power), std::ldexp(fit.offset, block.power)}, whole, out);
}

// Weights for a block whose columns have importances; all equal where none of them counts.
void weigh(const float* importance, int n, float* w) {
  const float most = *std::max_element(importance, importance + n);
  // What was never seen still counts a little: codes must not run wild.
  for (int j = 0; j < n; j++) w[j] = most > 0 ? std::max(importance[j] / most, 1e-6f) : 1.0f;
}

// Where nothing is known of the columns, large numbers are taken to matter more: trained models put their outliers
// where inputs are large.  docs/quantization.md has the measurements.
void weigh_by_size(const float* x, int n, float* w) {
  float squares = 0;
  for (int j = 0; j < n; j++) squares += x[j] * x[j];
  const float floor = 0.3f * std::sqrt(squares / static_cast<float>(n));
  for (int j = 0; j < n; j++) w[j] = squares > 0 ? std::fabs(x[j]) + floor : 1.0f;
}

}  // namespace

void store_half(uint8_t* out, float x) {
  const uint16_t half = float_to_half(x);
  std::memcpy(out, &half, 2);
}

void store_simple(Format format, Affine scale, const uint8_t* q, uint8_t* out) {
  store_half(out, scale.d);
  out += 2;
  if (has_min(format)) {
    store_half(out, scale.m);
    out += 2;
  }
  if (format == Format::Q5_0 || format == Format::Q5_1) {
    std::memset(out, 0, 4);
    for (int j = 0; j < 32; j++) out[j / 8] = static_cast<uint8_t>(out[j / 8] | (q[j] >> 4) << (j % 8));
    out += 4;
  }
  for (int j = 0; j < 16; j++) out[j] = static_cast<uint8_t>((q[j] & 15) | (q[j + 16] & 15) << 4);
}

float Block::stored(float scale) const {
  return std::ldexp(half_to_float(float_to_half(std::ldexp(scale, power))), -power);
}

void Block::store(uint8_t* out, float scale) const { store_half(out, std::ldexp(scale, power)); }

void weigh_columns(const float* importance, const float* x, int n, float* w) {
  importance ? weigh(importance, n, w) : weigh_by_size(x, n, w);
}

void encode_searched(Format format, const float* x, const float* importance, uint8_t* out) {
  const int n = block_size(format);
  float peak = 0, scaled[kMaxBlock], w[kMaxBlock];
  for (int j = 0; j < n; j++) peak = std::max(peak, std::fabs(x[j]));
  int power = 0;
  if (peak > 0) std::frexp(peak, &power);
  for (int j = 0; j < n; j++) scaled[j] = std::ldexp(x[j], -power);
  weigh_columns(importance, scaled, n, w);
  const Block block = {scaled, w, power};
  if (format == Format::NF4) return encode_nf4(block, out);
  if (n == 32) return encode_32(format, block, out);
  format == Format::Q6_K ? encode_q6_k(block, out) : encode_k_affine(format, block, out);
}

}  // namespace rookery
