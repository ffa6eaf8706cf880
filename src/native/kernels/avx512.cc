// AVX-512 F, BW, VL, DQ, VNNI.
#include <immintrin.h>

#include "table.h"

namespace rookery {
namespace {

constexpr int W = 16;
constexpr int kTokens = 8;  // 16 accumulators, 2 weights and a broadcast of 32 registers
typedef float vf __attribute__((vector_size(64)));
typedef int vi __attribute__((vector_size(64)));

inline vf load_f16(const uint16_t* p) {
  return vf(_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}
inline vf load_bf16(const uint16_t* p) {
  __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return vf(_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16)));
}
inline vf load_i8(const int8_t* p) {
  return vf(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))));
}

constexpr int kRowVectors = 2;
constexpr int kIntTokens = 6;  // 12 integer and 12 float sums, 2 weights and a broadcast
constexpr int kDot8Bias = 128;

inline vi nearest(vf x) { return vi(_mm512_cvtps_epi32(__m512(x))); }
inline vi dot4(vi acc, vi codes, vi x) { return vi(_mm512_dpbusd_epi32(__m512i(acc), __m512i(codes), __m512i(x))); }
inline vi dot8(vi acc, vi codes, vi x) { return dot4(acc, codes, x); }
inline vi lookup16(const uint8_t* table, vi codes) {
  const __m512i all = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return vi(_mm512_shuffle_epi8(all, __m512i(codes)));
}
inline vi lookup32(const uint8_t* table, vi codes, vi upper) {
  const __m512i high = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16)));
  return vi(_mm512_mask_shuffle_epi8(__m512i(lookup16(table, codes)), _mm512_movepi8_mask(__m512i(upper)), high,
                                     __m512i(codes)));
}
inline vi choose(vi sign, vi positive, vi negative) {
  return vi(_mm512_mask_blend_epi32(_mm512_movepi32_mask(__m512i(sign)), __m512i(positive), __m512i(negative)));
}
inline void weave(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d, vi out[4]) {
  __m512i va = _mm512_loadu_si512(a), vb = _mm512_loadu_si512(b), vc = _mm512_loadu_si512(c), vd = _mm512_loadu_si512(d);
  __m512i ab0 = _mm512_unpacklo_epi8(va, vb), ab1 = _mm512_unpackhi_epi8(va, vb);
  __m512i cd0 = _mm512_unpacklo_epi8(vc, vd), cd1 = _mm512_unpackhi_epi8(vc, vd);
  out[0] = vi(_mm512_unpacklo_epi16(ab0, cd0)), out[1] = vi(_mm512_unpackhi_epi16(ab0, cd0));
  out[2] = vi(_mm512_unpacklo_epi16(ab1, cd1)), out[3] = vi(_mm512_unpackhi_epi16(ab1, cd1));
}

}  // namespace
}  // namespace rookery

#include "kernels.inl"

const rookery::Kernels rookery::kAvx512 = ROOKERY_KERNELS("avx512");
