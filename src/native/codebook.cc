#include "codebook.h"

#include <algorithm>
#include <cmath>

namespace rookery {
namespace {

constexpr int kTurns = 3;

struct Best {
  float gain = 0, scale = 0;
};

// Entries for a trial scale, their least-squares answer, and whether it is better than what there was.
void consider(const Group& g, const Coder& book, float inverse, Best& best) {
  uint8_t codes[kMaxCoded];
  float values[kMaxCoded];
  book.nearest(g, inverse, codes, values);
  const Sums s = sums_of(g, values);
  if (!(s.qq > 0)) return;
  const float scale = s.xq / s.qq, gain = scale * s.xq;
  if (gain > best.gain) best = {gain, scale};
}

float error_of(const Group& g, float scale, const float* values) {
  float sum = 0;
  for (int i = 0; i < g.n; ++i) {
    const float e = g.x[i] - scale * values[i];
    sum += g.w[i] * e * e;
  }
  return sum;
}

}  // namespace

Codebook::Codebook(const float* entries, int count) {
  std::copy(entries, entries + count, entries_);
  for (int i = 0; i + 1 < count; ++i) middle_[i] = 0.5f * (entries[i] + entries[i + 1]);
  middle_[count - 1] = INFINITY;
  largest_ = std::max(-entries[0], entries[count - 1]);
  start_ = entries[0];
  cells_per_unit_ = static_cast<float>(kCells - 1) / (entries[count - 1] - entries[0]);
  for (int cell = 0, i = 0; cell < kCells; ++cell) {
    const float edge = start_ + static_cast<float>(cell) / cells_per_unit_;
    while (middle_[i] < edge) ++i;
    first_[cell] = static_cast<uint8_t>(i);
  }
}

void Codebook::nearest(const Group& g, float inverse, uint8_t* codes, float* values) const {
  for (int i = 0; i < g.n; ++i) {
    const float t = g.x[i] * inverse;
    const float cell = std::clamp((t - start_) * cells_per_unit_, 0.0f, static_cast<float>(kCells - 1));
    const int first = first_[static_cast<int>(cell)];
    const int code = first + (t > middle_[first]);
    codes[i] = static_cast<uint8_t>(code);
    values[i] = entries_[code];
  }
}

void PairedCodebook::nearest(const Group& g, float inverse, uint8_t* codes, float* values) const {
  uint8_t other[kMaxCoded];
  float others[kMaxCoded];
  wide_.nearest(g, inverse, codes, values);
  narrow_.nearest(g, inverse, other, others);
  for (int i = 0; i < g.n; i += 4) {
    float more = 0;  // error of the wide table beyond that of the narrow one
    for (int k = i; k < i + 4; ++k) {
      const float t = g.x[k] * inverse, a = t - values[k], b = t - others[k];
      more += g.w[k] * (a * a - b * b);
    }
    if (!(more > 0)) continue;
    for (int k = i; k < i + 4; ++k) codes[k] = static_cast<uint8_t>(other[k] + count_), values[k] = others[k];
  }
}

float search(const Group& g, const Coder& book) {
  float peak = 0;
  for (int i = 0; i < g.n; ++i) peak = std::max(peak, std::fabs(g.x[i]));
  Best best;
  if (peak < 1e-30f) return 0;  // its inverse would not be finite
  for (int i = -5; i <= 7; ++i) {
    const float inverse = book.largest() / peak * (1 + 0.05f * static_cast<float>(i));
    consider(g, book, inverse, best);
    consider(g, book, -inverse, best);
  }
  for (int turn = 0; turn < 8 && best.scale != 0; ++turn) {
    const float before = best.gain;
    consider(g, book, 1 / best.scale, best);
    if (!(best.gain > before)) break;
  }
  return best.scale;
}

Coded encode_near(const Group& g, const Coder& book, float wanted, const std::function<float(float)>& stored) {
  Coded best, now;
  best.error = INFINITY;
  float values[kMaxCoded];
  const auto attempt = [&](float scale) {
    now.scale = stored(scale);
    const float inverse = now.scale == 0 ? 0 : 1 / now.scale;
    book.nearest(g, std::isfinite(inverse) ? inverse : 0, now.codes, values);
    now.error = error_of(g, now.scale, values);
    const Sums s = sums_of(g, values);
    if (now.error < best.error) best = now;
    return s.qq > 0 ? s.xq / s.qq : 0;
  };
  for (const float factor : {0.96f, 1.04f}) attempt(wanted * factor);
  for (int turn = 0; turn < kTurns; ++turn) wanted = attempt(wanted);
  return best;
}

}  // namespace rookery
