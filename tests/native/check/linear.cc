// Matrix products in every weight format.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "aligned.h"
#include "check.h"
#include "encode.h"
#include "matrix.h"

namespace check {
namespace {

using namespace rookery;

constexpr float kSentinel = -12345.678f;

struct Source {
  Shape shape;
  std::vector<uint8_t> bytes;
  Floats numbers;  // rows x cols, decoded
};

bool dense(Format format) { return block_size(format) == 1; }

// Where a block keeps its fp16 scales, if everything else may hold any bits; an empty range if nobody has said so.
Range scales_of(Format format) {
  switch (format) {
    case Format::Q4_0: case Format::Q5_0: case Format::Q8_0: return {0, 2};
    case Format::Q4_1: case Format::Q5_1: case Format::Q4_K: case Format::Q5_K: return {0, 4};
    case Format::Q6_K: return {208, 210};
    default: return {0, 0};
  }
}

void store_dense(Format format, const Floats& x, uint8_t* out) {
  for (size_t i = 0; i < x.size(); ++i) {
    uint32_t bits;
    std::memcpy(&bits, &x[i], 4);
    const uint16_t half = format == Format::F16 ? float_to_half(x[i]) : static_cast<uint16_t>(bits >> 16);
    if (format == Format::F32)
      std::memcpy(out + 4 * i, &bits, 4);
    else
      std::memcpy(out + 2 * i, &half, 2);
  }
}

// Bytes by chance between moderate scales: encoders leave out codes that a file may hold.
void draw_blocks(Format format, Numbers& numbers, std::vector<uint8_t>& bytes) {
  const Range scales = scales_of(format);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(numbers.bits() >> 20);
  for (size_t block = 0; block < bytes.size(); block += block_bytes(format))
    for (int at = scales.begin; at < scales.end; at += 2) {
      const uint16_t half = float_to_half(numbers.between(-0.01, 0.01));
      std::memcpy(&bytes[block + at], &half, 2);
    }
}

void encode(const Source& s, const Floats& x, std::vector<uint8_t>& bytes) {
  const size_t row = row_bytes(s.shape.format, s.shape.cols);
  for (int r = 0; r < s.shape.rows; ++r)
    encode_row(s.shape.format, &x[size_t(r) * s.shape.cols], nullptr, nullptr, &bytes[r * row], s.shape.cols);
}

Source source(Format format, int rows, int cols, uint64_t seed) {
  Source s{{format, rows, cols}, std::vector<uint8_t>(rows * row_bytes(format, cols)), Floats(size_t(rows) * cols)};
  Numbers numbers(seed);
  const Floats x = numbers.many(s.numbers.size(), -0.3, 0.3);
  const Range scales = scales_of(format);
  if (dense(format))
    store_dense(format, x, s.bytes.data());
  else if (scales.begin < scales.end)
    draw_blocks(format, numbers, s.bytes);
  else
    encode(s, x, s.bytes);
  const size_t row = row_bytes(format, cols);
  for (int r = 0; r < rows; ++r) decode_row(format, &s.bytes[r * row], &s.numbers[size_t(r) * cols], cols);
  return s;
}

// What a matrix of integers multiplies: inputs rounded to 255 steps of a scale per 32.
Doubles rounded(const Floats& x, Format format) {
  Doubles out(x.begin(), x.end());
  if (dense(format)) return out;
  for (size_t b = 0; b < x.size(); b += 32) {
    float most = 0;
    for (size_t i = b; i < b + 32; ++i) most = std::max(most, std::fabs(x[i]));
    const float inverse = most > 0 ? 127.0f / most : 0.0f, scale = most / 127.0f;
    for (size_t i = b; i < b + 32; ++i) out[i] = std::nearbyint(x[i] * inverse) * double(scale);
  }
  return out;
}

struct Bench {
  const Kernels& table;
  const Source& source;
  Ownership own;
  std::string what;

  // All rows of the result, each thread's groups in a call of its own.
  Floats run(const float* x, int tokens) const {
    const int rows = source.shape.rows, cols = source.shape.cols, ldy = rows + 3;
    std::vector<size_t> sizes;
    for (int t = 0; t < own.threads; ++t) {
      const Range g = source.shape.groups_of(own, t);
      sizes.push_back(size_t(g.end - g.begin) * source.shape.group_bytes());
    }
    Arena arena(sizes);
    Matrix matrix(source.shape, own, arena);
    matrix.pack(source.bytes.data());
    Floats y(size_t(tokens) * ldy, kSentinel);
    const AlignedFloats scratch(linear_scratch(tokens, cols)), rounded(rounded_size(tokens, cols));
    uint8_t* inputs = reinterpret_cast<uint8_t*>(rounded.data());
    const Tokens to{tokens, y.data(), size_t(ldy)};
    const bool integers = pack_of(source.shape.format) >= Pack::Q8;
    for (int t = 0; integers && t < own.threads; ++t)
      table.round(x, cols, tokens, cols / 32 * t / own.threads, cols / 32 * (t + 1) / own.threads, inputs);
    for (int t = 0; t < own.threads; ++t) {
      const Range g = source.shape.groups_of(own, t);
      if (g.begin == g.end) continue;
      if (integers)
        table.linear_rounded(matrix.mat(t), inputs, to, g.begin, g.end, scratch.data());
      else
        table.linear(matrix.mat(t), x, cols, to, g.begin, g.end, scratch.data());
    }
    return without_fence(y, tokens, ldy);
  }

