#include "logits.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

namespace rookery {
namespace {

constexpr int kLanes = 8;    // independent accumulators: enough for two SSE or one AVX register
constexpr int kBlock = 256;  // numbers of one cache-resident piece

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// e^x for x <= 0.  x = n ln 2 + r with |r| <= ln(2)/2, then a degree-7 series (error 5e-9) scaled by 2^n.
inline float exp_negative(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;  // high part exact for |n| < 2^14
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float clamped = x > -kFloorNats ? x : -kFloorNats;
  const float shifted = clamped * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float series = 1.0f / 5040;
  series = series * r + 1.0f / 720;
  series = series * r + 1.0f / 120;
  series = series * r + 1.0f / 24;
  series = series * r + 1.0f / 6;
  series = series * r + 0.5f;
  series = series * r + 1.0f;
  series = series * r + 1.0f;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound) + 127;
  const float power = series * std::bit_cast<float>(exponent << 23);
  return x < -kFloorNats ? 0.0f : power;
}

double sum(const float* p, int n) {
  double lanes[kLanes] = {};
  int i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int j = 0; j < kLanes; ++j) lanes[j] += p[i + j];
  double total = 0;
  for (; i < n; ++i) total += p[i];
  for (double lane : lanes) total += lane;
  return total;
}

}  // namespace

int first_bad(const float* x, int n) {
  for (int start = 0; start < n; start += kBlock) {
    const int end = std::min(n, start + kBlock);
    int bad = 0;
    for (int i = start; i < end; ++i) bad |= x[i] < kInfinity ? 0 : 1;
    if (bad) return static_cast<int>(std::find_if(x + start, x + end, [](float v) { return !(v < kInfinity); }) - x);
  }
  return n;
}

float largest(const float* x, int n) {
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, -kInfinity);
  int i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int j = 0; j < kLanes; ++j) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  float best = *std::max_element(lanes, lanes + kLanes);
  for (; i < n; ++i) best = std::max(best, x[i]);
  return best;
}

void standardise(float* x, int n, float shift, float scale) {
  for (int i = 0; i < n; ++i) x[i] = (x[i] - shift) / scale;
}

float exponential(float x, float shift) { return exp_negative(x - shift); }

double exponentials(const float* x, int n, float shift, float* p) {
  for (int i = 0; i < n; ++i) p[i] = exp_negative(x[i] - shift);
  return sum(p, n);
}

double sum_of_exponentials(const float* x, int n, float shift) {
  float piece[kBlock];
  double total = 0;
  for (int start = 0; start < n; start += kBlock)
    total += exponentials(x + start, std::min(kBlock, n - start), shift, piece);
  return total;
}

}  // namespace rookery
