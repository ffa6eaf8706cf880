// The kernels, written once.  Included by one file per instruction set, which first defines
//   W                      floats in a vector
//   vf, vi                 vectors of W floats, of W int32
//   kTokens                tokens of a tile: kTokens x (32 / W) accumulators plus 32 / W weights fit the registers
//   load_f16, load_bf16, load_i8    W stored numbers as floats
// Uses no library code: whatever is inlined here exists in this file alone.

#include "vectors.inl"

namespace rookery {
namespace {

constexpr int NV = kGroup / W;

// Runs f(vector) over n floats; the tail goes through a padded copy, so every number meets the same instructions.
template <class F>
inline void over(const float* x, float* y, int n, F f) {
  int i = 0;
  for (; i + W <= n; i += W) store(y + i, f(load(x + i)));
  if (i < n) {
    float t[W] = {};
    for (int j = i; j < n; ++j) t[j - i] = x[j];
    store(t, f(load(t)));
    for (int j = i; j < n; ++j) y[j] = t[j - i];
  }
}

template <class F>
inline void over2(const float* a, const float* b, float* y, int n, F f) {
  int i = 0;
  for (; i + W <= n; i += W) store(y + i, f(load(a + i), load(b + i)));
  for (; i < n; ++i) {
    vf r = f(splat(a[i]), splat(b[i]));
    y[i] = r[0];
  }
}

inline float total(vf v) {
  float s = 0;
  for (int i = 0; i < W; ++i) s += v[i];
  return s;
}

}  // namespace
}  // namespace rookery

#include "integers.inl"
#include "sparse.inl"
#include "ceilings.inl"