  Floats without_fence(const Floats& y, int tokens, int ldy) const {
    Floats out;
    for (int t = 0; t < tokens; ++t) {
      const auto begin = y.begin() + size_t(t) * ldy;
      out.insert(out.end(), begin, begin + source.shape.rows);
      expect(std::count(begin + source.shape.rows, begin + ldy, kSentinel) == 3, what + " wrote past its rows");
    }
    return out;
  }
};

void against_formula(const Bench& b, const Floats& x, const Floats& y, int tokens) {
  const int rows = b.source.shape.rows, cols = b.source.shape.cols;
  const Doubles in = rounded(x, b.source.shape.format);
  double largest = 0;
  for (float w : b.source.numbers) largest = std::max(largest, std::fabs(double(w)));
  Doubles want, bound;
  for (int t = 0; t < tokens; ++t)
    for (int o = 0; o < rows; ++o) {
      double sum = 0, size = 0, inputs = 0;
      for (int k = 0; k < cols; ++k) {
        const double p = in[size_t(t) * cols + k] * b.source.numbers[size_t(o) * cols + k];
        sum += p, size += std::fabs(p), inputs += std::fabs(in[size_t(t) * cols + k]);
      }
      want.push_back(sum);
      const double twice = dense(b.source.shape.format) ? 0 : 2 * largest * inputs;  // decoding rounds once more
      bound.push_back(kEps * (std::sqrt(cols) * size + twice) + 1e-30);
      if (b.source.shape.format == Format::NF4) bound.back() += 0.0039 * largest * inputs;  // kNf4Steps
    }
  expect_close(y, want, bound, b.what);
}

// A row has the same bits alone, in any company, and on any number of threads.
void in_company(Bench b, const Floats& x, const Floats& whole, int tokens) {
  const int rows = b.source.shape.rows, cols = b.source.shape.cols;
  for (int count : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 24}) {
    const int first = tokens - count;
    const Floats some = b.run(&x[size_t(first) * cols], count);
    expect_same_bits(some.data(), &whole[size_t(first) * rows], some.size(), b.what + " in " + std::to_string(count));
  }
  for (int threads : {2, 3}) {
    b.own.threads = threads;
    const Floats again = b.run(x.data(), tokens);
    expect_same_bits(again.data(), whole.data(), whole.size(), b.what + " on " + std::to_string(threads) + " threads");
  }
}

void one_bad_row(const Bench& b, Floats x, const Floats& whole, float bad) {
  const int rows = b.source.shape.rows, cols = b.source.shape.cols, tokens = static_cast<int>(x.size()) / cols;
  x[size_t(4) * cols + 7] = bad;
  const Floats y = b.run(x.data(), tokens);
  const size_t from = size_t(4) * rows, to = from + rows;
  for (size_t i = from; i < to; ++i) expect(!std::isfinite(y[i]), b.what + " hides a number that is none");
  expect_same_bits(y.data(), whole.data(), from, b.what + " before a bad row");
  expect_same_bits(&y[to], &whole[to], whole.size() - to, b.what + " after it");
}

Bench bench(const Kernels& table, const Source& s) {
  return {table, s, {1, 64, 32}, std::string(table.name) + " linear, format " +
          std::to_string(static_cast<int>(s.shape.format)) + ", " + std::to_string(s.shape.rows) + " x " +
          std::to_string(s.shape.cols)};
}

void closely(const Kernels& table, Format format) {
  const int tokens = 40;
  const Source s = source(format, 97, 512, 5);
  const Bench b = bench(table, s);
  Floats x = Numbers(7).many(size_t(tokens) * 512, -3, 3);
  std::fill(x.begin() + 64, x.begin() + 96, 0.0f);  // a run without any scale
  x[512 * 3 + 100] = 900;                           // and one with an outlier
  const Floats whole = b.run(x.data(), tokens);
  against_formula(b, x, whole, tokens);
  in_company(b, x, whole, tokens);
  one_bad_row(b, x, whole, NAN);
  one_bad_row(b, x, whole, INFINITY);
}

void odd_shapes(const Kernels& table, Format format) {
  const int block = dense(format) ? 1 : block_size(format);
  for (int rows : {1, 31, 32, 33, 67})
    for (int blocks : {1, 3, 129}) {
      if (blocks == 129 && !dense(format)) continue;
      for (int tokens : {1, 9}) {
        const Source s = source(format, rows, blocks * block, rows + blocks);
        const Floats x = Numbers(3).many(size_t(tokens) * s.shape.cols);
        const Bench b = bench(table, s);
        against_formula(b, x, b.run(x.data(), tokens), tokens);
      }
    }
}

}  // namespace

void linear(const Kernels& table) {
  for (int id = 0; id < 4096; ++id)
    if (known_format(id)) {
      closely(table, static_cast<Format>(id));
      odd_shapes(table, static_cast<Format>(id));
    }
}

}  // namespace check
