// Q4_K, Q5_K and Q6_K: groups whose scales are small multiples of the block's own.
//
// First every group is fitted freely.  Then by turns: with the block's scales fixed, each group tries the multiples
// around its own best; with multiples and codes fixed, the block's scales are the least-squares answer.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "encode_blocks.h"
#include "fit.h"

namespace rookery {
namespace {

constexpr int kTurns = 4;

struct Multiples {
  int scale, offset;
};

// Everything that is stored of a block.
struct Choice {
  float d = 0, dmin = 0, error = INFINITY;
  Multiples of[16] = {};
  float q[256] = {};
};

// The largest of the scales in magnitude, with its sign.
float extreme(const float* scales, int n) {
  return *std::max_element(scales, scales + n, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
}

int nearest(float x, float unit, int low, int high) {
  const float ratio = unit == 0 ? 0 : x / unit;
  return static_cast<int>(std::lrint(std::clamp(ratio, static_cast<float>(low), static_cast<float>(high))));
}

// What the groups of a format are like.
struct Kind {
  int groups, size;
  Codes codes, multiples;
  Offset offset;
};

class Search {
 public:
  Search(const Kind& kind, const Block& block) : kind_(kind), block_(block) {}

  Choice run() {
    float scales[16] = {}, offsets[16] = {};
    for (int i = 0; i < kind_.groups; i++) {
      wanted_[i] = search(group(i), kind_.codes, kind_.offset);
      scales[i] = wanted_[i].scale, offsets[i] = -wanted_[i].offset;
    }
    // The largest takes the multiple of largest magnitude.
    const bool affine = kind_.offset != Offset::None;
    const float last = static_cast<float>(affine ? kind_.multiples.high : kind_.multiples.low);
    now_.d = extreme(scales, kind_.groups) / last;
    now_.dmin = affine ? extreme(offsets, kind_.groups) / last : 0;
    for (int turn = 0; turn < kTurns; turn++) {
      now_.d = block_.stored(now_.d), now_.dmin = block_.stored(now_.dmin);
      now_.error = 0;
      for (int i = 0; i < kind_.groups; i++) now_.error += choose(i);
      if (!(now_.error < best_.error)) break;
      best_ = now_;
      improve();
    }
    return best_;
  }

 private:
  Group group(int i) const { return {block_.x + i * kind_.size, block_.w + i * kind_.size, kind_.size}; }

  Fit fit(Multiples m) const {
    return {now_.d * static_cast<float>(m.scale), -(now_.dmin * static_cast<float>(m.offset))};
  }

  // The best multiples for group i and its codes; returns their error.
  float choose(int i) {
    const Codes range = kind_.multiples;
    const int scale = nearest(wanted_[i].scale, now_.d, range.low, range.high);
    least_ = INFINITY;
    for (int s = std::max(scale - 1, range.low); s <= std::min(scale + 1, range.high); s++) {
      const int offset = offset_for(i, s);
      attempt(i, {s, offset});
      if (kind_.offset == Offset::None) continue;
      if (offset > 0) attempt(i, {s, offset - 1});
      if (offset < range.high) attempt(i, {s, offset + 1});
    }
    wanted_[i] = solve(sums_of(group(i), now_.q + i * kind_.size), kind_.offset);
    return least_;
  }

  // The multiple of dmin that suits group i when its scale is `s` times d.
  int offset_for(int i, int s) const {
    if (kind_.offset == Offset::None) return 0;
    float q[kMaxGroup];
    const Group g = group(i);
    assign(g, {now_.d * static_cast<float>(s), wanted_[i].offset}, kind_.codes, q);
    const Sums sums = sums_of(g, q);
    const float offset = (sums.x - now_.d * static_cast<float>(s) * sums.q) / sums.w;
    return nearest(-offset, now_.dmin, 0, kind_.multiples.high);
  }

  void attempt(int i, Multiples m) {
    float q[kMaxGroup];
    const float error = assign(group(i), fit(m), kind_.codes, q);
    if (!(error < least_)) return;
    least_ = error;
    now_.of[i] = m;
    std::copy(q, q + kind_.size, now_.q + i * kind_.size);
  }

  // The least-squares d and dmin for the multiples and codes of now_: x ~ d (sc q) - dmin mn.
  void improve() {
    double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
    for (int i = 0; i < kind_.groups; i++) {
      const Sums s = sums_of(group(i), now_.q + i * kind_.size);
      const double sc = now_.of[i].scale, mn = now_.of[i].offset;
      aa += sc * sc * s.qq, ab += sc * mn * s.q, bb += mn * mn * s.w;
      xa += sc * s.xq, xb += mn * s.x;
    }
    const double spread = aa * bb - ab * ab;
    if (bb == 0 && aa > 0) now_.d = static_cast<float>(xa / aa);
    if (!(bb > 0) || !(spread > 1e-9 * aa * bb)) return;
    now_.d = static_cast<float>((xa * bb - xb * ab) / spread);
    now_.dmin = static_cast<float>((xa * ab - xb * aa) / spread);
  }

  const Kind& kind_;
  const Block& block_;
  Fit wanted_[16];
  float least_ = 0;
  Choice now_, best_;
};

// 8 six-bit scales and 8 six-bit offsets in 12 bytes: see k_scales in quant.cc.
void store_multiples(const Multiples* of, uint8_t* out) {
  for (int i = 0; i < 4; i++) {
    const Multiples a = of[i], b = of[i + 4];
    out[i] = static_cast<uint8_t>(a.scale | (b.scale >> 4) << 6);
    out[i + 4] = static_cast<uint8_t>(a.offset | (b.offset >> 4) << 6);
    out[i + 8] = static_cast<uint8_t>((b.scale & 15) | (b.offset & 15) << 4);
  }
}

void store_nibbles(const float* q, uint8_t* out) {
  for (int j = 0; j < 128; j++) {
    const int low = static_cast<int>(q[j / 32 * 64 + j % 32]), high = static_cast<int>(q[j / 32 * 64 + 32 + j % 32]);
    out[j] = static_cast<uint8_t>((low & 15) | (high & 15) << 4);
  }
}

}  // namespace

void encode_k_affine(Format format, const Block& block, uint8_t* out) {
  const bool five = format == Format::Q5_K;
  const Kind kind = {8, 32, {0, five ? 31 : 15}, {0, 63}, Offset::NotPositive};
  const Choice best = Search(kind, block).run();
  block.store(out, best.d);
  block.store(out + 2, best.dmin);
  store_multiples(best.of, out + 4);
  store_nibbles(best.q, out + (five ? 48 : 16));
  if (!five) return;
  std::memset(out + 16, 0, 32);
  for (int j = 0; j < 256; j++) {
    uint8_t& bits = out[16 + j % 32];
    bits = static_cast<uint8_t>(bits | (static_cast<int>(best.q[j]) >> 4) << (j / 32));
  }
}

void encode_q6_k(const Block& block, uint8_t* out) {
  const Kind kind = {16, 16, {-32, 31}, {-128, 127}, Offset::None};
  const Choice best = Search(kind, block).run();
  std::memset(out, 0, 192);
  for (int j = 0; j < 256; j++) {
    const int half = j / 128, run = j % 128 / 32, lane = j % 32, q = static_cast<int>(best.q[j]) + 32;
    uint8_t& low = out[64 * half + 32 * (run % 2) + lane];
    uint8_t& high = out[128 + 32 * half + lane];
    low = static_cast<uint8_t>(low | (q & 15) << (run < 2 ? 0 : 4));
    high = static_cast<uint8_t>(high | (q >> 4) << (2 * run));
  }
  for (int i = 0; i < 16; i++) out[192 + i] = static_cast<uint8_t>(best.of[i].scale);
  block.store(out + 208, best.d);
}

}  // namespace rookery
