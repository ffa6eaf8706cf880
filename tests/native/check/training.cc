// The recurrences of training, forward and backward, against differences of their formulas in double precision.
#include <algorithm>
#include <cmath>

#include "check.h"
#include "threads.h"
#include "wkv.h"

namespace check {
namespace {

using namespace rookery;

const std::vector<int64_t> kOffsets{0, 3, 3, 70};  // the last segment has two chunks, the second is empty
constexpr int kRows = 70, kSegments = 3;

// Everything that a loss depends on, in one list: operands, then u, w, and the states.
struct Sample {
  int version, heads, lanes;
  std::vector<Doubles> parts;
  Doubles dy, dfinal;

  int width() const { return heads * lanes; }
  int operands() const { return version == 7 ? 6 : version == 6 ? 4 : 2; }
  int states() const { return version == 4 ? 3 * width() : width() * lanes; }
  Doubles& u() { return parts[operands()]; }
  Doubles& w() { return parts[operands() + 1]; }
  Doubles& state() { return parts[operands() + 2]; }
};

Doubles doubles(Numbers& numbers, size_t n, double low, double high) {
  const Floats x = numbers.many(n, low, high);
  return Doubles(x.begin(), x.end());
}

Floats floats(const Doubles& x) { return Floats(x.begin(), x.end()); }

Sample sample(int version, int heads, int lanes) {
  Numbers numbers(lanes);
  Sample s{version, heads, lanes, {}, {}, {}};
  for (int i = 0; i < s.operands(); ++i) {
    const bool decay = version != 4 && i == 1, pair = version == 7 && i > 3;  // the product of a and b stays small
    const double most = pair ? 1 / std::sqrt(lanes) : 2;
    s.parts.push_back(doubles(numbers, kRows * s.width(), decay ? 0.2 : -most, decay ? 1 : most));
  }
  s.parts.push_back(doubles(numbers, s.width(), -1, 1));
  s.parts.push_back(doubles(numbers, s.width(), -1, -0.01));
  s.parts.push_back(doubles(numbers, kSegments * s.states(), version == 4 ? 0.5 : -1, 1));
  s.dy = doubles(numbers, kRows * s.width(), -1, 1);
  s.dfinal = doubles(numbers, kSegments * s.states(), -1, 1);
  return s;
}

// One channel of RWKV-4 in one segment: sum of y dy and of the final state's product.
double loss4(Sample& s, int segment, int c) {
  const int n = s.width();
  double* state = s.state().data() + segment * s.states() + c;
  double a = state[0], b = state[n], p = state[2 * n], sum = 0;
  for (int64_t t = kOffsets[segment]; t < kOffsets[segment + 1]; ++t) {
    const double k = s.parts[0][t * n + c], v = s.parts[1][t * n + c], fresh = std::exp(s.u()[c] + k);
    sum += s.dy[t * n + c] * (std::exp(p) * a + fresh * v) / (std::exp(p) * b + fresh);
    const double q = std::max(p + s.w()[c], k), old = std::exp(p + s.w()[c] - q), now = std::exp(k - q);
    a = old * a + now * v, b = old * b + now, p = q;
  }
  const double* d = s.dfinal.data() + segment * s.states() + c;
  return sum + a * d[0] + b * d[n] + p * d[2 * n];
}

double loss_of_head(Sample& s, int segment, int head) {
  const int n = s.lanes, at = segment * s.states() + head * n * n;
  Doubles state(s.state().begin() + at, s.state().begin() + at + n * n);
  double sum = 0;
  for (int64_t t = kOffsets[segment]; t < kOffsets[segment + 1]; ++t) {
    const size_t o = t * s.width() + head * n;
    const double *r = &s.parts[0][o], *w = &s.parts[1][o], *k = &s.parts[2][o], *v = &s.parts[3][o];
    for (int j = 0; j < n; ++j) {
      double read = 0, y = 0;
      for (int i = 0; s.version == 7 && i < n; ++i) read += s.parts[4][o + i] * state[i * n + j];
      for (int i = 0; i < n; ++i) {
        double& at_ij = state[i * n + j];
        if (s.version == 6) y += r[i] * (at_ij + s.u()[head * n + i] * k[i] * v[j]);
        at_ij = w[i] * at_ij + k[i] * v[j] + (s.version == 7 ? s.parts[5][o + i] * read : 0);
        if (s.version == 7) y += r[i] * at_ij;
      }
      sum += y * s.dy[o + j];
    }
  }
  for (int i = 0; i < n * n; ++i) sum += state[i] * s.dfinal[at + i];
  return sum;
}

double loss(Sample& s) {
  double sum = 0;
  for (int i = 0; i < kSegments; ++i)
    for (int part = 0; part < (s.version == 4 ? s.width() : s.heads); ++part)
      sum += s.version == 4 ? loss4(s, i, part) : loss_of_head(s, i, part);
  return sum;
}

// The core's loss, and its gradients of all parts.
double ours(const WkvKernels& kernels, Sample& s, Threads& threads, std::vector<Floats>& gradients) {
  const Wkv wkv(kernels, Segments(kOffsets.data(), kSegments), s.version, s.width(), s.lanes);
  std::vector<Floats> parts;
  for (const Doubles& part : s.parts) parts.push_back(floats(part)), gradients.emplace_back(part.size());
  const int n = s.operands();
  Floats y(kRows * s.width()), final_state(s.state().size()), kept(wkv.kept()), dy = floats(s.dy);
  const Floats dfinal = floats(s.dfinal);
  const Wkv::Shared shared{s.version == 7 ? nullptr : parts[n].data(), s.version == 4 ? parts[n + 1].data() : nullptr};
  std::vector<const float*> x;
  std::vector<float*> dx;
  for (int i = 0; i < n; ++i) x.push_back(parts[i].data()), dx.push_back(gradients[i].data());
  wkv.forward({x, shared, parts[n + 2].data(), y.data(), final_state.data(), kept.data()}, threads);
  x.push_back(dy.data());
  float *du = shared.u ? gradients[n].data() : nullptr, *dw = shared.w ? gradients[n + 1].data() : nullptr;
  wkv.backward({x, shared, kept.data(), dfinal.data(), dx, du, dw, gradients[n + 2].data()}, threads);
  double sum = 0;
  for (size_t i = 0; i < y.size(); ++i) sum += double(y[i]) * dy[i];
  for (size_t i = 0; i < final_state.size(); ++i) sum += double(final_state[i]) * dfinal[i];
  return sum;
}

// The slope along a random direction, of the gradient and of the formula.
void slopes(Sample& s, const std::vector<Floats>& gradients, const std::string& what) {
  constexpr double kStep = 1e-5;
  for (size_t part = 0; part < s.parts.size(); ++part) {
    Doubles& x = s.parts[part];
    const Doubles before = x;
    Numbers numbers(part + 1);
    const Doubles direction = doubles(numbers, x.size(), -1, 1);
    double slope = 0, size = 1e-3;
    for (size_t i = 0; i < x.size(); ++i) {
      slope += gradients[part][i] * direction[i];
      size += std::fabs(gradients[part][i] * direction[i]);
    }
    double both[2];
    for (int side : {0, 1}) {
      for (size_t i = 0; i < x.size(); ++i) x[i] = before[i] + (side ? kStep : -kStep) * direction[i];
      both[side] = loss(s);
    }
    x = before;
    const double wanted = (both[1] - both[0]) / (2 * kStep);
    expect(std::fabs(slope - wanted) < 1e-5 * size, what + ": the slope of part " + std::to_string(part) + " is " +
                                                        std::to_string(slope) + ", not " + std::to_string(wanted));
  }
}

}  // namespace

void training(const Kernels& table) {
  const WkvKernels* kernels = choose_wkv(table.name);
  expect(kernels != nullptr, std::string("wkv kernels for ") + table.name);
  if (kernels == nullptr) return;
  Threads threads(2);
  for (int version : {4, 6, 7})
    for (int lanes : {5, 16, 32, 64, 130}) {
      Sample s = sample(version, lanes > 64 ? 1 : 2, lanes);
      std::vector<Floats> gradients;
      const std::string what = std::string(table.name) + " wkv" + std::to_string(version) + " of " + std::to_string(lanes);
      const double got = ours(*kernels, s, threads, gradients), want = loss(s);
      expect(std::fabs(got - want) < 1e-5 * (std::fabs(want) + 10), what + ": the loss is " + std::to_string(got) +
                                                                        ", not " + std::to_string(want));
      slopes(s, gradients, what);
    }
}

}  // namespace check
