// Vectors of W floats, vf, and of W int32, vi: what all kernels share.
// Uses no library code: whatever is inlined here exists in the including file alone.

namespace rookery {
namespace {

inline vf load(const float* p) {
  vf v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, vf v) { __builtin_memcpy(p, &v, sizeof v); }
inline vf splat(float x) { return x - vf{}; }

// e^x to about 1 ulp: x = n ln 2 + f, |f| <= ln 2 / 2, a polynomial for e^f, and n put into the exponent.
// Results below 2^-125 may be zero, above e^88.72 they are infinite.
inline vf exp_(vf x) {
  vf c = x < -87.33f ? splat(-87.33f) : x;
  c = c > 88.72f ? splat(88.72f) : c;
  vf n = c * 1.44269504088896f + 12582912.0f;  // adding 1.5 * 2^23 rounds to an integer
  n = n - 12582912.0f;
  vf f = c - n * 0.693359375f;  // ln 2 in two parts, the first exact in a product with n
  f = f + n * 2.12194440e-4f;
  vf p = f * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * f * f + f + 1.0f;
  vi e = (__builtin_convertvector(n, vi) - 1 + 127) << 23;  // half of 2^n, so that n = 128 still fits
  vf half;
  __builtin_memcpy(&half, &e, sizeof half);
  vf y = p * half * 2.0f;
  y = x > 88.72f ? splat(__builtin_inff()) : y;
  y = x < -87.33f ? splat(0.0f) : y;
  return x == x ? y : x;
}

inline vf sigmoid_(vf x) { return 1.0f / (1.0f + exp_(-x)); }

inline vf tanh_(vf x) {
  vf a = x < 0.0f ? -x : x;
  vf big = 1.0f - 2.0f / (exp_(a + a) + 1.0f);
  big = x < 0.0f ? -big : big;
  vf z = x * x;
  vf p = z * -5.70498872745e-3f + 2.06390887954e-2f;  // near zero 1 - 2 / ... would cancel
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  vf small = p * z * x + x;
  return a < 0.625f ? small : big;
}

}  // namespace
}  // namespace rookery
