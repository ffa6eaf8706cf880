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
constexpr int kLinePanel = 4;                                     // units woven at a time for many tokens

// Whether one tile holds all tokens: they then skip together what all of them may.  More have little in common.
inline bool one_tile(int count) { return count <= kIntTokens && (count == 1 || count == 2 || count == 4); }

// From how many inputs on, in twentieths, skipping no longer pays: single lines arrive at half the speed of a stream.
constexpr int kTooMany = 9;

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
  uint32_t mask = 0;
  for (int j = 0; j < 8; ++j)
    for (int t = 0; t < T; ++t)
      for (int k = 0; k < 4; ++k) mask |= uint32_t(x.code[j][t][k] != 0) << (4 * j + k);
  return mask;
}

template <int T>
inline bool lost(const Inputs<T>& x) {
  bool any = false;
  for (int t = 0; t < T; ++t) any |= x.scale[t] != x.scale[t];  // NaN has no codes but must not vanish
  return any;
}

template <int T>
bool worth_skipping(const Inputs<T>* x, int blocks) {
  int count = 0;
  for (int b = 0; b < blocks; ++b) count += __builtin_popcount(alive(x[b]));
  return count * 20 < blocks * 32 * kTooMany;
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

// skip: leave out what is zero; else everything is read.
template <int T>
Reading<T> choose_lines(const Inputs<T>* x, int blocks, bool skip, float* scratch) {
  Reading<T> r{};
  r.run = reinterpret_cast<ReadRun<T>*>(scratch);
  r.four = reinterpret_cast<int32_t(*)[T]>(r.run + blocks);
  r.line = reinterpret_cast<int32_t*>(r.four + blocks * 8);
  int fours = 0;
  for (int b = 0; b < blocks; ++b) {
    const uint32_t mask = skip ? alive(x[b]) : ~0u;
    if (mask != 0 || lost(x[b])) note_run(x[b], b * kLineUnit, mask, r, fours);
  }
  for (int i = 0; r.lines > 0 && i < kLinesAhead; ++i)
    r.line[r.lines + i] = r.line[i % r.lines] + blocks * kLineUnit;
  return r;
}

// Adds what is read of one group to acc[T][64].
template <int T>
void add_lines(const uint8_t* p, const Reading<T>& r, float* acc) {
  const int32_t* line = r.line;
  const int32_t(*four)[T] = r.four;
  for (const ReadRun<T>*run = r.run, *end = run + r.runs; run != end; ++run) {
    const uint8_t* scales = p + line[0];
    for (int i = 0; i < 2; ++i) __builtin_prefetch(p + line[kLinesAhead + i]);
    line += 2;
    for (int step = 0; step < 16 / W; ++step) {
      vi d[T][4];
      for (int t = 0; t < T; ++t)
        for (int v = 0; v < 4; ++v) d[t][v] = splat_int(run->bias[t]);
      for (int q = 0; q < run->quads; ++q) {
        const int32_t* at = line + 4 * q;
        if (step == 0)
          for (int i = 0; i < 4; ++i) __builtin_prefetch(p + at[kLinesAhead + i]);
        vi codes[4];
        const uint8_t* from = p + 4 * W * step;
        weave(from + at[0], from + at[1], from + at[2], from + at[3], codes);
        for (int t = 0; t < T; ++t) {
          const vi xs = splat_int(four[q][t]);
          for (int v = 0; v < 4; ++v) d[t][v] = dot8(d[t][v], codes[v], xs);
        }
      }
      for (int v = 0; v < 4; ++v) {
        const int row = 16 * v + W * step;
        const vf s = load_f16(reinterpret_cast<const uint16_t*>(scales) + row);
        for (int t = 0; t < T; ++t) {
          float* to = acc + t * kLineRows + row;
          store(to, load(to) + __builtin_convertvector(d[t][v], vf) * (s * run->scale[t]));
        }
      }
    }
    line += 4 * run->quads;
    four += run->quads;
  }
}

struct LineTile {
  const Mat& w;
  const uint8_t* x;
  float* y;
  size_t ldy;
  int g0, g1;
  float* scratch;
  template <int T>
  void operator()(int t) {
    const Inputs<T>* in = reinterpret_cast<const Inputs<T>*>(x);
    const int blocks = w.cols / 32;
    float* acc = scratch;
    const Reading<T> r = choose_lines(in, blocks, worth_skipping(in, blocks), scratch + T * kLineRows);
    for (int g = g0; g < g1; g += 2) {
      for (int i = 0; i < T * kLineRows; i += W) store(acc + i, vf{});
      add_lines(w.data + size_t(g - w.first) * w.group_bytes, r, acc);
      const int o = g * kGroup, rest = (w.rows < g1 * kGroup ? w.rows : g1 * kGroup) - o;
      const int rows = rest < kLineRows ? rest : kLineRows;
      for (int i = 0; i < T; ++i) __builtin_memcpy(y + (t + i) * ldy + o, acc + i * kLineRows, rows * 4);
    }
  }
};

// A unit as two units of Q8, `apart` bytes from each other.
void weave_unit(const uint8_t* p, uint8_t* out, size_t apart) {
  for (int half = 0; half < 2; ++half) __builtin_memcpy(out + half * apart, p + half * 64, 64);
  p += kLineScales;
  for (int j = 0; j < 8; ++j, p += 4 * kLineRows)
    for (int step = 0; step < 16 / W; ++step) {
      const uint8_t* from = p + 4 * W * step;
      vi codes[4];
      weave(from, from + kLineRows, from + 2 * kLineRows, from + 3 * kLineRows, codes);
      for (int v = 0; v < 4; ++v) {
        const int row = 16 * v + W * step;
        __builtin_memcpy(out + row / kGroup * apart + 64 + j * 128 + row % kGroup * 4, &codes[v], sizeof(vi));
      }
    }
}

// Many tokens: a few units are woven once for all of them.
void lines_for_many(const Mat& w, const uint8_t* x, float* y, size_t ldy, int count, int g0, int g1, float* scratch) {
  const int blocks = w.cols / 32;
  constexpr size_t kApart = size_t(kLinePanel) * Q8::kBytes;
  uint8_t* panel = reinterpret_cast<uint8_t*>(scratch + size_t(count) * kLineRows);
  for (int g = g0; g < g1; g += 2) {
    const uint8_t* p = w.data + size_t(g - w.first) * w.group_bytes;
    for (size_t i = 0; i < size_t(count) * kLineRows; i += W) store(scratch + i, vf{});
    for (int b = 0; b < blocks; b += kLinePanel) {
      const int units = blocks - b < kLinePanel ? blocks - b : kLinePanel;
      for (int i = 0; i < units; ++i, p += kLineUnit) {
        ask_for<kLineUnit>(p + kLinePanel * kLineUnit);
        weave_unit(p, panel + i * Q8::kBytes, kApart);
      }
      for (int half = 0; half < 2; ++half)
        for_int_tiles(count, IntTiles<Q8>{panel + half * kApart, x, blocks, b, units, scratch + size_t(half) * count * kGroup});
    }
    for (int half = 0; half < 2 && g + half < g1; ++half) {
      const int o = (g + half) * kGroup, rows = w.rows - o < kGroup ? w.rows - o : kGroup;
      const float* acc = scratch + size_t(half) * count * kGroup;
      for (int t = 0; t < count; ++t) __builtin_memcpy(y + t * ldy + o, acc + size_t(t) * kGroup, rows * 4);
    }
  }
}

// x: the inputs as round_inputs leaves them.
void linear_lines(const Mat& w, const uint8_t* x, float* y, size_t ldy, int count, int g0, int g1, float* scratch) {
  if (one_tile(count)) return for_int_tiles(count, LineTile{w, x, y, ldy, g0, g1, scratch});
  lines_for_many(w, x, y, ldy, count, g0, g1, scratch);
}

}  // namespace
}  // namespace rookery
