// The wkv kernels over a few tokens, against their formulas.
#include <algorithm>
#include <cmath>

#include "check.h"

namespace check {
namespace {

using rookery::Kernels;

constexpr int kTokensRead = 4;

struct Head {
  Floats r, w, k, v, u, a, b;
  Head(int lanes, uint64_t seed) {
    Numbers n(seed);
    r = n.many(lanes), k = n.many(lanes), v = n.many(lanes), u = n.many(lanes), b = n.many(lanes, -1, 1);
    a = n.many(lanes, -1, 1), w = n.many(lanes, 0.2, 1);
  }
};

// Sums of `lanes` products of numbers about one.
Doubles bounds(size_t n, int lanes) { return Doubles(n, kEps * (8 + lanes)); }

std::string named(const Kernels& table, const char* op, int lanes) {
  return std::string(table.name) + " " + op + " of " + std::to_string(lanes);
}

void wkv6(const Kernels& table, int n) {
  Floats state = Numbers(n).many(size_t(n) * n), y(n);
  Doubles s(state.begin(), state.end());
  for (int t = 0; t < kTokensRead; ++t) {
    const Head h(n, n + t);
    table.wkv6(h.r.data(), h.w.data(), h.k.data(), h.v.data(), h.u.data(), y.data(), state.data(), n);
    Doubles want(n);
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) {
        const double kv = double(h.k[i]) * h.v[j];
        want[j] += h.r[i] * (h.u[i] * kv + s[i * n + j]);
        s[i * n + j] = h.w[i] * s[i * n + j] + kv;
      }
    expect_close(y, want, bounds(n, 8 * n), named(table, "wkv6", n));
    expect_close(state, s, bounds(s.size(), 16), named(table, "wkv6's state", n));
  }
}

void wkv7(const Kernels& table, int n) {
  Floats state = Numbers(n).many(size_t(n) * n, -1, 1), y(n);
  Doubles s(state.begin(), state.end());
  for (int t = 0; t < kTokensRead; ++t) {
    Head h(n, n + t);
    for (float& a : h.a) a /= static_cast<float>(n);
    table.wkv7(h.r.data(), h.w.data(), h.k.data(), h.v.data(), h.a.data(), h.b.data(), y.data(), state.data(), n);
    Doubles want(n), read(n);
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) read[j] += h.a[i] * s[i * n + j];
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) {
        s[i * n + j] = h.w[i] * s[i * n + j] + h.b[i] * read[j] + double(h.k[i]) * h.v[j];
        want[j] += h.r[i] * s[i * n + j];
      }
    expect_close(y, want, bounds(n, 8 * n), named(table, "wkv7", n));
    expect_close(state, s, bounds(s.size(), 16), named(table, "wkv7's state", n));
  }
}

// Numerator and denominator relative to e^shared; the result does not depend on the exponent that is shared.
void wkv4(const Kernels& table, int n) {
  Floats state(3 * size_t(n)), whole(n), cut(n);
  std::fill(state.begin() + 2 * n, state.end(), -1e38f);
  Floats other = state;
  Doubles num(n), den(n);
  Numbers numbers(n);
  const Floats w = numbers.many(n, -6, 0), u = numbers.many(n);
  for (int t = 0; t < kTokensRead; ++t) {
    const Floats k = numbers.many(n, -5, 5), v = numbers.many(n);
    table.wkv4(w.data(), u.data(), k.data(), v.data(), whole.data(), state.data(), n, 0, n);
    for (int c = 0; c < n; c += 7)
      table.wkv4(w.data(), u.data(), k.data(), v.data(), cut.data(), other.data(), n, c, std::min(c + 7, n));
    Doubles want;
    for (int c = 0; c < n; ++c) {
      const double now = std::exp(double(u[c]) + k[c]), kept = std::exp(double(w[c]));
      want.push_back((num[c] + now * v[c]) / (den[c] + now));
      num[c] = num[c] * kept + std::exp(double(k[c])) * v[c];
      den[c] = den[c] * kept + std::exp(double(k[c]));
    }
    expect_close(whole, want, bounds(n, 24), named(table, "wkv4", n));
    expect_same_bits(cut.data(), whole.data(), n, named(table, "wkv4 in columns", n));
    expect_same_bits(other.data(), state.data(), state.size(), named(table, "wkv4's state in columns", n));
  }
}

}  // namespace

void memories(const Kernels& table) {
  for (int lanes : {1, 3, 5, 16, 37, 64}) wkv4(table, lanes), wkv6(table, lanes), wkv7(table, lanes);
}

}  // namespace check
