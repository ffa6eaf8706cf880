#include "encode_rows.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "codebook.h"
#include "codebooks.h"

namespace rookery {
namespace {

float peak_of(const float* x, int n) {
  float peak = 0;
  for (int i = 0; i < n; ++i) peak = std::max(peak, std::fabs(x[i]));
  return peak;
}

// ---------------------------------------------------------------- int8

constexpr float kTop = 127;

// Codes of a row for a scale; returns the scale that suits them best.
float codes_for(const float* x, const float* w, int n, float scale, int8_t* codes) {
  const float inverse = scale > 0 && std::isfinite(1 / scale) ? 1 / scale : 0;
  double xq = 0, qq = 0;
  for (int i = 0; i < n; ++i) {
    const float q = std::nearbyint(std::clamp(x[i] * inverse, -kTop, kTop));
    codes[i] = static_cast<int8_t>(q);
    xq += static_cast<double>(w[i] * x[i]) * q;
    qq += static_cast<double>(w[i] * q) * q;
  }
  return qq > 0 ? static_cast<float>(xq / qq) : 0;
}

double error_of(const float* x, const float* w, int n, float scale, const int8_t* codes) {
  double sum = 0;
  for (int i = 0; i < n; ++i) {
    const double e = x[i] - scale * static_cast<float>(codes[i]);
    sum += w[i] * e * e;
  }
  return sum;
}

// The scale with the least error: the largest number at 127, or a little or much beyond it, and the least-squares
// answer for each.
float search_int8(const float* x, const float* w, int n) {
  const float peak = peak_of(x, n);
  std::vector<int8_t> codes(static_cast<size_t>(n));
  float best = 0;
  double least = INFINITY;
  for (int i = 0; i < 12; ++i) {
    float scale = peak / kTop * (1 - 0.06f * static_cast<float>(i));
    for (int turn = 0; turn < 2; ++turn) {
      const float next = codes_for(x, w, n, scale, codes.data());
      const double error = error_of(x, w, n, scale, codes.data());
      if (error < least) least = error, best = scale;
      scale = next;
    }
  }
  return best;
}

// ---------------------------------------------------------------- rows

// A row scaled so that its largest magnitude is below 1, and the weights of its errors.
struct Row {
  std::vector<float> x, w;
  int power = 0;
};

Row normalised(const float* row, const float* importance, int n) {
  Row out{std::vector<float>(row, row + n), std::vector<float>(static_cast<size_t>(n)), 0};
  const float peak = peak_of(row, n);
  if (peak > 0) std::frexp(peak, &out.power);
  for (float& v : out.x) v = std::ldexp(v, -out.power);
  weigh_columns(importance, out.x.data(), n, out.w.data());
  return out;
}

// A scale as it is stored: no product with a code may overflow.
float storable(float scale, int power, float largest_code) {
  return std::min(std::ldexp(scale, power), FLT_MAX / largest_code * (1 - FLT_EPSILON));
}

void encode_int8(const Row& row, const uint8_t* head, uint8_t* out) {
  const int n = static_cast<int>(row.x.size());
  float scale;
  if (head)
    std::memcpy(&scale, head, sizeof scale);
  else
    scale = storable(search_int8(row.x.data(), row.w.data(), n), row.power, kTop);
  std::memcpy(out, &scale, sizeof scale);
  codes_for(row.x.data(), row.w.data(), n, std::ldexp(scale, -row.power), reinterpret_cast<int8_t*>(out + sizeof scale));
}

// ---------------------------------------------------------------- C4, C5

// The scale of a block is tried wherever its largest number becomes 0.55 to 1.36 of the largest entry.
constexpr float kLargestByteScale = 248, kLeast = 0.55f, kMost = 1.36f;

// The byte whose scale is nearest.
uint8_t to_byte_scale(float scale) {
  const float magnitude = std::clamp(std::fabs(scale), 1.0f, kLargestByteScale);
  int power = 0;
  const float mantissa = std::frexp(magnitude, &power);  // 0.5 .. 1
  const int byte = (power - 1) * 16 + static_cast<int>(std::nearbyint(mantissa * 32)) - 16;
  return static_cast<uint8_t>(std::min(byte, 127) | (scale < 0 ? 128 : 0));
}

Group group(const Row& row, int at) { return {row.x.data() + at, row.w.data() + at, 32}; }

// 32 numbers as they are stored.
struct Stored {
  uint8_t scale, codes[32];
};

void store_paired(const Stored* two, bool five, uint8_t* out) {
  const int count = five ? 32 : 16;
  std::memset(out, 0, five ? 12 : 4);
  for (int i = 0; i < 2; ++i) {
    out[i] = two[i].scale;
    for (int j = 0; j < 8; ++j) out[2 + i] = static_cast<uint8_t>(out[2 + i] | (two[i].codes[4 * j] / count) << j);
    for (int j = 0; five && j < 32; ++j) {
      uint8_t& bits = out[4 + 4 * i + j / 8];
      bits = static_cast<uint8_t>(bits | (two[i].codes[j] >> 4 & 1) << (j % 8));
    }
  }
  out += five ? 12 : 4;
  for (int j = 0; j < 32; ++j) out[j] = static_cast<uint8_t>((two[0].codes[j] & 15) | (two[1].codes[j] & 15) << 4);
}

const Codebook& tables_of(Format format) {
  static const Codebook c4(codebook(Format::C4), 16, 2), c5(codebook(Format::C5), 32, 2);
  return format == Format::C4 ? c4 : c5;
}

// The best of all scales of a block, and its error: the bytes are few enough to try them.
std::pair<uint8_t, float> search_byte_scale(const Group& g, const Codebook& book, float unit) {
  const float whole = peak_of(g.x, g.n) / book.largest() / unit;
  const int last = to_byte_scale(whole / kLeast);
  int best = 0;
  float least = INFINITY;
  for (int byte = to_byte_scale(whole / kMost); byte <= last; ++byte)
    for (const int sign : {0, 128}) {
      const float error = book.error(g, byte_scale(static_cast<uint8_t>(byte | sign)) * unit);
      if (error < least) least = error, best = byte | sign;
    }
  return {static_cast<uint8_t>(best), least};
}

// The scale of a row: of those with which one of its largest blocks has exactly the scale it wants, the best for these
// blocks.  They have the outliers, which cost most where inputs are large.
float search_unit(const Row& row, const Codebook& book) {
  std::vector<int> starts;
  for (int at = 0; at < static_cast<int>(row.x.size()); at += 32) starts.push_back(at);
  const auto peak = [&](int at) { return peak_of(row.x.data() + at, 32); };
  const size_t count = std::min<size_t>(starts.size(), 4);
  std::partial_sort(starts.begin(), starts.begin() + static_cast<int>(count), starts.end(),
                    [&](int a, int b) { return peak(a) > peak(b) || (peak(a) == peak(b) && a < b); });
  starts.resize(count);
  const float about = peak(starts[0]) / book.largest() / kLeast / kLargestByteScale;
  float best = about, least = INFINITY;
  for (int from : starts) {
    const float wanted = std::fabs(search(group(row, from), book));
    if (!(wanted > about && wanted <= about * kLargestByteScale)) continue;
    const float unit = wanted / byte_scale(to_byte_scale(wanted / about));
    float error = 0;
    for (int at : starts) error += search_byte_scale(group(row, at), book, unit).second;
    if (error < least) least = error, best = unit;
  }
  return best;
}

void encode_paired(Format format, const Row& row, const uint8_t* head, uint8_t* out) {
  const int n = static_cast<int>(row.x.size());
  const Codebook& book = tables_of(format);
  float whole;
  if (head)
    std::memcpy(&whole, head, sizeof whole);
  else
    whole = storable(search_unit(row, book), row.power, kLargestByteScale * book.largest());
  std::memcpy(out, &whole, sizeof whole);
  out += sizeof whole;
  const float unit = std::ldexp(whole, -row.power);
  for (int at = 0; at < n; at += 64, out += block_bytes(format)) {
    Stored two[2] = {};
    for (int i = 0; i < 2; ++i) {
      const Group g = group(row, at + 32 * i);
      const bool usable = unit > 1e-30f;  // else everything is 0
      two[i].scale = usable ? search_byte_scale(g, book, unit).first : 0;
      float values[32];
      book.nearest(g, usable ? 1 / (byte_scale(two[i].scale) * unit) : 0, values, two[i].codes);
    }
    store_paired(two, format == Format::C5, out);
  }
}

}  // namespace

void encode_headed(Format format, const float* row, const float* importance, const uint8_t* head, uint8_t* out, int n) {
  const Row scaled = normalised(row, importance, n);
  format == Format::INT8 ? encode_int8(scaled, head, out) : encode_paired(format, scaled, head, out);
}

// ---------------------------------------------------------------- NF4

void encode_nf4(const Block& block, uint8_t* out) {
  static const Codebook book(kNf4, 16, 1);
  const Group group = {block.x, block.w, 64};
  const Coded best = encode_near(group, book, search(group, book), [&](float s) { return block.stored(s); });
  block.store(out, best.scale);
  for (int j = 0; j < 32; ++j) out[2 + j] = static_cast<uint8_t>(best.codes[j] | best.codes[j + 32] << 4);
}

}  // namespace rookery
