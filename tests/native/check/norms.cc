// Normalisations, in columns and heads of odd sizes.
#include <cmath>

#include "check.h"

namespace check {
namespace {

using rookery::Kernels;

struct Row {
  Floats x, weight, bias;
  explicit Row(int n) {
    Numbers numbers(n);
    x = numbers.many(n, -3, 5), weight = numbers.many(n), bias = numbers.many(n);
  }
};

// (x - mean) / sqrt(variance + eps) * weight + bias of [begin, begin + n), and what rounding may do to it: the mean is
// off by a few steps of the largest number.
void normalised(const Row& r, int begin, int n, double eps, Doubles& want, Doubles& bound) {
  double mean = 0, var = 0, most = 0;
  for (int i = begin; i < begin + n; ++i) mean += r.x[i] / double(n), most = std::max(most, std::fabs(double(r.x[i])));
  for (int i = begin; i < begin + n; ++i) var += (r.x[i] - mean) * (r.x[i] - mean) / n;
  const double scale = 1 / std::sqrt(var + eps);
  for (int i = begin; i < begin + n; ++i) {
    const double y = (r.x[i] - mean) * scale * r.weight[i];
    want.push_back(y + r.bias[i]);
    const double rounding = std::fabs(y) + std::fabs(r.bias[i]) + most * scale * std::fabs(r.weight[i]);
    bound.push_back(kEps * (4 + std::sqrt(n)) * rounding);
  }
}

void layers(const Kernels& table, int n) {
  const Row r(n);
  Floats y(n), cut(n);
  table.layer_norm(r.x.data(), r.weight.data(), r.bias.data(), y.data(), n, 0, n, 1e-5f);
  Doubles want, bound;
  normalised(r, 0, n, 1e-5, want, bound);
  expect_close(y, want, bound, std::string(table.name) + " layer_norm of " + std::to_string(n));
  for (int c = 0; c < n; c += 13)
    table.layer_norm(r.x.data(), r.weight.data(), r.bias.data(), cut.data(), n, c, std::min(c + 13, n), 1e-5f);
  for (int i = 0; i < n; ++i)  // a cut may fall inside a vector, and a fused product rounds once
    expect(std::fabs(cut[i] - y[i]) <= bound[i], std::string(table.name) + " layer_norm in columns");
}

void groups(const Kernels& table, int heads, int lanes) {
  const int n = heads * lanes;
  const Row r(n);
  Floats y(n, 7), cut(n);
  table.group_norm(r.x.data(), r.weight.data(), r.bias.data(), y.data(), lanes, 0, heads, 64e-5f);
  Doubles want, bound;
  for (int h = 0; h < heads; ++h) normalised(r, h * lanes, lanes, 64e-5, want, bound);
  expect_close(y, want, bound, std::string(table.name) + " group_norm of " + std::to_string(lanes));
  for (int h = 0; h < heads; ++h)
    table.group_norm(r.x.data(), r.weight.data(), r.bias.data(), cut.data(), lanes, h, h + 1, 64e-5f);
  expect_same_bits(cut.data(), y.data(), n, std::string(table.name) + " group_norm head by head");
}

void sums(const Kernels& table, int heads, int lanes) {
  Row r(heads * lanes);
  std::fill(r.x.begin(), r.x.begin() + lanes, 0.0f);
  Floats unit(r.x.size()), sum(r.x.size());
  table.l2norm(r.x.data(), unit.data(), lanes, 0, heads);
  table.head_sum(r.x.data(), sum.data(), lanes, 0, heads);
  Doubles units, sums, few, many;
  for (int h = 0; h < heads; ++h) {
    double square = 0, total = 0, size = 0;
    for (int i = h * lanes; i < (h + 1) * lanes; ++i)
      square += double(r.x[i]) * r.x[i], total += r.x[i], size += std::fabs(r.x[i]);
    for (int i = h * lanes; i < (h + 1) * lanes; ++i) {
      units.push_back(r.x[i] / std::max(std::sqrt(square), 1e-12));
      few.push_back(kEps * (4 + lanes / 8.0) * std::fabs(units.back()));
      sums.push_back(total);
      many.push_back(kEps * lanes * size);
    }
  }
  expect_close(unit, units, few, std::string(table.name) + " l2norm of " + std::to_string(lanes));
  expect_close(sum, sums, many, std::string(table.name) + " head_sum of " + std::to_string(lanes));
}

}  // namespace

void norms(const Kernels& table) {
  for (int n : {1, 2, 31, 32, 64, 67, 769}) layers(table, n);
  for (int lanes : {1, 3, 5, 32, 37, 64}) groups(table, 3, lanes), sums(table, 3, lanes);
}

}  // namespace check
