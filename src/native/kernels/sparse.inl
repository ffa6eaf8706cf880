// Products with inputs of which many are zero: the squares of rectified numbers that a channel mix's value matrix reads.
//
// Weights of Q8_0 whose input is rectified are kept in *lines*: the codes of one input in 64 rows, one line of the
// cache, so that an input that is zero is not read.  A unit holds 32 inputs: 64 scales, then 32 lines.  Lines that are
// read are woven, four inputs at a time, into the vectors that dot8 takes.  Sums inside a run are exact integers, and a
// run without any input would add zero, so the bits are those of the whole product.
//
// Byte 16 l + 4 v + i of a line is row 16 v + 4 l + i: weaving then leaves the rows in order.
//
// An instruction set provides, besides what integers.inl needs:
//   weave(a, b, c, d, out)   vector v of four: bytes 4 W v' .. of a, b, c and d in turn, each quarter of 128 bits alone

namespace rookery {
namespace {

constexpr int kLineScales = 2 * kLineRows;                        // bytes before the lines of a unit
constexpr int kLineUnit = kLineScales + 32 * kLineRows;           // bytes of a unit
constexpr int kLinesAhead = 136;                                  // lines asked for ahead of their use: 8.5 KiB
constexpr int kWholeAhead = 4096;                                 // bytes, when all lines are read
constexpr int kLinePanel = 8;                                     // units woven at a time for many tokens

// Whether each tile reads lines for itself and skips what all of its tokens may: one tile, or where small tiles take
// longer than memory does.
inline bool by_tile(int count) {
  return kIntTokens <= 2 ? count <= 8 : count == 1 || count == 2 || count == 4;
}

// From how many twentieths of the inputs on skipping no longer pays: single lines arrive at half the speed of a stream.
constexpr int too_many(int tokens) { return 10 - tokens / 2; }

// A run that is read: `quads` times four lines.
template <int T>
struct ReadRun {
  int32_t quads;
  int32_t bias[T];
  float scale[T];
};

// What is read of every group of 64 rows: for each run two lines of scales, then its lines in fours.
template <int T>
struct Reading {
  int32_t* line;       // offsets, kLinesAhead of the next group after the last
  int32_t (*four)[T];  // the inputs of each four lines
  ReadRun<T>* run;
  int runs, lines;
};

// Bit k: input k of a block is not zero in some token.
template <int T>
inline uint32_t alive(const Inputs<T>& x) {
  constexpr uint64_t kLow = 0x7f7f7f7f7f7f7f7f, kGather = 0x0102040810204080;
  uint32_t mask = 0;
  for (int i = 0; i < 4; ++i) {
    uint64_t eight = 0;
    for (int t = 0; t < T; ++t) {
      uint32_t lower, upper;
      __builtin_memcpy(&lower, x.code[2 * i][t], 4);
      __builtin_memcpy(&upper, x.code[2 * i + 1][t], 4);
      eight |= lower | uint64_t(upper) << 32;
    }
    const uint64_t tops = ((eight & kLow) + kLow | eight) & ~kLow;  // the top bit of every byte that is not zero
    mask |= uint32_t((tops >> 7) * kGather >> 56) << (8 * i);
  }
  return mask;
}

template <int T>
inline bool lost(const Inputs<T>& x) {
  bool any = false;
  for (int t = 0; t < T; ++t) any |= x.scale[t] != x.scale[t];  // NaN has no codes but must not vanish
  return any;
}

inline int ones(uint32_t bits) {  // the builtin is a call where the processor lacks the instruction
  bits -= bits >> 1 & 0x55555555;
  bits = (bits & 0x33333333) + (bits >> 2 & 0x33333333);
  return int((((bits + (bits >> 4)) & 0x0f0f0f0fu) * 0x01010101u) >> 24);
}

template <int T>
bool worth_skipping(const Inputs<T>* x, int blocks) {
  int count = 0;
  for (int b = 0; b < blocks; ++b) count += ones(alive(x[b]));
  return count * 20 < blocks * 32 * too_many(T);
}

template <int T>
void note_run(const Inputs<T>& x, int32_t unit, uint32_t mask, Reading<T>& r, int& fours) {
  ReadRun<T>& run = r.run[r.runs++];
  r.line[r.lines++] = unit;
  r.line[r.lines++] = unit + 64;
  for (run.quads = 0; mask != 0; ++run.quads, ++fours) {
    int k = 0;
    for (int t = 0; t < T; ++t) r.four[fours][t] = 0;
    for (int place = 0; place < 4; ++place) {
      const bool real = mask != 0;  // else the last line once more, times zero
      if (real) k = __builtin_ctz(mask), mask &= mask - 1;
      r.line[r.lines++] = unit + kLineScales + k * kLineRows;
      for (int t = 0; real && t < T; ++t)
        r.four[fours][t] |= int32_t(uint32_t(uint8_t(x.code[k / 4][t][k % 4])) << (8 * place));
    }
  }
  for (int t = 0; t < T; ++t) {
    run.bias[t] = kDot8Bias * x.minus[2][t];
    run.scale[t] = x.scale[t];
  }
}

template <int T>
Reading<T> choose_lines(const Inputs<T>* x, int blocks, float* scratch) {
  Reading<T> r{};
  r.run = reinterpret_cast<ReadRun<T>*>(scratch);
  r.four = reinterpret_cast<int32_t(*)[T]>(r.run + blocks);
  r.line = reinterpret_cast<int32_t*>(r.four + blocks * 8);
  int fours = 0;
  for (int b = 0; b < blocks; ++b) {
    const uint32_t mask = alive(x[b]);
    if (mask != 0 || lost(x[b])) note_run(x[b], b * kLineUnit, mask, r, fours);
  }
  for (int i = 0; r.lines > 0 && i < kLinesAhead; ++i)
    r.line[r.lines + i] = r.line[i % r.lines] + blocks * kLineUnit;
  return r;
}

// Adds a run's sums, times its scales, to acc[T][64] for the rows of one step.
template <int T>
inline void add_run(const vi (&d)[T][4], const uint8_t* scales, const float* by, int step, float* acc) {
  for (int v = 0; v < 4; ++v) {
    const int row = 16 * v + W * step;
    const vf s = load_f16(reinterpret_cast<const uint16_t*>(scales) + row);
    for (int t = 0; t < T; ++t) {
      float* to = acc + t * kLineRows + row;
      store(to, load(to) + __builtin_convertvector(d[t][v], vf) * (s * by[t]));
    }
  }
}

// Adds to d what four lines contribute; x: for each token its four inputs.
template <int T, class X>
inline void add_four(vi (&d)[T][4], const uint8_t* const (&line)[4], const X& x) {
  vi codes[4];
  weave(line[0], line[1], line[2], line[3], codes);
  for (int t = 0; t < T; ++t) {
    int four;
    __builtin_memcpy(&four, &x[t], 4);
    const vi xs = splat_int(four);
    for (int v = 0; v < 4; ++v) d[t][v] = dot8(d[t][v], codes[v], xs);
  }
}

// Adds what is read of one group of 64 rows to acc[T][64].
template <int T>
void some_lines(const uint8_t* p, const Reading<T>& r, float* acc) {
  const int32_t* line = r.line;
  const int32_t(*four)[T] = r.four;
  for (const ReadRun<T>*run = r.run, *end = run + r.runs; run != end; ++run) {
    const uint8_t* scales = p + line[0];
    for (int i = 0; i < 2; ++i) __builtin_prefetch(p + line[kLinesAhead + i]);
    line += 2;
    for (int step = 0; step < 16 / W; ++step) {
      const uint8_t* from = p + 4 * W * step;
      vi d[T][4];
      for (int t = 0; t < T; ++t)
        for (int v = 0; v < 4; ++v) d[t][v] = splat_int(run->bias[t]);
      for (int q = 0; q < run->quads; ++q) {
        const int32_t* at = line + 4 * q;
        for (int i = 0; step == 0 && i < 4; ++i) __builtin_prefetch(p + at[kLinesAhead + i]);
        add_four<T>(d, {from + at[0], from + at[1], from + at[2], from + at[3]}, four[q]);
      }
      add_run<T>(d, scales, run->scale, step, acc);
    }
    line += 4 * run->quads;
    four += run->quads;
  }
}

// The same when all lines are read.
template <int T>
void all_lines(const uint8_t* p, const Inputs<T>* x, int blocks, float* acc) {
  for (int b = 0; b < blocks; ++b, ++x, p += kLineUnit) {
    ask_for<kLineScales>(p + kWholeAhead);
    for (int step = 0; step < 16 / W; ++step) {
      const uint8_t* from = p + kLineScales + 4 * W * step;
      vi d[T][4];
      for (int t = 0; t < T; ++t)
        for (int v = 0; v < 4; ++v) d[t][v] = splat_int(kDot8Bias * x->minus[2][t]);
      for (int j = 0; j < 8; ++j, from += 4 * kLineRows) {
        if (step == 0) ask_for<4 * kLineRows>(from + kWholeAhead);
        add_four<T>(d, {from, from + kLineRows, from + 2 * kLineRows, from + 3 * kLineRows}, x->code[j]);
      }
      add_run<T>(d, p, x->scale, step, acc);
    }
  }
}

struct LineTile {
  const Mat& w;
  const uint8_t* x;
  const Tokens& to;
  int g0, g1;
  float* scratch;
  template <int T>
  void operator()(int t) {
    const int blocks = w.cols / 32;
    const Inputs<T>* in = reinterpret_cast<const Inputs<T>*>(x + size_t(t) * blocks * sizeof(Inputs<1>));
    float* acc = scratch;
    const bool skip = worth_skipping(in, blocks);
    const Reading<T> r = skip ? choose_lines(in, blocks, scratch + T * kLineRows) : Reading<T>{};
    for (int g = g0; g < g1; g += 2) {
      for (int i = 0; i < T * kLineRows; i += W) store(acc + i, vf{});
      const uint8_t* p = w.data + size_t(g - w.first) * w.group_bytes;
      skip ? some_lines(p, r, acc) : all_lines(p, in, blocks, acc);
      const int o = g * kGroup, rest = (w.rows < g1 * kGroup ? w.rows : g1 * kGroup) - o;
      const int rows = rest < kLineRows ? rest : kLineRows;
      for (int i = 0; i < T; ++i) __builtin_memcpy(to.y + (t + i) * to.ldy + o, acc + i * kLineRows, rows * 4);
    }
  }
};

using Woven = Unfolded<Q8>;

// A unit as two unfolded units of Q8, `apart` bytes from each other.
void weave_unit(const uint8_t* p, uint8_t* out, size_t apart) {
  for (int half = 0; half < 2; ++half) half_scales(p + half * 64, reinterpret_cast<float*>(out + half * apart));
  p += kLineScales;
  for (int j = 0; j < 8; ++j, p += 4 * kLineRows)
    for (int step = 0; step < 16 / W; ++step) {
      const uint8_t* from = p + 4 * W * step;
      vi codes[4];
      weave(from, from + kLineRows, from + 2 * kLineRows, from + 3 * kLineRows, codes);
      for (int v = 0; v < 4; ++v) {
        const int row = 16 * v + W * step;
        __builtin_memcpy(out + row / kGroup * apart + Woven::kScales + j * 128 + row % kGroup * 4, &codes[v], sizeof(vi));
      }
    }
}

// Asks for a share of the next panel before every tile: all at once would keep the processor waiting.
struct WovenTiles {
  IntTiles<Woven> tiles;
  const uint8_t*& next;
  int lines;
  template <int T>
  void operator()(int t) {
    for (int i = 0; i < lines; ++i, next += 64) __builtin_prefetch(next);
    tiles.template operator()<T>(t);
  }
};

// Many tokens: a few units are woven once for all of them.
void lines_for_many(const Mat& w, const uint8_t* x, const Tokens& to, int g0, int g1, float* scratch) {
  const int blocks = w.cols / 32, count = to.count;
  constexpr size_t kApart = size_t(kLinePanel) * Woven::kBytes;
  const int share = kLinePanel * kLineUnit / 64 / (2 * (count / kIntTokens + 1)) + 1;
  uint8_t* panel = reinterpret_cast<uint8_t*>(scratch + size_t(count) * kLineRows);
  for (int g = g0; g < g1; g += 2) {
    const uint8_t* p = w.data + size_t(g - w.first) * w.group_bytes;
    for (size_t i = 0; i < size_t(count) * kLineRows; i += W) store(scratch + i, vf{});
    for (int b = 0; b < blocks; b += kLinePanel) {
      const int units = blocks - b < kLinePanel ? blocks - b : kLinePanel;
      for (int i = 0; i < units; ++i, p += kLineUnit) weave_unit(p, panel + i * Woven::kBytes, kApart);
      const uint8_t* next = p;
      for (int half = 0; half < 2; ++half)
        for_int_tiles(count, WovenTiles{{panel + half * kApart, x, blocks, b, units,
                                         scratch + size_t(half) * count * kGroup}, next, share});
    }
    for (int half = 0; half < 2 && g + half < g1; ++half) {
      const int o = (g + half) * kGroup, rows = w.rows - o < kGroup ? w.rows - o : kGroup;
      const float* acc = scratch + size_t(half) * count * kGroup;
      for (int t = 0; t < count; ++t) __builtin_memcpy(to.y + t * to.ldy + o, acc + size_t(t) * kGroup, rows * 4);
    }
  }
}

// x: the inputs as `round` leaves them.
void linear_lines(const Mat& w, const uint8_t* x, const Tokens& to, int g0, int g1, float* scratch) {
  if (by_tile(to.count)) return for_int_tiles(to.count, LineTile{w, x, to, g0, g1, scratch});
  lines_for_many(w, x, to, g0, g1, scratch);
}

}  // namespace
}  // namespace rookery
