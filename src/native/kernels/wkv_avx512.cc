// AVX-512 F, BW, VL, DQ.
#include <immintrin.h>

#include "wkv.h"

namespace rookery {
namespace {

constexpr int W = 16;
typedef float vf __attribute__((vector_size(64)));
typedef int vi __attribute__((vector_size(64)));

inline void sum4(const vf* x, float* out) {
  const __m512 a(x[0]), b(x[1]), c(x[2]), d(x[3]);
  const __m512d ab(_mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b))));
  const __m512d cd(_mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d))));
  const __m512 four = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)),
                                    _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
  const __m256 two = _mm256_add_ps(_mm512_castps512_ps256(four), _mm512_extractf32x8_ps(four, 1));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1)));
}

}  // namespace
}  // namespace rookery

#include "wkv.inl"

const rookery::WkvKernels rookery::kWkvAvx512 = ROOKERY_WKV_KERNELS("avx512");
