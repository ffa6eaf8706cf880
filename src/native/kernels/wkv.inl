// Kernels of the WKV recurrences, written once.  Included by one file per instruction set, which first defines
//   W       floats in a vector; divides 16
//   vf, vi  vectors of W floats, of W int32
//   sum4    the sums of four vectors
// Uses no library code: whatever is inlined here exists in this file alone.
//
// RWKV-7, for every row t of a head; S is (value lane, key lane), G the gradient of the state:
//
//   forward   s  = S a                      backward   G  += dy r^T          dr = S_t^T dy
//             S <- S diag(w) + s b^T + v k^T           dv  = G k             dk = G^T v
//             y  = S r                                 ds  = G b             db = G^T s
//                                                      da  = S_{t-1}^T ds    dw = sum over value lanes G S_{t-1}
//                                                      G  <- G diag(w) + ds a^T
//
// RWKV-5 and 6, with c = v . dy:
//
//   forward   y  = S r + (r . u k) v        backward   dr = S_{t-1}^T dy + c u k      du = c r k, of all rows
//             S <- S diag(w) + v k^T                   dv = G k + (r . u k) dy        dw = sum of G S_{t-1}
//                                                      dk = G^T v + c u r
//                                                      G <- G diag(w) + dy r^T
//
// Value lanes do not look at one another forward, and backward they meet only in sums: a block of them, Q rows of S,
// stays in registers over all rows of a chunk.  S_{t-1} is computed forward again from the chunk's first state, never
// as (S_t - ...) diag(1 / w): dividing by the decay 64 times would lose 64 log2(1 / w) bits, all 24 of them at w = 0.77.
// A row costs 9 N^2 operations forward and 24 N^2 backward; kept are N^2 / 64 numbers of states for each row, and the N
// that RWKV-7 read from them.

#include "vectors.inl"

namespace rookery {
namespace {

template <int Q>
inline void sums(const vf* x, float* out) {
  for (int q = 0; q < Q; q += 4) sum4(x + q, out + q);
}

// Q value lanes of NV vectors of key lanes; NV = 0: as many as there are.
template <int NV, int Q>
struct Block {
  static constexpr int kMost = NV ? NV : kWkvMostLanes / W;
  vf s[Q][kMost];

