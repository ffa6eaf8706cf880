// AVX2 with FMA.
#include <immintrin.h>

#include "wkv.h"

namespace rookery {
namespace {

constexpr int W = 8;
typedef float vf __attribute__((vector_size(32)));
typedef int vi __attribute__((vector_size(32)));

inline void sum4(const vf* x, float* out) {
  const __m256 a(x[0]), b(x[1]), c(x[2]), d(x[3]);
  const __m256d ab(_mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b))));
  const __m256d cd(_mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d))));
  const __m256 two = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd)),
                                   _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1)));
}

}  // namespace
}  // namespace rookery

#include "wkv.inl"

const rookery::WkvKernels rookery::kWkvAvx2 = ROOKERY_WKV_KERNELS("avx2");
