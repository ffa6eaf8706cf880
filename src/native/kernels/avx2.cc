// AVX2 with FMA and F16C.
#include <immintrin.h>

#include "table.h"

namespace rookery {
namespace {

constexpr int W = 8;
constexpr int kTokens = 2;  // 8 accumulators, 4 weights and a broadcast of 16 registers
typedef float vf __attribute__((vector_size(32)));
typedef int vi __attribute__((vector_size(32)));

inline vf load_f16(const uint16_t* p) {
  return vf(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
inline vf load_bf16(const uint16_t* p) {
  __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return vf(_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
}
inline vf load_i8(const int8_t* p) {
  return vf(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))));
}

}  // namespace
}  // namespace rookery

#include "kernels.inl"

const rookery::Kernels rookery::kAvx2 = ROOKERY_KERNELS("avx2");