  inline void take(const float* from, int nv) {
    for (int q = 0; q < Q; ++q)
      for (int j = 0; j < nv; ++j) s[q][j] = load(from + (q * nv + j) * W);
  }
  inline void give(float* to, int nv) const {
    for (int q = 0; q < Q; ++q)
      for (int j = 0; j < nv; ++j) store(to + (q * nv + j) * W, s[q][j]);
  }
  // sum over key lanes of s x
  inline void dot(const float* x, float* out, int nv) const {
    vf sum[Q];
    for (int q = 0; q < Q; ++q) sum[q] = s[q][0] * load(x);
    for (int j = 1; j < nv; ++j)
      for (int q = 0; q < Q; ++q) sum[q] += s[q][j] * load(x + j * W);
    sums<Q>(sum, out);
  }
};

// Where the operands of a row are.
struct Row7 {
  static constexpr int kInputs = 7;
  const float *r, *w, *k, *v, *a, *b, *dy;
  Row7(const float* x, int n)
      : r(x), w(x + n), k(x + 2 * n), v(x + 3 * n), a(x + 4 * n), b(x + 5 * n), dy(x + 6 * n) {}
};
struct Row6 {
  static constexpr int kInputs = 5;
  const float *r, *w, *k, *v, *dy;
  Row6(const float* x, int n) : r(x), w(x + n), k(x + 2 * n), v(x + 3 * n), dy(x + 4 * n) {}
};

// ---------------------------------------------------------------- RWKV-7

template <int NV, int Q>
void forward7_of(const WkvRows& rows, float* state, float* y) {
  const int nv = NV ? NV : rows.lanes / W, n = nv * W;
  for (int i = 0; i < n; i += Q, state += Q * n) {
    Block<NV, Q> block;
    block.take(state, nv);
    for (int t = 0; t < rows.count; ++t) {
      const Row7 x(rows.x + size_t(t) * Row7::kInputs * n, n);
      alignas(64) float local[Q];
      float* read = rows.reads ? rows.reads + size_t(i) * kWkvChunk + t * Q : local;
      block.dot(x.a, read, nv);
      vf sum[Q] = {};
      for (int j = 0; j < nv; ++j) {
        const vf r = load(x.r + j * W), w = load(x.w + j * W), k = load(x.k + j * W), b = load(x.b + j * W);
        for (int q = 0; q < Q; ++q) {
          vf& s = block.s[q][j];
          s = s * w + (read[q] * b + x.v[i + q] * k);
          sum[q] += s * r;
        }
      }
      sums<Q>(sum, y + size_t(t) * n + i);
    }
    block.give(state, nv);
  }
}

// The states of a block after every row, behind the one before.
template <int NV, int Q>
inline void states7(const WkvRows& rows, const float* state, int i, float* states, const float* reads) {
  const int nv = NV ? NV : rows.lanes / W, n = nv * W;
  Block<NV, Q> block;
  block.take(state, nv);
  block.give(states, nv);
  for (int t = 0; t < rows.count; ++t, reads += Q) {
    const Row7 x(rows.x + size_t(t) * Row7::kInputs * n, n);
    states += Q * n;
    for (int j = 0; j < nv; ++j) {
      const vf w = load(x.w + j * W), k = load(x.k + j * W), b = load(x.b + j * W);
      for (int q = 0; q < Q; ++q) {
        vf& s = block.s[q][j];
        s = s * w + (reads[q] * b + x.v[i + q] * k);
        store(states + q * n + j * W, s);
      }
    }
  }
}

// One row back: `g` holds the gradients of the block's states.
template <int NV, int Q>
inline void back7(Block<NV, Q>& g, const Row7& x, const float* states, const float* read, int i, float* dx, int nv) {
  const int n = nv * W;
  const float *before = states, *after = states + Q * n;
  float *dr = dx, *dw = dx + n, *dk = dx + 2 * n, *da = dx + 4 * n, *db = dx + 5 * n;
  vf gk[Q] = {}, gb[Q] = {};
  for (int j = 0; j < nv; ++j) {
    const int o = j * W;
    const vf r = load(x.r + o), k = load(x.k + o), b = load(x.b + o);
    vf sr = load(dr + o), sw = load(dw + o), sk = load(dk + o), sb = load(db + o);
    for (int q = 0; q < Q; ++q) {
      vf& d = g.s[q][j];
      d += x.dy[i + q] * r;
      sr += x.dy[i + q] * load(after + q * n + o);
      sk += x.v[i + q] * d;
      sb += read[q] * d;
      sw += load(before + q * n + o) * d;
      gk[q] += d * k;
      gb[q] += d * b;
    }
    store(dr + o, sr), store(dw + o, sw), store(dk + o, sk), store(db + o, sb);
  }
  sums<Q>(gk, dx + 3 * n + i);
  alignas(64) float ds[Q];
  sums<Q>(gb, ds);
  for (int j = 0; j < nv; ++j) {
    const int o = j * W;
    const vf a = load(x.a + o), w = load(x.w + o);
    vf sa = load(da + o);
    for (int q = 0; q < Q; ++q) {
      sa += ds[q] * load(before + q * n + o);
      g.s[q][j] = g.s[q][j] * w + ds[q] * a;
    }
    store(da + o, sa);
  }
}

template <int NV, int Q>
void backward7_of(const WkvRows& rows, const float* state, float* ds, const WkvGradients& to, float* scratch) {
  const int nv = NV ? NV : rows.lanes / W, n = nv * W;
  __builtin_memset(to.dx, 0, sizeof(float) * rows.count * 6 * n);
  for (int i = 0; i < n; i += Q) {
    const float* reads = rows.reads + size_t(i) * kWkvChunk;
    states7<NV, Q>(rows, state + size_t(i) * n, i, scratch, reads);
    Block<NV, Q> g;
    g.take(ds + size_t(i) * n, nv);
    for (int t = rows.count - 1; t >= 0; --t) {
      const Row7 x(rows.x + size_t(t) * Row7::kInputs * n, n);
      back7<NV, Q>(g, x, scratch + size_t(t) * Q * n, reads + t * Q, i, to.dx + size_t(t) * 6 * n, nv);
    }
    g.give(ds + size_t(i) * n, nv);
  }
}

// ---------------------------------------------------------------- RWKV-5 and 6

// x . (y z); the lanes that a head lacks add nothing.
inline float total(const float* x, const float* y, const float* z, int n) {
  vf sum[4] = {};
  for (int o = 0; o < n; o += W) sum[0] += load(x + o) * (z ? load(y + o) * load(z + o) : load(y + o));
  float out[4];
  sum4(sum, out);
  return out[0];
}

template <int NV, int Q>
void forward6_of(const WkvRows& rows, float* state, float* y) {
  const int nv = NV ? NV : rows.lanes / W, n = nv * W;
  float bonus[kWkvChunk];
  for (int t = 0; t < rows.count; ++t) {
    const Row6 x(rows.x + size_t(t) * Row6::kInputs * n, n);
    bonus[t] = total(x.r, x.k, rows.u, n);
  }
  for (int i = 0; i < n; i += Q, state += Q * n) {
    Block<NV, Q> block;
    block.take(state, nv);
    for (int t = 0; t < rows.count; ++t) {
      const Row6 x(rows.x + size_t(t) * Row6::kInputs * n, n);
      vf sum[Q] = {};
      for (int j = 0; j < nv; ++j) {
        const vf r = load(x.r + j * W), w = load(x.w + j * W), k = load(x.k + j * W);
        for (int q = 0; q < Q; ++q) {
          vf& s = block.s[q][j];
          sum[q] += s * r;
          s = s * w + x.v[i + q] * k;
        }
      }
      float* out = y + size_t(t) * n + i;
      sums<Q>(sum, out);
      for (int q = 0; q < Q; ++q) out[q] += bonus[t] * x.v[i + q];
    }
    block.give(state, nv);
  }
}

// The states of a block before every row.
template <int NV, int Q>
inline void states6(const WkvRows& rows, const float* state, int i, float* states) {
  const int nv = NV ? NV : rows.lanes / W, n = nv * W;
  Block<NV, Q> block;
  block.take(state, nv);
  for (int t = 0; t < rows.count; ++t, states += Q * n) {
    const Row6 x(rows.x + size_t(t) * Row6::kInputs * n, n);
    for (int j = 0; j < nv; ++j) {
      const vf w = load(x.w + j * W), k = load(x.k + j * W);
      for (int q = 0; q < Q; ++q) {
        vf& s = block.s[q][j];
        store(states + q * n + j * W, s);
        s = s * w + x.v[i + q] * k;
      }
    }
  }
}

template <int NV, int Q>
inline void back6(Block<NV, Q>& g, const Row6& x, const float* before, int i, float* dx, int nv) {
  const int n = nv * W;
  float *dr = dx, *dw = dx + n, *dk = dx + 2 * n;
  vf gk[Q] = {};
  for (int j = 0; j < nv; ++j) {
    const int o = j * W;
    const vf r = load(x.r + o), w = load(x.w + o), k = load(x.k + o);
    vf sr = load(dr + o), sw = load(dw + o), sk = load(dk + o);
    for (int q = 0; q < Q; ++q) {
      vf& d = g.s[q][j];
      const vf s = load(before + q * n + o);
      sr += x.dy[i + q] * s;
      sw += s * d;
      sk += x.v[i + q] * d;
      gk[q] += d * k;
      d = d * w + x.dy[i + q] * r;
    }
    store(dr + o, sr), store(dw + o, sw), store(dk + o, sk);
  }
  sums<Q>(gk, dx + 3 * n + i);
}

// What the bonus adds, all lanes of a row at once.
inline void bonus6(const Row6& x, const float* u, float* dx, float* du, int n) {
  float *dr = dx, *dk = dx + 2 * n, *dv = dx + 3 * n;
  const float c = total(x.v, x.dy, nullptr, n), bonus = total(x.r, x.k, u, n);
  for (int o = 0; o < n; o += W) {
    const vf r = load(x.r + o), k = load(x.k + o), uu = load(u + o);
    store(dr + o, load(dr + o) + c * (uu * k));
    store(dk + o, load(dk + o) + c * (uu * r));
    store(dv + o, load(dv + o) + bonus * load(x.dy + o));
    store(du + o, load(du + o) + c * (r * k));
  }
}

template <int NV, int Q>
void backward6_of(const WkvRows& rows, const float* state, float* ds, const WkvGradients& to, float* scratch) {
  const int nv = NV ? NV : rows.lanes / W, n = nv * W;
  __builtin_memset(to.dx, 0, sizeof(float) * rows.count * 4 * n);
  for (int i = 0; i < n; i += Q) {
    states6<NV, Q>(rows, state + size_t(i) * n, i, scratch);
    Block<NV, Q> g;
    g.take(ds + size_t(i) * n, nv);
    for (int t = rows.count - 1; t >= 0; --t) {
      const Row6 x(rows.x + size_t(t) * Row6::kInputs * n, n);
      back6<NV, Q>(g, x, scratch + size_t(t) * Q * n, i, to.dx + size_t(t) * 4 * n, nv);
    }
    g.give(ds + size_t(i) * n, nv);
  }
  for (int t = rows.count - 1; t >= 0; --t)
    bonus6(Row6(rows.x + size_t(t) * Row6::kInputs * n, n), rows.u, to.dx + size_t(t) * 4 * n, to.du, n);
}

// ---------------------------------------------------------------- tables

// Blocks of 4 or 8 value lanes: at 64 key lanes, 16 registers of 16 floats.
#define ROOKERY_WKV_SIZES(function, lanes, ...)                                  \
  switch (lanes) {                                                               \
    case 16: return function<16 / W, 8>(__VA_ARGS__);                            \
    case 32: return function<32 / W, 8>(__VA_ARGS__);                            \
    case 64: return function<64 / W, 4>(__VA_ARGS__);                            \
    case 128: return function<128 / W, 4>(__VA_ARGS__);                          \
    default: return function<0, 4>(__VA_ARGS__);                                 \
  }

void forward7(const WkvRows& rows, float* state, float* y) {
  ROOKERY_WKV_SIZES(forward7_of, rows.lanes, rows, state, y)
}
void backward7(const WkvRows& rows, const float* state, float* ds, const WkvGradients& to, float* scratch) {
  ROOKERY_WKV_SIZES(backward7_of, rows.lanes, rows, state, ds, to, scratch)
}
void forward6(const WkvRows& rows, float* state, float* y) {
  ROOKERY_WKV_SIZES(forward6_of, rows.lanes, rows, state, y)
}
void backward6(const WkvRows& rows, const float* state, float* ds, const WkvGradients& to, float* scratch) {
  ROOKERY_WKV_SIZES(backward6_of, rows.lanes, rows, state, ds, to, scratch)
}

}  // namespace
}  // namespace rookery

#include "wkv4.inl"

#define ROOKERY_WKV_KERNELS(label) \
  { label, forward7, forward6, forward4, backward7, backward6, backward4 }
