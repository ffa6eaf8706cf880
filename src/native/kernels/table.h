// The table of kernels.  One is filled per instruction set; one is chosen at start.
//
// All matrices of floats are row-major with an explicit row stride in floats.  A kernel works on the columns
// [c0, c1) (or heads, or row groups) it is given and touches nothing else, so that threads can share a value.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rookery {

constexpr int kGroup = 32;   // output rows interleaved in a packed matrix: 2 zmm, 4 ymm, 8 xmm
constexpr int kLineRows = 64;  // rows whose codes of one input are a line of Q8Lines
constexpr int kPanel = 128;  // inputs unpacked at a time: 128 x 32 floats are 16 KiB, a third of a 48 KiB L1

enum class Pack : int { F32, F16, BF16, Q8, Q4, Q4Min, Q5, Q5Min, Q4K, Q5K, Q6K, Int8, Nf4, C4, C5, Q8Lines };

// A packed matrix, `rows` outputs by `cols` inputs.  Group g holds rows [32 g, 32 g + 32), missing rows zero:
//   F32, F16, BF16  for each input, 32 numbers
//   Q8Lines         two groups at a time, for inputs of which many are zero
//   the others      units of 32 to 256 inputs, scales first; Int8, C4, C5: before the units, a float scale for every row.
//                   docs/weight-layouts.md
struct Mat {
  Pack pack;
  int rows, cols;
  int first;  // the group that `data` begins with: a thread holds only its own
  const uint8_t* data;
  size_t group_bytes;
};

// Where the outputs of `count` tokens go.
struct Tokens {
  int count;
  float* y;
  size_t ldy;
};

enum class Unary : int { Exp, Tanh, Sigmoid, Silu, Relu2 };
enum class Binary : int { Add, Sub, Mul };

struct Kernels {
  const char* name;
  // y[t][o] = sum_k x[t][k] w[o][k], k ascending in one chain per output, for groups [g0, g1).
  // scratch: linear_scratch(count, cols) floats, 64-byte aligned.
  void (*linear)(const Mat& w, const float* x, size_t ldx, const Tokens& to, int g0, int g1, float* scratch);
  // The same for integer packs: x holds the inputs of the tokens as `round` leaves them.
  void (*linear_rounded)(const Mat& w, const uint8_t* x, const Tokens& to, int g0, int g1, float* scratch);
  // Rounds inputs [32 b0, 32 b1) of `count` tokens to int8, 32 at a time.  out: kRoundedBlock floats for each 32, the
  // tokens of a tile side by side: a call for some of the tokens begins at a whole number of tiles.
  void (*round)(const float* x, size_t ldx, int count, int b0, int b1, uint8_t* out);
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float* y, int width, int c0, int c1,
                     float eps);
  void (*group_norm)(const float* x, const float* weight, const float* bias, float* y, int lanes, int h0, int h1,
                     float eps);
  void (*l2norm)(const float* x, float* y, int lanes, int h0, int h1);
  void (*head_sum)(const float* x, float* y, int lanes, int h0, int h1);
  void (*unary)(Unary op, const float* x, float* y, int n);
  void (*binary)(Binary op, const float* a, const float* b, float* y, int n);
  void (*scalar)(Binary op, const float* a, float b, float* y, int n);
  void (*wkv4)(const float* w, const float* u, const float* k, const float* v, float* y, float* state, int width,
               int c0, int c1);
  // One token of one head; state is (key lane, value lane).
  void (*wkv6)(const float* r, const float* w, const float* k, const float* v, const float* u, float* y, float* state,
               int lanes);
  void (*wkv7)(const float* r, const float* w, const float* k, const float* v, const float* a, const float* b,
               float* y, float* state, int lanes);
  // `rounds` rounds of independent int8 products on registers; how many additions and multiplications those were.
  int64_t (*peak)(int rounds);
};

constexpr int kUnit = 4096;           // floats that hold any unfolded unit of an integer pack
constexpr int kRoundedBlock = 13;    // floats that hold 32 rounded inputs with their scale and sums
constexpr int kRoundedPadding = 16;  // floats behind the last

// Floats that hold the rounded inputs of `count` tokens.
inline size_t rounded_size(int count, int cols) {
  return static_cast<size_t>(count) * (cols / 32) * kRoundedBlock + kRoundedPadding;
}

// What products with lines need more: 64 rows of results, and which lines are read for up to four tokens.
inline size_t lines_scratch(int count, int cols) {
  return static_cast<size_t>(count) * kGroup + static_cast<size_t>(cols / 32) * 80;
}

inline size_t linear_scratch(int count, int cols) {
  return static_cast<size_t>(kPanel + count) * kGroup + kUnit + lines_scratch(count, cols);
}

extern const Kernels kPortable;
#if defined(__x86_64__)
extern const Kernels kAvx2;
extern const Kernels kAvx512;
#elif defined(__aarch64__)
extern const Kernels kNeon;
#endif

// The names of all tables, whether this build holds them or not; the better one first.
constexpr const char* kTableNames[] = {"avx512", "avx2", "neon", "portable"};

// The best table for this processor, or the one named; nullptr when there is no such table or it cannot run here.
const Kernels* choose_kernels(const char* name);

}  // namespace rookery
