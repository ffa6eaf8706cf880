// The native core checked without Python: on processors that are only emulated, where an interpreter is out of reach.
//
// Every kernel of a table against its formula in double precision, written down here once more; equal bits where bits
// must be equal; and digests of what must be the same on every processor, for the caller to compare.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/table.h"
#include "random.h"

namespace check {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

constexpr double kEps = 1.1920928955078125e-7;

// Counts, and prints the first failures.
void expect(bool holds, const std::string& what);
int failures();

// |got - want| <= bound, number by number; NaN equals NaN only.
void expect_close(const Floats& got, const Doubles& want, const Doubles& bound, const std::string& what);
void expect_same_bits(const float* got, const float* want, size_t n, const std::string& what);

// Prints a hash that must not depend on the processor.
void digest(const std::string& name, const void* data, size_t bytes);

// Numbers that are the same everywhere.
class Numbers {
 public:
  explicit Numbers(uint64_t seed) : random_(seed) {}
  uint64_t bits() { return random_.next(); }
  float between(double low, double high) { return static_cast<float>(low + (high - low) * random_.uniform()); }
  Floats many(size_t n, double low = -2, double high = 2);  // mostly small: a product of two uniform numbers

 private:
  rookery::Random random_;
};

void linear(const rookery::Kernels& table);
void norms(const rookery::Kernels& table);
void elementwise(const rookery::Kernels& table);
void memories(const rookery::Kernels& table);  // the wkv kernels
void training(const rookery::Kernels& table);  // the same with gradients
void core();                                   // what has no table: weight formats, sampler, vocabulary, threads

// Runs a model's calls as tests/native/recording.py wrote them, and compares the logits.
void replay(const rookery::Kernels& table, const std::string& path);

}  // namespace check
