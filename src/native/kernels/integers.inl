// Matrix products with integer weights: int8 inputs with a scale per 32, exact integer sums inside a run.
//
// A *run* is 32 inputs (16 in Q6_K) that share a scale.  Inputs are rounded to int8 per 32 first; what a run adds is
// then an exact integer, scaled once.  Runs are added in ascending order in one chain per output, so a result does not
// depend on how many tokens travel together.  docs/weight-layouts.md shows where every byte lies.
//
// An instruction set provides, besides what kernels.inl needs:
//   dot4(acc, codes, x)   acc + four products per lane, codes 0..127, x int8
//   dot8(acc, codes, x)   the same for codes 0..255, minus (128 - kDot8Bias) times the sum of the x
//   nearest(x)            the nearest integers, ties to even
//   lookup16(table, codes)            for each byte of codes, 0..15, the byte of a table of 16
//   lookup32(table, codes, upper)     the same of 32: 16 further where the top bit of the byte of upper is set
//   choose(sign, positive, negative)  per lane, by the sign
//   kRowVectors           vectors of rows in flight
//   kIntTokens            tokens of a tile

namespace rookery {
namespace {

typedef unsigned vu __attribute__((vector_size(4 * W)));

inline vi load_int(const void* p) {
  vi v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline vi splat_int(int x) { return x - vi{}; }
inline vi field(vi v, int shift, unsigned mask) { return vi((vu(v) >> shift) & mask); }

// One block of 32 inputs of T tokens.
template <int T>
struct Inputs {
  float scale[T];
  float sum[T];         // scale * (half[0] + half[1])
  int32_t minus[3][T];  // minus the sums of the codes of inputs 0..15, of 16..31, of all
  int8_t code[8][T][4];
};

// ---------------------------------------------------------------- formats
//
// kSpan inputs form a unit of kBytes for 32 rows.  scales() unfolds its runs' scales (and minima, negated) to floats;
// codes(b, j, r) gives inputs 32 b + 4 j .. + 3 of the rows from r on, as unsigned bytes; kBias is what they are too big.

inline vi nibbles(const uint8_t* p, int j, int r) {
  vi v = load_int(p + j / 2 * 128 + r * 4);
  return field(v, j % 2 * 4, 0x0f0f0f0fu);
}

inline void half_scales(const uint8_t* p, float* out) {
  for (int r = 0; r < kGroup; r += W) store(out + r, load_f16(reinterpret_cast<const uint16_t*>(p) + r));
}

struct Q8 {
  static constexpr int kSpan = 32, kRuns = 1, kBytes = 1088, kBias = kDot8Bias;
  static constexpr bool kMin = false, kWide = true;
  static void scales(const uint8_t* p, float* scale, float*) { half_scales(p, scale); }
  static vi codes(const uint8_t* p, int, int j, int r) { return load_int(p + 64 + j * 128 + r * 4); }
};

template <bool MIN>
struct Q4 {
  static constexpr int kSpan = 32, kRuns = 1, kBytes = MIN ? 640 : 576, kBias = MIN ? 0 : 8;
  static constexpr bool kMin = MIN, kWide = false;
  static void scales(const uint8_t* p, float* scale, float* min) {
    half_scales(p, scale);
    if constexpr (MIN) half_scales(p + 64, min);
  }
  static vi codes(const uint8_t* p, int, int j, int r) { return nibbles(p + (MIN ? 128 : 64), j, r); }
};

template <bool MIN>
struct Q5 {
  static constexpr int kSpan = 32, kRuns = 1, kBytes = MIN ? 768 : 704, kBias = MIN ? 0 : 16;
  static constexpr bool kMin = MIN, kWide = false;
  static void scales(const uint8_t* p, float* scale, float* min) { Q4<MIN>::scales(p, scale, min); }
  static vi codes(const uint8_t* p, int, int j, int r) {
    p += MIN ? 128 : 64;
    return nibbles(p + 128, j, r) | (field(load_int(p + r * 4), j, 0x01010101u) << 4);
  }
};

// 6-bit scales and minima of eight runs: three vectors of 4 x 32 bytes hold sc[0..3], sc[4..7], mn[0..3] in their
// lower six bits; their upper two bits together are mn[4..7].
inline void k_scales(const uint8_t* p, float* scale, float* min) {
  alignas(64) uint8_t six[4][128];
  for (int i = 0; i < 128; i += 4 * W) {
    vi a = load_int(p + 128 + i), b = load_int(p + 256 + i), c = load_int(p + 384 + i);
    vi parts[4] = {field(a, 0, 0x3f3f3f3fu), field(b, 0, 0x3f3f3f3fu), field(c, 0, 0x3f3f3f3fu),
                   field(a, 6, 0x03030303u) | field(b, 4, 0x0c0c0c0cu) | field(c, 2, 0x30303030u)};
    for (int n = 0; n < 4; ++n) __builtin_memcpy(six[n] + i, &parts[n], sizeof(vi));
  }
  for (int r = 0; r < kGroup; r += W) {
    vf d = load_f16(reinterpret_cast<const uint16_t*>(p) + r), m = -load_f16(reinterpret_cast<const uint16_t*>(p) + 32 + r);
    for (int b = 0; b < 8; ++b) {
      store(scale + b * kGroup + r, d * load_i8(reinterpret_cast<const int8_t*>(six[b / 4]) + b % 4 * kGroup + r));
      store(min + b * kGroup + r, m * load_i8(reinterpret_cast<const int8_t*>(six[2 + b / 4]) + b % 4 * kGroup + r));
    }
  }
}

template <bool FIVE>
struct QK {
  static constexpr int kSpan = 256, kRuns = 8, kBlock = FIVE ? 640 : 512, kBytes = 512 + 8 * kBlock, kBias = 0;
  static constexpr bool kMin = true, kWide = false;
  static void scales(const uint8_t* p, float* scale, float* min) { k_scales(p, scale, min); }
  static vi codes(const uint8_t* p, int b, int j, int r) {
    p += 512 + b * kBlock;
    if constexpr (FIVE) return nibbles(p + 128, j, r) | (field(load_int(p + r * 4), j, 0x01010101u) << 4);
    return nibbles(p, j, r);
  }
};

struct Q6 {
  static constexpr int kSpan = 256, kRuns = 16, kBlock = 768, kBytes = 576 + 8 * kBlock, kBias = 32;
  static constexpr bool kMin = false, kWide = false;
  static void scales(const uint8_t* p, float* scale, float*) {
    for (int r = 0; r < kGroup; r += W) {
      vf d = load_f16(reinterpret_cast<const uint16_t*>(p) + r);
      for (int i = 0; i < kRuns; ++i)
        store(scale + i * kGroup + r, d * load_i8(reinterpret_cast<const int8_t*>(p) + 64 + i * kGroup + r));
    }
  }
  static vi codes(const uint8_t* p, int b, int j, int r) {
    p += 576 + b * kBlock + j / 4 * 384;  // 16 inputs: 128 bytes of upper pairs of bits, 256 of nibbles
    return nibbles(p + 128, j % 4, r) | (field(load_int(p + r * 4), j % 4 * 2, 0x03030303u) << 4);
  }
};

}  // namespace
}  // namespace rookery

#include "codebooks.inl"

namespace rookery {
namespace {

// A unit whose codes and scales were unfolded to bytes and floats, for many tokens.
template <class F>
struct Unfolded {
  static constexpr int kSpan = F::kSpan, kRuns = F::kRuns, kBias = F::kBias;
  static constexpr bool kMin = F::kMin, kWide = F::kWide;
  static constexpr int kScales = kRuns * kGroup * 4 * (kMin ? 2 : 1), kBytes = kScales + kSpan * kGroup;
  static vi codes(const uint8_t* p, int b, int j, int r) { return load_int(p + kScales + (b * 8 + j) * 128 + r * 4); }
};

template <class F>
void unfold(const uint8_t* p, uint8_t* out) {
  float* scale = reinterpret_cast<float*>(out);
  F::scales(p, scale, scale + F::kRuns * kGroup);
  out += Unfolded<F>::kScales;
  for (int b = 0; b < F::kSpan / 32; ++b)
    for (int j = 0; j < 8; ++j)
      for (int r = 0; r < kGroup; r += W, out += 4 * W) {
        vi c = F::codes(p, b, j, r);
        __builtin_memcpy(out, &c, sizeof c);
      }
}

template <class F>
struct IsUnfolded {
  static constexpr bool value = false;
};
template <class F>
struct IsUnfolded<Unfolded<F>> {
  static constexpr bool value = true;
};

// ---------------------------------------------------------------- products

// How far ahead of its use a weight is asked for.  Without this a thread that does more than add gets half of what the
// memory can deliver.
constexpr int kAhead = 8192;

template <int BYTES>
inline void ask_for(const uint8_t* p) {
#pragma GCC unroll 20
  for (int i = 0; i < BYTES; i += 64) __builtin_prefetch(p + i);  // past the end is allowed: a hint reads nothing
}

// Adds `units` units of a group to acc[T][32] for the rows [R, R + kRowVectors * W).
template <class F, int T>
inline void rows_int(const uint8_t* p, const Inputs<T>* x, int units, float* acc, int row) {
  constexpr int V = kRowVectors;
  vf f[T][V];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) f[t][v] = load(acc + t * kGroup + row + v * W);
  for (int unit = 0; unit < units; ++unit, p += F::kBytes) {
    alignas(64) float unfolded[IsUnfolded<F>::value ? 1 : F::kRuns * kGroup * 2];
    const float* scale = unfolded;
    if constexpr (IsUnfolded<F>::value)
      scale = reinterpret_cast<const float*>(p);
    else
      F::scales(p, unfolded, unfolded + F::kRuns * kGroup);
    const float* min = scale + F::kRuns * kGroup;
    for (int b = 0; b < F::kSpan / 32; ++b, ++x) {
      constexpr int kBlockBytes = F::kBytes * 32 / F::kSpan;
      if constexpr (!IsUnfolded<F>::value) ask_for<kBlockBytes>(p + b * kBlockBytes + kAhead);
      constexpr int kParts = F::kRuns * 32 / F::kSpan;  // runs in 32 inputs: 1 or 2
#pragma GCC unroll 2
      for (int part = 0; part < kParts; ++part) {
        constexpr int kShift = F::kBias ? __builtin_ctz(F::kBias) : 0;
        vi d[T][V];
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t)
#pragma GCC unroll 8
          for (int v = 0; v < V; ++v)
            d[t][v] = F::kBias ? splat_int(x->minus[kParts == 2 ? part : 2][t]) << kShift : vi{};
#pragma GCC unroll 8
        for (int i = 0; i < 8 / kParts; ++i) {
          const int j = part * (8 / kParts) + i;
          vi codes[V];
#pragma GCC unroll 8
          for (int v = 0; v < V; ++v) codes[v] = F::codes(p, b, j, row + v * W);
#pragma GCC unroll 8
          for (int t = 0; t < T; ++t) {
            int four;
            __builtin_memcpy(&four, x->code[j][t], 4);
            vi xs = splat_int(four);
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) d[t][v] = F::kWide ? dot8(d[t][v], codes[v], xs) : dot4(d[t][v], codes[v], xs);
          }
        }
        const int run = b * kParts + part;
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
          vf s = load(scale + run * kGroup + row + v * W);
          vf m = F::kMin ? load(min + run * kGroup + row + v * W) : vf{};
#pragma GCC unroll 8
          for (int t = 0; t < T; ++t) {
            f[t][v] += __builtin_convertvector(d[t][v], vf) * (s * x->scale[t]);
            if constexpr (F::kMin) f[t][v] += m * x->sum[t];
          }
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) store(acc + t * kGroup + row + v * W, f[t][v]);
}

template <class F, int T>
void tile_int(const uint8_t* p, const void* x, int units, float* acc) {
  for (int row = 0; row < kGroup; row += kRowVectors * W)
    rows_int<F, T>(p, static_cast<const Inputs<T>*>(x), units, acc, row);
}

// ---------------------------------------------------------------- inputs

inline int magnitude(float x) {  // as an integer: magnitudes are ordered as their bits are
  int bits;
  __builtin_memcpy(&bits, &x, 4);
  return bits & 0x7fffffff;
}

// The loops over lanes are exact in any order: the compiler makes vectors of them.
inline int largest_magnitude(const float* x) {
  int most = 0;
  for (int i = 0; i < 32; ++i) most = magnitude(x[i]) > most ? magnitude(x[i]) : most;
  return most;
}

inline void round_codes(const float* x, float inverse, int8_t* code) {
  int q[32];
  for (int i = 0; i < 32; i += W) {
    vi rounded = nearest(load(x + i) * inverse);
    __builtin_memcpy(q + i, &rounded, sizeof rounded);
  }
  for (int i = 0; i < 32; ++i) code[i] = static_cast<int8_t>(q[i]);
}

// Sums of `count` times 16 codes.
template <int COUNT>
inline void sum_codes(const int8_t* code, int32_t* sums) {
  int four[COUNT * 4 + W];
  for (int i = 0; i < COUNT * 4; i += W) {
    vi s = dot4(vi{}, splat_int(0x01010101), load_int(code + 4 * i));
    __builtin_memcpy(four + i, &s, sizeof s);
  }
  for (int i = 0; i < COUNT; ++i) sums[i] = four[4 * i] + four[4 * i + 1] + four[4 * i + 2] + four[4 * i + 3];
}

template <int T>
void round_tile(const float* x, size_t ldx, int b0, int b1, void* out) {
  Inputs<T>* to = static_cast<Inputs<T>*>(out) + b0;
  x += b0 * 32;
  for (int b = b0; b < b1; ++b, ++to, x += 32) {
    int most[T];
    float inverse[T];
    for (int t = 0; t < T; ++t) most[t] = largest_magnitude(x + t * ldx);
    for (int t = 0; t < T; ++t) {
      float max;
      __builtin_memcpy(&max, &most[t], 4);
      inverse[t] = max > 0 ? 127.0f / max : 0.0f;
      to->scale[t] = most[t] < 0x7f800000 ? max * (1.0f / 127.0f) : __builtin_nanf("");  // NaN must not vanish here
    }
    alignas(64) int8_t code[T * 32 + 4 * W] = {};
    for (int t = 0; t < T; ++t) round_codes(x + t * ldx, inverse[t], code + 32 * t);
    int half[2 * T];
    sum_codes<2 * T>(code, half);
    for (int j = 0; j < 8; ++j)
      for (int t = 0; t < T; ++t) __builtin_memcpy(to->code[j][t], code + 32 * t + 4 * j, 4);
    for (int t = 0; t < T; ++t) {
      to->minus[0][t] = -half[2 * t];
      to->minus[1][t] = -half[2 * t + 1];
      to->minus[2][t] = -half[2 * t] - half[2 * t + 1];
      to->sum[t] = to->scale[t] * float(half[2 * t] + half[2 * t + 1]);
    }
  }
}

// Calls f.operator()<T>(first token) for tiles that cover all tokens.
template <class F>
inline void for_int_tiles(int count, F f) {
  int t = 0;
  for (; t + kIntTokens <= count; t += kIntTokens) f.template operator()<kIntTokens>(t);
  if constexpr (kIntTokens > 4)
    if (t + 4 <= count) f.template operator()<4>(t), t += 4;
  if constexpr (kIntTokens > 2)
    if (t + 2 <= count) f.template operator()<2>(t), t += 2;
  for (; t < count; ++t) f.template operator()<1>(t);
}

struct RoundTiles {
  const float* x;
  size_t ldx;
  int b0, b1;
  uint8_t* out;
  template <int T>
  void operator()(int t) {
    round_tile<T>(x + t * ldx, ldx, b0, b1, out + size_t(t) * (ldx / 32) * sizeof(Inputs<1>));
  }
};

void round(const float* x, size_t ldx, int count, int b0, int b1, uint8_t* out) {
  for_int_tiles(count, RoundTiles{x, ldx, b0, b1, out});
}

template <class F>
struct IntTiles {
  const uint8_t* p;
  const uint8_t* x;
  int blocks, first, units;
  float* acc;
  template <int T>
  void operator()(int t) {
    const uint8_t* from = x + (size_t(t) * blocks + size_t(first) * T) * sizeof(Inputs<1>);
    tile_int<F, T>(p, from, units, acc + size_t(t) * kGroup);
  }
};

constexpr int kUnfoldFrom = 2 * kIntTokens;  // tokens from which unfolding a unit once beats decoding it per tile

template <class F>
void linear_int(const Mat& w, const uint8_t* x, const Tokens& to, int g0, int g1, float* scratch) {
  const int count = to.count;
  float* acc = scratch;
  uint8_t* unit = reinterpret_cast<uint8_t*>(scratch + size_t(count) * kGroup);
  const int blocks = w.cols / 32, units = w.cols / F::kSpan;
  for (int g = g0; g < g1; ++g) {
    const uint8_t* head = w.data + size_t(g - w.first) * w.group_bytes;
    const uint8_t* p = head + head_bytes<F>();
    for (size_t i = 0; i < size_t(count) * kGroup; i += W) store(acc + i, vf{});
    if (F::kSpan == 32 || count < (requires { F::kHardCodes; } ? kIntTokens + 1 : kUnfoldFrom)) {
      for_int_tiles(count, IntTiles<F>{p, x, blocks, 0, units, acc});
    } else {
      for (int u = 0; u < units; ++u) {
        unfold<F>(p + size_t(u) * F::kBytes, unit);
        ask_for<F::kBytes>(p + size_t(u + 1) * F::kBytes);
        for_int_tiles(count, IntTiles<Unfolded<F>>{unit, x, blocks, u * F::kSpan / 32, 1, acc});
      }
    }
    if constexpr (head_bytes<F>() > 0) scale_rows(head, acc, count);
    const int o = g * kGroup, rows = w.rows - o < kGroup ? w.rows - o : kGroup;
    for (int t = 0; t < count; ++t) __builtin_memcpy(to.y + t * to.ldy + o, acc + size_t(t) * kGroup, rows * 4);
  }
}

void linear_lines(const Mat& w, const uint8_t* x, const Tokens& to, int g0, int g1, float* scratch);

void linear_rounded(const Mat& w, const uint8_t* x, const Tokens& to, int g0, int g1, float* scratch) {
  switch (w.pack) {
    case Pack::Q8: return linear_int<Q8>(w, x, to, g0, g1, scratch);
    case Pack::Q4: return linear_int<Q4<false>>(w, x, to, g0, g1, scratch);
    case Pack::Q4Min: return linear_int<Q4<true>>(w, x, to, g0, g1, scratch);
    case Pack::Q5: return linear_int<Q5<false>>(w, x, to, g0, g1, scratch);
    case Pack::Q5Min: return linear_int<Q5<true>>(w, x, to, g0, g1, scratch);
    case Pack::Q4K: return linear_int<QK<false>>(w, x, to, g0, g1, scratch);
    case Pack::Q5K: return linear_int<QK<true>>(w, x, to, g0, g1, scratch);
    case Pack::Int8: return linear_int<Int8>(w, x, to, g0, g1, scratch);
    case Pack::Nf4: return linear_int<Nf4>(w, x, to, g0, g1, scratch);
    case Pack::C4: return linear_int<Paired<false>>(w, x, to, g0, g1, scratch);
    case Pack::C5: return linear_int<Paired<true>>(w, x, to, g0, g1, scratch);
    case Pack::Q8Lines: return linear_lines(w, x, to, g0, g1, scratch);
    default: return linear_int<Q6>(w, x, to, g0, g1, scratch);
  }
}

}  // namespace
}  // namespace rookery