namespace rookery {
namespace {

// ---------------------------------------------------------------- linear

struct LoadF32 {
  static constexpr size_t size = 4;
  static vf at(const uint8_t* p) { return load(reinterpret_cast<const float*>(p)); }
};
struct LoadF16 {
  static constexpr size_t size = 2;
  static vf at(const uint8_t* p) { return load_f16(reinterpret_cast<const uint16_t*>(p)); }
};
struct LoadBF16 {
  static constexpr size_t size = 2;
  static vf at(const uint8_t* p) { return load_bf16(reinterpret_cast<const uint16_t*>(p)); }
};

// Adds inputs [0, n) of a group to acc[T][32].  One chain of multiply-adds per output: the result does not depend
// on how many tokens travel together or how the inputs are cut.
template <class L, int T>
void tile(const uint8_t* w, const float* x, size_t ldx, int n, float* acc) {
  vf a[T][NV];
  for (int t = 0; t < T; ++t)
    for (int v = 0; v < NV; ++v) a[t][v] = load(acc + t * kGroup + v * W);
  for (int k = 0; k < n; ++k, w += kGroup * L::size) {
    vf wv[NV];
    for (int v = 0; v < NV; ++v) wv[v] = L::at(w + v * W * L::size);
    for (int t = 0; t < T; ++t) {
      vf xk = splat(x[t * ldx + k]);
      for (int v = 0; v < NV; ++v) a[t][v] += wv[v] * xk;
    }
  }
  for (int t = 0; t < T; ++t)
    for (int v = 0; v < NV; ++v) store(acc + t * kGroup + v * W, a[t][v]);
}

inline size_t input_bytes(const Mat& w, int k) {
  return size_t(k) * kGroup * (w.pack == Pack::F32 ? 4 : 2);
}

template <int T>
void tile_any(const Mat& w, const uint8_t* p, const float* x, size_t ldx, int n, float* acc) {
  switch (w.pack) {
    case Pack::F32: return tile<LoadF32, T>(p, x, ldx, n, acc);
    case Pack::F16: return tile<LoadF16, T>(p, x, ldx, n, acc);
    default: return tile<LoadBF16, T>(p, x, ldx, n, acc);
  }
}

// Inputs [0, n) of a group as floats, [n][32].
void unpack(const Mat& w, const uint8_t* p, int n, float* out) {
  for (int i = 0; i < n * kGroup; i += W)
    store(out + i, w.pack == Pack::F16 ? LoadF16::at(p + size_t(i) * 2) : LoadBF16::at(p + size_t(i) * 2));
}

template <class F>
inline void for_tiles(int t_count, F f) {
  int t = 0;
  for (; t + kTokens <= t_count; t += kTokens) f.template operator()<kTokens>(t);
  if constexpr (kTokens > 4)
    if (t + 4 <= t_count) f.template operator()<4>(t), t += 4;
  if constexpr (kTokens > 2)
    if (t + 2 <= t_count) f.template operator()<2>(t), t += 2;
  for (; t < t_count; ++t) f.template operator()<1>(t);
}

struct Direct {
  const Mat& w;
  const uint8_t* p;
  const float* x;
  size_t ldx;
  float* acc;
  template <int T>
  void operator()(int t) {
    tile_any<T>(w, p, x + t * ldx, ldx, w.cols, acc + size_t(t) * kGroup);
  }
};

struct Panel {
  const uint8_t* p;
  const float* x;
  size_t ldx;
  int n;
  float* acc;
  template <int T>
  void operator()(int t) {
    tile<LoadF32, T>(p, x + t * ldx, ldx, n, acc + size_t(t) * kGroup);
  }
};

void linear(const Mat& w, const float* x, size_t ldx, const Tokens& to, int g0, int g1, float* scratch) {
  const int t_count = to.count;
  float* panel = scratch;
  float* acc = scratch + size_t(kPanel) * kGroup;
  for (int g = g0; g < g1; ++g) {
    const uint8_t* p = w.data + size_t(g - w.first) * w.group_bytes;
    for (size_t i = 0; i < size_t(t_count) * kGroup; i += W) store(acc + i, vf{});
    if (t_count <= kTokens) {
      for_tiles(t_count, Direct{w, p, x, ldx, acc});
    } else {
      for (int k = 0; k < w.cols; k += kPanel) {
        int n = w.cols - k < kPanel ? w.cols - k : kPanel;
        const uint8_t* at = p + input_bytes(w, k);
        if (w.pack != Pack::F32) {
          unpack(w, at, n, panel);
          at = reinterpret_cast<const uint8_t*>(panel);
        }
        for_tiles(t_count, Panel{at, x + k, ldx, n, acc});
      }
    }
    int o = g * kGroup, count = w.rows - o < kGroup ? w.rows - o : kGroup;
    for (int t = 0; t < t_count; ++t) __builtin_memcpy(to.y + t * to.ldy + o, acc + size_t(t) * kGroup, count * 4);
  }
}

// ---------------------------------------------------------------- norms

template <class F>
inline float reduce(const float* x, int n, F f) {
  vf acc{};
  int i = 0;
  for (; i + W <= n; i += W) acc += f(load(x + i));
  float s = total(acc);
  for (; i < n; ++i) s += f(splat(x[i]))[0];
  return s;
}

struct Moments {
  float mean, scale;
};

inline Moments moments(const float* x, int n, float eps) {
  float mean = reduce(x, n, [](vf v) { return v; }) / float(n);
  float var = reduce(x, n, [mean](vf v) { return (v - mean) * (v - mean); }) / float(n);
  return {mean, 1.0f / __builtin_sqrtf(var + eps)};
}

inline void normalise(const float* x, const float* weight, const float* bias, float* y, int n, Moments m) {
  for (int i = 0; i < n; ++i) y[i] = (x[i] - m.mean) * m.scale * weight[i] + bias[i];
}

void layer_norm(const float* x, const float* weight, const float* bias, float* y, int width, int c0, int c1,
                float eps) {
  if (c0 < c1) normalise(x + c0, weight + c0, bias + c0, y + c0, c1 - c0, moments(x, width, eps));
}

void group_norm(const float* x, const float* weight, const float* bias, float* y, int lanes, int h0, int h1,
                float eps) {
  for (int h = h0, c = h0 * lanes; h < h1; ++h, c += lanes)
    normalise(x + c, weight + c, bias + c, y + c, lanes, moments(x + c, lanes, eps));
}

void l2norm(const float* x, float* y, int lanes, int h0, int h1) {
  for (int h = h0, c = h0 * lanes; h < h1; ++h, c += lanes) {
    float norm = __builtin_sqrtf(reduce(x + c, lanes, [](vf v) { return v * v; }));
    float scale = 1.0f / (norm > 1e-12f ? norm : 1e-12f);
    for (int i = c; i < c + lanes; ++i) y[i] = x[i] * scale;
  }
}

void head_sum(const float* x, float* y, int lanes, int h0, int h1) {
  for (int h = h0, c = h0 * lanes; h < h1; ++h, c += lanes) {
    float s = reduce(x + c, lanes, [](vf v) { return v; });
    for (int i = c; i < c + lanes; ++i) y[i] = s;
  }
}

// ---------------------------------------------------------------- elementwise

void unary(Unary op, const float* x, float* y, int n) {
  switch (op) {
    case Unary::Exp: return over(x, y, n, [](vf v) { return exp_(v); });
    case Unary::Tanh: return over(x, y, n, [](vf v) { return tanh_(v); });
    case Unary::Sigmoid: return over(x, y, n, [](vf v) { return sigmoid_(v); });
    case Unary::Silu: return over(x, y, n, [](vf v) { return v * sigmoid_(v); });
    case Unary::Relu2:
      return over(x, y, n, [](vf v) {
        v = v < 0.0f ? splat(0.0f) : v;  // written so that a NaN stays one
        return v * v;
      });
  }
}

void binary(Binary op, const float* a, const float* b, float* y, int n) {
  switch (op) {
    case Binary::Add: return over2(a, b, y, n, [](vf p, vf q) { return p + q; });
    case Binary::Sub: return over2(a, b, y, n, [](vf p, vf q) { return p - q; });
    case Binary::Mul: return over2(a, b, y, n, [](vf p, vf q) { return p * q; });
  }
}

void scalar(Binary op, const float* a, float b, float* y, int n) {
  switch (op) {
    case Binary::Add: return over(a, y, n, [b](vf p) { return p + b; });
    case Binary::Sub: return over(a, y, n, [b](vf p) { return p - b; });
    case Binary::Mul: return over(a, y, n, [b](vf p) { return p * b; });
  }
}

// ---------------------------------------------------------------- wkv

// Channels [c0, c1) of one token.  state: numerator, denominator, shared exponent, each `width` long.
void wkv4(const float* w, const float* u, const float* k, const float* v, float* y, float* state, int width, int c0,
          int c1) {
  for (int c = c0; c < c1; c += W) {
    int n = c1 - c < W ? c1 - c : W;
    float in[7][W] = {};
    const float* from[7] = {w, u, k, v, state, state + width, state + 2 * width};
    for (int i = 0; i < 7; ++i) __builtin_memcpy(in[i], from[i] + c, n * 4);
    vf W_ = load(in[0]), K = load(in[2]), V = load(in[3]), A = load(in[4]), B = load(in[5]), P = load(in[6]);
    vf U = load(in[1]) + K;
    vf q = P > U ? P : U;
    vf old = exp_(P - q), now = exp_(U - q);
    float out[4][W];
    store(out[0], (old * A + now * V) / (old * B + now));
    vf D = P + W_;
    q = D > K ? D : K;
    old = exp_(D - q), now = exp_(K - q);
    store(out[1], old * A + now * V);
    store(out[2], old * B + now);
    store(out[3], q);
    float* to[4] = {y, state, state + width, state + 2 * width};
    for (int i = 0; i < 4; ++i) __builtin_memcpy(to[i] + c, out[i], n * 4);
  }
}

// Value lanes are independent of one another: a strip of J vectors of them goes through all key lanes in registers.
template <int J>
inline void wkv6_strip(const float* r, const float* w, const float* k, const float* v, const float* u, float* y,
                       float* s, int lanes) {
  vf vv[J], yy[J];
  for (int j = 0; j < J; ++j) vv[j] = load(v + j * W), yy[j] = vf{};
  for (int i = 0; i < lanes; ++i, s += lanes)
    for (int j = 0; j < J; ++j) {
      vf old = load(s + j * W), kv = k[i] * vv[j];
      yy[j] += r[i] * (u[i] * kv + old);
      store(s + j * W, w[i] * old + kv);
    }
  for (int j = 0; j < J; ++j) store(y + j * W, yy[j]);
}

void wkv6(const float* r, const float* w, const float* k, const float* v, const float* u, float* y, float* s,
          int lanes) {
  int c = 0;
  for (; c + 4 * W <= lanes; c += 4 * W) wkv6_strip<4>(r, w, k, v + c, u, y + c, s + c, lanes);
  for (; c + W <= lanes; c += W) wkv6_strip<1>(r, w, k, v + c, u, y + c, s + c, lanes);
  for (; c < lanes; ++c) {
    float yy = 0;
    for (int i = 0; i < lanes; ++i) {
      float& at = s[i * lanes + c];
      float kv = k[i] * v[c];
      yy += r[i] * (u[i] * kv + at);
      at = w[i] * at + kv;
    }
    y[c] = yy;
  }
}

template <int J>
inline void wkv7_strip(const float* r, const float* w, const float* k, const float* v, const float* a, const float* b,
                       float* y, float* s, int lanes) {
  vf vv[J], read[J], yy[J];
  for (int j = 0; j < J; ++j) vv[j] = load(v + j * W), read[j] = vf{}, yy[j] = vf{};
  for (int i = 0; i < lanes; ++i)
    for (int j = 0; j < J; ++j) read[j] += a[i] * load(s + i * lanes + j * W);
  for (int i = 0; i < lanes; ++i, s += lanes)
    for (int j = 0; j < J; ++j) {
      vf now = w[i] * load(s + j * W) + b[i] * read[j] + k[i] * vv[j];
      yy[j] += r[i] * now;
      store(s + j * W, now);
    }
  for (int j = 0; j < J; ++j) store(y + j * W, yy[j]);
}

void wkv7(const float* r, const float* w, const float* k, const float* v, const float* a, const float* b, float* y,
          float* s, int lanes) {
  int c = 0;
  for (; c + 4 * W <= lanes; c += 4 * W) wkv7_strip<4>(r, w, k, v + c, a, b, y + c, s + c, lanes);
  for (; c + W <= lanes; c += W) wkv7_strip<1>(r, w, k, v + c, a, b, y + c, s + c, lanes);
  for (; c < lanes; ++c) {
    float read = 0, yy = 0;
    for (int i = 0; i < lanes; ++i) read += a[i] * s[i * lanes + c];
    for (int i = 0; i < lanes; ++i) {
      float& at = s[i * lanes + c];
      at = w[i] * at + b[i] * read + k[i] * v[c];
      yy += r[i] * at;
    }
    y[c] = yy;
  }
}

}  // namespace
}  // namespace rookery

#define ROOKERY_KERNELS(label)                                                                                      \
  {                                                                                                                 \
    label, linear, linear_rounded, round, layer_norm, group_norm, l2norm, head_sum, unary, binary, scalar, wkv4,    \
        wkv6, wkv7, peak                                                                                            \
  }
