// Functions of single numbers, at their edges too.
#include <cmath>
#include <limits>

#include "check.h"

namespace check {
namespace {

using rookery::Binary;
using rookery::Kernels;
using rookery::Unary;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kTiny = std::numeric_limits<float>::denorm_min();

struct Function {
  Unary op;
  const char* name;
  double (*formula)(double);
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

const Function kFunctions[] = {
    {Unary::Exp, "exp", [](double x) { return std::exp(x); }},
    {Unary::Tanh, "tanh", [](double x) { return std::tanh(x); }},
    {Unary::Sigmoid, "sigmoid", sigmoid},
    {Unary::Silu, "silu", [](double x) { return x == -HUGE_VAL ? NAN : x * sigmoid(x); }},  // -inf * 0
    {Unary::Relu2, "relu2", [](double x) { return x < 0 ? 0 : x * x; }},
};

Floats arguments() {
  Floats x = {0.0f, -0.0f, kTiny, -kTiny, 1e-40f, -1e-38f, kInf, -kInf, NAN, 88.72f, 88.73f, 89.0f, 1e30f, -1e30f,
              -86.6f, -87.33f, -87.4f, -103.0f, -200.0f, 0.625f, -0.625f, 0.62499994f, 9.0f, -9.0f, 44.4f, 1.0f};
  for (int i = 0; i < 400; ++i) x.push_back(-100 + i * 0.47f);
  for (float v : Numbers(11).many(601, -8, 8)) x.push_back(v);
  return x;
}

void unary(const Kernels& table, const Function& f) {
  const Floats x = arguments();
  const std::string what = std::string(table.name) + " " + f.name;
  Floats y(x.size()), one(x.size());
  table.unary(f.op, x.data(), y.data(), static_cast<int>(x.size()));
  Doubles want, bound;
  for (float v : x) {
    const double w = f.formula(v);
    want.push_back(std::fabs(w) > std::numeric_limits<float>::max() ? std::copysign(HUGE_VAL, w) : w);
    bound.push_back(4 * kEps * std::fabs(w) + 2.4e-38 * (1 + (f.op == Unary::Silu ? std::fabs(v) : 0)));  // 2^-125
  }
  expect_close(y, want, bound, what);
  for (size_t i = 0; i < x.size(); ++i) table.unary(f.op, &x[i], &one[i], 1);
  for (size_t i = 0; i < x.size(); ++i)
    if (!std::isnan(y[i])) expect_same_bits(&one[i], &y[i], 1, what + " of number " + std::to_string(i) + " alone");
}

float plain(Binary op, float a, float b) { return op == Binary::Add ? a + b : op == Binary::Sub ? a - b : a * b; }

void binary(const Kernels& table, Binary op, int n) {
  Numbers numbers(n);
  const Floats a = numbers.many(n), b = numbers.many(n);
  Floats pairs(n + 1, 5), ones(n + 1, 5), want(n), want_one(n);
  for (int i = 0; i < n; ++i) want[i] = plain(op, a[i], b[i]), want_one[i] = plain(op, a[i], 0.7f);
  table.binary(op, a.data(), b.data(), pairs.data(), n);
  table.scalar(op, a.data(), 0.7f, ones.data(), n);
  expect_same_bits(pairs.data(), want.data(), n, std::string(table.name) + " binary");
  expect_same_bits(ones.data(), want_one.data(), n, std::string(table.name) + " scalar");
  expect(pairs[n] == 5 && ones[n] == 5, std::string(table.name) + " elementwise wrote past its end");
}

}  // namespace

void elementwise(const Kernels& table) {
  for (const Function& f : kFunctions) unary(table, f);
  for (Binary op : {Binary::Add, Binary::Sub, Binary::Mul})
    for (int n : {0, 1, 3, 4, 5, 16, 37}) binary(table, op, n);
}

}  // namespace check
