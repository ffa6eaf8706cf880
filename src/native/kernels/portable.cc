// Any processor: vectors of four floats by the compiler, stored numbers widened one by one.
#include "table.h"

namespace rookery {
namespace {

constexpr int W = 4;
constexpr int kTokens = 1;  // 8 accumulators of 16 registers
typedef float vf __attribute__((vector_size(16)));
typedef int vi __attribute__((vector_size(16)));

inline float widen(uint32_t bits) {
  float f;
  __builtin_memcpy(&f, &bits, 4);
  return f;
}

// IEEE half to float, exactly.  A subnormal half is an integer times 2^-24.
inline float half(uint16_t h) {
  uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 1023;
  if (exponent == 0) {
    float f = float(mantissa) * 5.9604644775390625e-8f;
    return sign ? -f : f;
  }
  return widen(sign | (exponent == 31 ? 255u << 23 : (exponent + 112) << 23) | mantissa << 13);
}

inline vf load_f16(const uint16_t* p) { return vf{half(p[0]), half(p[1]), half(p[2]), half(p[3])}; }
inline vf load_bf16(const uint16_t* p) {
  return vf{widen(uint32_t(p[0]) << 16), widen(uint32_t(p[1]) << 16), widen(uint32_t(p[2]) << 16),
            widen(uint32_t(p[3]) << 16)};
}
inline vf load_i8(const int8_t* p) { return vf{float(p[0]), float(p[1]), float(p[2]), float(p[3])}; }

constexpr int kRowVectors = 4;
constexpr int kIntTokens = 1;
constexpr int kDot8Bias = 128;

// Adding 1.5 * 2^23 leaves no bits below one.
inline vi nearest(vf x) { return __builtin_convertvector(x + 12582912.0f - 12582912.0f, vi); }
inline vi dot4(vi acc, vi codes, vi x) {
  uint8_t w[16];
  int8_t in[16];
  __builtin_memcpy(w, &codes, 16);
  __builtin_memcpy(in, &x, 16);
  for (int i = 0; i < 4; ++i)
    for (int k = 0; k < 4; ++k) acc[i] += int(w[4 * i + k]) * in[4 * i + k];
  return acc;
}
inline vi dot8(vi acc, vi codes, vi x) { return dot4(acc, codes, x); }
inline vi lookup16(const uint8_t* table, vi codes) {
  for (int i = 0; i < W; ++i) {
    const uint32_t c = uint32_t(codes[i]);
    codes[i] = int(table[c & 255] | table[c >> 8 & 255] << 8 | table[c >> 16 & 255] << 16 | uint32_t(table[c >> 24]) << 24);
  }
  return codes;
}
inline vi lookup32(const uint8_t* table, vi codes, vi upper) {
  return lookup16(table, codes | (upper >> 3 & 0x10101010));
}
inline vi choose(vi sign, vi positive, vi negative) { return sign < 0 ? negative : positive; }
inline void weave(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d, vi out[4]) {
  uint8_t bytes[64];
  for (int i = 0; i < 16; ++i)
    bytes[4 * i] = a[i], bytes[4 * i + 1] = b[i], bytes[4 * i + 2] = c[i], bytes[4 * i + 3] = d[i];
  __builtin_memcpy(out, bytes, sizeof bytes);
}

}  // namespace
}  // namespace rookery

#include "kernels.inl"

const rookery::Kernels rookery::kPortable = ROOKERY_KERNELS("portable");
