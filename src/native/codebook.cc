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
void consider(const Group& g, const Codebook& book, float inverse, Best& best) {
  float values[kMaxCoded];
  book.nearest(g, inverse, values);
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

Codebook::Codebook(const float* entries, int count, int tables) : tables_(tables) {
  largest_ = std::max(-entries[0], entries[count - 1]);
  start_ = entries[0];
  cells_per_unit_ = static_cast<float>(kCells - 1) / (entries[count - 1] - entries[0]);
  for (int i = 0; i < tables; ++i) fill(entries + i * count, count, cells_[i]);
  for (int cell = 0; tables == 2 && cell < kCells; ++cell) cells_[1][cell].first += count;
}

void Codebook::fill(const float* entries, int count, Cell* cells) const {
  for (int cell = 0, i = 0; cell < kCells; ++cell) {
    const float edge = start_ + static_cast<float>(cell) / cells_per_unit_;
    while (i + 1 < count && 0.5f * (entries[i] + entries[i + 1]) < edge) ++i;
    const float next = i + 1 < count ? entries[i + 1] : INFINITY;
    cells[cell] = {0.5f * (entries[i] + next), entries[i], next, i};
  }
}

Codebook::Four Codebook::nearest_four(const Cell* cells, const int* at, const float* t, const float* w) const {
  Four out;
  out.error = 0;
  for (int k = 0; k < 4; ++k) {
    const Cell& cell = cells[at[k]];
    out.cells[k] = &cell;
    out.high[k] = t[k] > cell.middle;
    out.values[k] = out.high[k] ? cell.high : cell.low;
    const float e = t[k] - out.values[k];
    out.error += w[k] * e * e;
  }
  return out;
}

template <class Take>
inline void Codebook::each_four(const Group& g, float inverse, Take take) const {
  for (int i = 0; i < g.n; i += 4) {
    float t[4];
    int at[4];
    for (int k = 0; k < 4; ++k) {
      t[k] = g.x[i + k] * inverse;
      at[k] = static_cast<int>(std::clamp((t[k] - start_) * cells_per_unit_, 0.0f, static_cast<float>(kCells - 1)));
    }
    Four best = nearest_four(cells_[0], at, t, g.w + i);
    if (tables_ == 2)
      if (const Four narrow = nearest_four(cells_[1], at, t, g.w + i); narrow.error < best.error) best = narrow;
    take(i, best);
  }
}

void Codebook::nearest(const Group& g, float inverse, float* values) const {
  each_four(g, inverse, [&](int i, const Four& four) { std::copy(four.values, four.values + 4, values + i); });
}

void Codebook::nearest(const Group& g, float inverse, float* values, uint8_t* codes) const {
  each_four(g, inverse, [&](int i, const Four& four) {
    std::copy(four.values, four.values + 4, values + i);
    for (int k = 0; k < 4; ++k) codes[i + k] = static_cast<uint8_t>(four.cells[k]->first + four.high[k]);
  });
}

float Codebook::error(const Group& g, float scale) const {
  float sum = 0;
  each_four(g, 1 / scale, [&](int, const Four& four) { sum += four.error; });
  return sum * scale * scale;
}

float search(const Group& g, const Codebook& book) {
  float peak = 0;
  for (int i = 0; i < g.n; ++i) peak = std::max(peak, std::fabs(g.x[i]));
  Best best;
  if (peak < 1e-30f) return 0;  // its inverse would not be finite
  for (float factor = 0.6f; factor < 1.36f; factor *= 1.06f) {
    consider(g, book, book.largest() / peak * factor, best);
    consider(g, book, -book.largest() / peak * factor, best);
  }
  for (int turn = 0; turn < 8 && best.scale != 0; ++turn) {
    const float before = best.gain;
    consider(g, book, 1 / best.scale, best);
    if (!(best.gain > before)) break;
  }
  return best.scale;
}

Coded encode_near(const Group& g, const Codebook& book, float wanted, const std::function<float(float)>& stored) {
  Coded best, now;
  best.error = INFINITY;
  float values[kMaxCoded];
  const auto attempt = [&](float scale) {
    now.scale = stored(scale);
    const float inverse = now.scale == 0 ? 0 : 1 / now.scale;
    book.nearest(g, std::isfinite(inverse) ? inverse : 0, values, now.codes);
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
