// Kernels of fused row-wise ops, written once.  Included by one file per instruction set, which first defines
//   W       floats in a vector
//   vf, vi  vectors of W floats, of W int32
// Uses no library code: whatever is inlined here exists in this file alone.
//
// With g the gradient of y:
//
//   exp      g y                   silu     g s (1 + x (1 - s)), s = sigmoid(x)      l2norm   (g - y (g . y)) / |x|
//   tanh     g (1 - y^2)           relu2    2 g max(x, 0)                            head_sum the sum of g, repeated
//   sigmoid  g y (1 - y)
//   norm     with z = (x - mean) s, s = 1 / sqrt(var + eps), h = g weight:
//            dx = s (h - mean(h) - z mean(h z))   dweight = g z   dbias = g

#include "vectors.inl"

namespace rookery {
namespace {

typedef uint16_t vh __attribute__((vector_size(2 * W)));

// Reads of numbers at one place, W at once or one alone, so that a formula is written once for both.
struct Many {
  size_t i;
  vf operator()(const float* p) const { return load(p + i); }
};
struct One {
  size_t i;
  float operator()(const float* p) const { return p[i]; }
};

// y = f, or y += f.  Numbers behind the last are computed too.
template <class F>
inline void put(float* y, bool add, size_t count, F f) {
  if (y == nullptr) return;
  if (add)
    for (size_t i = 0; i < count; i += W) store(y + i, load(y + i) + f(Many{i}));
  else
    for (size_t i = 0; i < count; i += W) store(y + i, f(Many{i}));
}

// The same without looking behind the last.
template <class F>
inline void put_span(float* y, bool add, size_t count, F f) {
  if (y == nullptr) return;
  size_t i = 0;
  for (; i + W <= count; i += W) store(y + i, add ? load(y + i) + f(Many{i}) : f(Many{i}));
  for (; i < count; ++i) y[i] = add ? y[i] + f(One{i}) : f(One{i});
}

// The sum of a vector of N floats, halves upon halves.
template <int N, class V>
inline float total(V v) {
  if constexpr (N == 2) {
    return v[0] + v[1];
  } else {
    typedef float half __attribute__((vector_size(2 * N)));
    half low, high;
    __builtin_memcpy(&low, &v, sizeof low);
    __builtin_memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof low, sizeof high);
    return total<N / 2>(low + high);
  }
}

template <class F>
inline float sum(size_t count, F f) {
  vf acc{};
  size_t i = 0;
  for (; i + W <= count; i += W) acc += f(Many{i});
  float s = total<W>(acc);
  for (; i < count; ++i) s += f(One{i});
  return s;
}

struct Moments {
  float mean, scale;
};

inline Moments moments(const float* x, size_t n, float eps) {
  const float mean = sum(n, [&](auto at) { return at(x); }) / float(n);
  const float var = sum(n, [&](auto at) { return (at(x) - mean) * (at(x) - mean); }) / float(n);
  return {mean, 1.0f / __builtin_sqrtf(var + eps)};
}

constexpr float kSmallestNorm = 1e-12f;

inline float norm_of(const float* x, size_t n) {
  const float norm = __builtin_sqrtf(sum(n, [&](auto at) { return at(x) * at(x); }));
  return norm < kSmallestNorm ? kSmallestNorm : norm;
}

template <class F>
inline void spans(const FusedStep& s, F f) {
  const size_t n = s.lanes;
  for (size_t o = 0; o + n <= s.count; o += n) f(o, n);
}

// What spans leave out: sums over tiles would find what another tile left there.
inline void clear_behind(float* y, bool add, size_t count) {
  if (y == nullptr || add) return;
  for (size_t i = count; i % W != 0; ++i) y[i] = 0.0f;
}

void forward_norm(const FusedStep& s) {
  spans(s, [&](size_t o, size_t n) {
    const float *x = s.x[0] + o, *weight = s.x[1] + o, *bias = s.x[2] + o;
    const Moments m = moments(x, n, s.scalar);
    put_span(s.y + o, false, n, [&](auto at) { return (at(x) - m.mean) * m.scale * at(weight) + at(bias); });
  });
  clear_behind(s.y, false, s.count);
}

void backward_norm(const FusedStep& s, const FusedGradients& to) {
  spans(s, [&](size_t o, size_t n) {
    const float *x = s.x[0] + o, *weight = s.x[1] + o, *g = to.dy + o;
    const Moments m = moments(x, n, s.scalar);
    const auto z = [&](auto at) { return (at(x) - m.mean) * m.scale; };
    if (to.dx[0]) {
      const float h = sum(n, [&](auto at) { return at(g) * at(weight); }) / float(n);
      const float hz = sum(n, [&](auto at) { return at(g) * at(weight) * z(at); }) / float(n);
      put_span(to.dx[0] + o, to.add[0], n, [&](auto at) { return m.scale * (at(g) * at(weight) - h - z(at) * hz); });
    }
    if (to.dx[1]) put_span(to.dx[1] + o, to.add[1], n, [&](auto at) { return at(g) * z(at); });
  });
  for (int i = 0; i < 2; ++i) clear_behind(to.dx[i], to.add[i], s.count);
  put(to.dx[2], to.add[2], s.count, [&](auto at) { return at(to.dy); });
}

void forward_l2norm(const FusedStep& s) {
  spans(s, [&](size_t o, size_t n) {
    const float* x = s.x[0] + o;
    const float scale = 1.0f / norm_of(x, n);
    put_span(s.y + o, false, n, [&](auto at) { return at(x) * scale; });
  });
  clear_behind(s.y, false, s.count);
}

void backward_l2norm(const FusedStep& s, const FusedGradients& to) {
  spans(s, [&](size_t o, size_t n) {
    const float *x = s.x[0] + o, *g = to.dy + o;
    const float norm = norm_of(x, n), scale = 1.0f / norm;
    const float along = norm > kSmallestNorm ? sum(n, [&](auto at) { return at(g) * at(x); }) * scale * scale : 0.0f;
    put_span(to.dx[0] + o, to.add[0], n, [&](auto at) { return (at(g) - at(x) * along) * scale; });
  });
  clear_behind(to.dx[0], to.add[0], s.count);
}

void head_sums(const FusedStep& s, const float* x, float* y, bool add) {
  spans(s, [&](size_t o, size_t n) {
    const float t = sum(n, [&](auto at) { return at(x + o); });
    put_span(y + o, add, n, [&](auto at) { return decltype(at(x)){} + t; });
  });
  clear_behind(y, add, s.count);
}

inline vf relu_(vf x) { return x < 0.0f ? splat(0.0f) : x; }  // written so that a NaN stays one

inline vf silu_slope(vf x) {
  const vf s = sigmoid_(x);
  return s * (1.0f + x * (1.0f - s));
}

void fused_forward(const FusedStep& s) {
  const float *a = s.x[0], *b = s.x[1];
  const float c = s.scalar;
  const auto each = [&](auto f) { put(s.y, false, s.count, f); };
  switch (s.code) {
    case Fused::Add: return each([=](Many at) { return at(a) + at(b); });
    case Fused::Sub: return each([=](Many at) { return at(a) - at(b); });
    case Fused::Mul: return each([=](Many at) { return at(a) * at(b); });
    case Fused::Offset: return each([=](Many at) { return at(a) + c; });
    case Fused::Scale: return each([=](Many at) { return at(a) * c; });
    case Fused::Exp: return each([=](Many at) { return exp_(at(a)); });
    case Fused::Tanh: return each([=](Many at) { return tanh_(at(a)); });
    case Fused::Sigmoid: return each([=](Many at) { return sigmoid_(at(a)); });
    case Fused::Silu: return each([=](Many at) { return at(a) * sigmoid_(at(a)); });
    case Fused::Relu2: return each([=](Many at) { return relu_(at(a)) * relu_(at(a)); });
    case Fused::Norm: return forward_norm(s);
    case Fused::L2Norm: return forward_l2norm(s);
    case Fused::HeadSum: return head_sums(s, s.x[0], s.y, false);
  }
}

void fused_backward(const FusedStep& s, const FusedGradients& to) {
  const float *a = s.x[0], *b = s.x[1], *y = s.y, *g = to.dy;
  const float c = s.scalar;
  const auto into = [&](int i, auto f) { put(to.dx[i], to.add[i], s.count, f); };
  switch (s.code) {
    case Fused::Add: into(0, [=](Many at) { return at(g); }); return into(1, [=](Many at) { return at(g); });
    case Fused::Sub: into(0, [=](Many at) { return at(g); }); return into(1, [=](Many at) { return -at(g); });
    case Fused::Mul:
      into(0, [=](Many at) { return at(g) * at(b); });
      return into(1, [=](Many at) { return at(g) * at(a); });
    case Fused::Offset: return into(0, [=](Many at) { return at(g); });
    case Fused::Scale: return into(0, [=](Many at) { return at(g) * c; });
    case Fused::Exp: return into(0, [=](Many at) { return at(g) * at(y); });
    case Fused::Tanh: return into(0, [=](Many at) { return at(g) * (1.0f - at(y) * at(y)); });
    case Fused::Sigmoid: return into(0, [=](Many at) { return at(g) * (at(y) * (1.0f - at(y))); });
    case Fused::Silu: return into(0, [=](Many at) { return at(g) * silu_slope(at(a)); });
    case Fused::Relu2: return into(0, [=](Many at) { return 2.0f * at(g) * relu_(at(a)); });
    case Fused::Norm: return backward_norm(s, to);
    case Fused::L2Norm: return backward_l2norm(s, to);
    case Fused::HeadSum: return head_sums(s, to.dy, to.dx[0], to.add[0]);
  }
}

void fused_add(float* x, const float* y, size_t count) {
  put_span(x, true, count, [=](auto at) { return at(y); });
}

// ---------------------------------------------------------------- bfloat16

inline vf widen_(vh x) {
  const vi bits = __builtin_convertvector(x, vi) << 16;
  vf y;
  __builtin_memcpy(&y, &bits, sizeof y);
  return y;
}

// Half of the last place that stays is added, less a bit where that place is even; a NaN stays one.
inline vh narrow_(vf x) {
  vi bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  vi rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  rounded = x == x ? rounded : 0x7fc0 - vi{};
  return __builtin_convertvector(rounded, vh);
}

void fused_widen(const uint16_t* x, float* y, size_t count) {
  size_t i = 0;
  vh some{};
  for (; i + W <= count; i += W) {
    __builtin_memcpy(&some, x + i, sizeof some);
    store(y + i, widen_(some));
  }
  if (i == count) return;
  some = vh{};
  __builtin_memcpy(&some, x + i, (count - i) * sizeof *x);
  const vf last = widen_(some);
  __builtin_memcpy(y + i, &last, (count - i) * sizeof *y);
}

void fused_narrow(const float* x, uint16_t* y, size_t count) {
  size_t i = 0;
  for (; i + W <= count; i += W) {
    const vh some = narrow_(load(x + i));
    __builtin_memcpy(y + i, &some, sizeof some);
  }
  if (i == count) return;
  vf last{};
  __builtin_memcpy(&last, x + i, (count - i) * sizeof *x);
  const vh some = narrow_(last);
  __builtin_memcpy(y + i, &some, (count - i) * sizeof *y);
}

// ---------------------------------------------------------------- softmax

Softmax fused_softmax(float* x, size_t count) {
  vf most = splat(-__builtin_inff());
  size_t i = 0;
  for (; i + W <= count; i += W) most = load(x + i) > most ? load(x + i) : most;
  float top = most[0];
  for (int j = 1; j < W; ++j) top = most[j] > top ? most[j] : top;
  for (; i < count; ++i) top = x[i] > top ? x[i] : top;
  put_span(x, false, count, [&](auto at) {
    if constexpr (sizeof(at(x)) == sizeof(vf))
      return exp_(at(x) - top);
    else
      return exp_(splat(at(x) - top))[0];
  });
  return {top, sum(count, [&](auto at) { return at(x); })};
}

void fused_scale(float* x, float factor, size_t count) {
  put_span(x, false, count, [=](auto at) { return at(x) * factor; });
}

}  // namespace
}  // namespace rookery

#define ROOKERY_FUSED_KERNELS(label) \
  { label, fused_forward, fused_backward, fused_add, fused_widen, fused_narrow, fused_softmax, fused_scale }
