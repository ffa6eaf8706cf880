#include "fit.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace rookery {
namespace {

constexpr int kLanes = 4;           // partial sums, so that results depend on no vector length
constexpr float kRound = 0x1.8p23f;  // adding and subtracting it rounds to a whole number, ties to even

using Lanes __attribute__((vector_size(4 * kLanes))) = float;

inline void load(Lanes& v, const float* p) { std::memcpy(&v, p, sizeof(v)); }

inline float total(const Lanes& v) { return (v[0] + v[1]) + (v[2] + v[3]); }

// q = nearest code of x * inverse + start
void codes_of(const Group& g, float inverse, float start, Codes codes, float* q) {
  const Lanes low = Lanes{} + static_cast<float>(codes.low), high = Lanes{} + static_cast<float>(codes.high);
  for (int i = 0; i < g.n; i += kLanes) {
    Lanes t;
    load(t, g.x + i);
    t = t * inverse + start;
    t = t > low ? t : low;
    t = t < high ? t : high;
    t = (t + kRound) - kRound;
    std::memcpy(q + i, &t, sizeof(t));
  }
}

// How much of sum w x^2 a least-squares fit leaves unexplained is what counts; the rest is the same for all codes.
float explained(const Sums& s, Fit f) {
  return 2 * (f.scale * s.xq + f.offset * s.x) - f.scale * f.scale * s.qq - 2 * f.scale * f.offset * s.q -
         f.offset * f.offset * s.w;
}

struct Best {
  float gain = 0;
  Fit fit;
};

// Codes for a trial range, their least-squares fit, and whether it is better than what there was.
void consider(const Group& g, float inverse, float start, Codes codes, Offset offset, Best& best) {
  float q[kMaxGroup];
  codes_of(g, inverse, start, codes, q);
  const Sums s = sums_of(g, q);
  const Fit fit = solve(s, offset);
  const float gain = explained(s, fit);
  if (gain > best.gain) best = {gain, fit};
}

// Nearest codes, then least squares, until nothing improves.
void alternate(const Group& g, Codes codes, Offset offset, Best& best) {
  for (int turn = 0; turn < 8; ++turn) {
    const Best before = best;
    if (best.fit.scale == 0) return;
    consider(g, 1 / best.fit.scale, -best.fit.offset / best.fit.scale, codes, offset, best);
    if (!(best.gain > before.gain)) return;
  }
}

// Ranges that are a little wider or narrower than the largest magnitude, of both signs: the side of the extra
// negative code matters.
Best search_signed(const Group& g, Codes codes) {
  float peak = 0;
  for (int i = 0; i < g.n; ++i) peak = std::max(peak, std::fabs(g.x[i]));
  Best best;
  if (peak == 0) return best;
  const float steps = static_cast<float>(-codes.low), reach = std::min(1.75f, 0.25f * steps);
  for (int i = -8; i <= 8; ++i) {
    const float inverse = (steps + reach * static_cast<float>(i) / 8) / peak;
    consider(g, inverse, 0, codes, Offset::None, best);
    consider(g, -inverse, 0, codes, Offset::None, best);
  }
  return best;
}

// Ranges that leave out up to two and a half codes' worth of either end, and one that leaves codes unused.
Best search_affine(const Group& g, Codes codes, Offset offset) {
  const auto [least, most] = std::minmax_element(g.x, g.x + g.n);
  const float low = offset == Offset::NotPositive ? std::min(*least, 0.0f) : *least, high = *most;
  Best best;
  const Sums flat = sums_of(g, g.x);  // of its fields only w and x are used
  const float mean = flat.x / flat.w;
  best.fit.offset = offset == Offset::NotPositive ? std::min(mean, 0.0f) : mean;
  best.gain = best.fit.offset * (2 * flat.x - best.fit.offset * flat.w);
  if (!(high > low)) return best;
  const float steps = static_cast<float>(codes.high);
  for (int i = -4; i <= 10; ++i) {
    const float more = 0.25f * static_cast<float>(i), inverse = (steps + more) / (high - low);
    for (int part = 0; part <= (i > 0 ? 2 : 0); ++part)
      consider(g, inverse, -low * inverse - 0.5f * more * static_cast<float>(part), codes, offset, best);
  }
  return best;
}

}  // namespace

float assign(const Group& g, Fit fit, Codes codes, float* q) {
  const float inverse = fit.scale == 0 ? 0 : 1 / fit.scale;
  const bool usable = std::isfinite(inverse);  // a scale below every fp16 leaves all codes at 0
  codes_of(g, usable ? inverse : 0, usable ? -fit.offset * inverse : 0, codes, q);
  Lanes sum{}, x, w, code;
  for (int i = 0; i < g.n; i += kLanes) {
    load(x, g.x + i), load(w, g.w + i), load(code, q + i);
    const Lanes e = x - (fit.scale * code + fit.offset);
    sum += w * e * e;
  }
  return total(sum);
}

Sums sums_of(const Group& g, const float* q) {
  Lanes sw{}, sx{}, sq{}, qq{}, xq{}, x, w, code;
  for (int i = 0; i < g.n; i += kLanes) {
    load(x, g.x + i), load(w, g.w + i), load(code, q + i);
    const Lanes wq = w * code;
    sw += w;
    sx += w * x;
    sq += wq;
    qq += wq * code;
    xq += wq * x;
  }
  return {total(sw), total(sx), total(sq), total(qq), total(xq)};
}

Fit solve(const Sums& s, Offset offset) {
  const Fit through_zero = {s.qq > 0 ? s.xq / s.qq : 0, 0};
  if (offset == Offset::None) return through_zero;
  const float spread = s.w * s.qq - s.q * s.q;
  Fit fit = {0, s.x / s.w};
  if (spread > 0) {
    fit.scale = (s.w * s.xq - s.x * s.q) / spread;
    fit.offset = (s.x - fit.scale * s.q) / s.w;
  }
  return offset == Offset::NotPositive && fit.offset > 0 ? through_zero : fit;
}

Fit search(const Group& g, Codes codes, Offset offset) {
  Best best = offset == Offset::None ? search_signed(g, codes) : search_affine(g, codes, offset);
  alternate(g, codes, offset, best);
  if (offset != Offset::None && best.fit.scale < 0) best.fit.scale = 0;
  return best.fit;
}

}  // namespace rookery
