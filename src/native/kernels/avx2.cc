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

constexpr int kRowVectors = 4;
constexpr int kIntTokens = 2;
constexpr int kDot8Bias = 0;

inline vi nearest(vf x) { return vi(_mm256_cvtps_epi32(__m256(x))); }
inline vi pairs(__m256i unsigned8, __m256i signed8) {
  return vi(_mm256_madd_epi16(_mm256_maddubs_epi16(unsigned8, signed8), _mm256_set1_epi16(1)));
}
// Two products of codes up to 127 and int8 fit int16.
inline vi dot4(vi acc, vi codes, vi x) { return acc + pairs(__m256i(codes), __m256i(x)); }
// Codes up to 255 would not: make the weights signed, and give their sign to the input, which is never -128.
inline vi dot8(vi acc, vi codes, vi x) {
  const __m256i w = _mm256_xor_si256(__m256i(codes), _mm256_set1_epi8(-128));
  return acc + pairs(_mm256_abs_epi8(w), _mm256_sign_epi8(__m256i(x), w));
}
inline vi lookup16(const uint8_t* table, vi codes) {
  const __m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return vi(_mm256_shuffle_epi8(both, __m256i(codes)));
}
inline vi lookup32(const uint8_t* table, vi codes, vi upper) {
  const __m256i low = __m256i(lookup16(table, codes)), high = __m256i(lookup16(table + 16, codes));
  return vi(_mm256_blendv_epi8(low, high, __m256i(upper)));
}
inline vi choose(vi sign, vi positive, vi negative) {
  return vi(_mm256_blendv_ps(__m256(positive), __m256(negative), __m256(sign)));
}
inline __m256i load_bytes(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline void weave(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d, vi out[4]) {
  __m256i va = load_bytes(a), vb = load_bytes(b), vc = load_bytes(c), vd = load_bytes(d);
  __m256i ab0 = _mm256_unpacklo_epi8(va, vb), ab1 = _mm256_unpackhi_epi8(va, vb);
  __m256i cd0 = _mm256_unpacklo_epi8(vc, vd), cd1 = _mm256_unpackhi_epi8(vc, vd);
  out[0] = vi(_mm256_unpacklo_epi16(ab0, cd0)), out[1] = vi(_mm256_unpackhi_epi16(ab0, cd0));
  out[2] = vi(_mm256_unpacklo_epi16(ab1, cd1)), out[3] = vi(_mm256_unpackhi_epi16(ab1, cd1));
}

}  // namespace
}  // namespace rookery

#include "kernels.inl"

const rookery::Kernels rookery::kAvx2 = ROOKERY_KERNELS("avx2");
