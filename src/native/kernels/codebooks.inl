// Formats that GGUF does not have: codes that stand for entries of a codebook, and rows with a scale of their own.
//
// A struct with kHead has 32 float scales before the units of a group; they multiply the finished sums.  Codebooks hold
// bytes like any codes, so a code is looked up once per four inputs of a row and then behaves like the others.

namespace rookery {
namespace {

template <class F>
constexpr int head_bytes() {
  if constexpr (requires { F::kHead; })
    return F::kHead;
  else
    return 0;
}

// Sums of `count` tokens times the scales of the rows.
inline void scale_rows(const uint8_t* head, float* acc, int count) {
  for (int t = 0; t < count; ++t, acc += kGroup)
    for (int r = 0; r < kGroup; r += W) store(acc + r, load(acc + r) * load(reinterpret_cast<const float*>(head) + r));
}

struct Int8 {
  static constexpr int kSpan = 32, kRuns = 1, kBytes = 1024, kBias = kDot8Bias, kHead = 128;
  static constexpr bool kMin = false, kWide = true;
  static void scales(const uint8_t*, float* scale, float*) {
    for (int r = 0; r < kGroup; r += W) store(scale + r, splat(1.0f));
  }
  static vi codes(const uint8_t* p, int, int j, int r) { return load_int(p + j * 128 + r * 4); }
};

struct Nf4 {
  static constexpr int kSpan = 64, kRuns = 2, kBytes = 1088, kBias = kDot8Bias;
  static constexpr bool kMin = false, kWide = true;
  static void scales(const uint8_t* p, float* scale, float*) {
    for (int r = 0; r < kGroup; r += W) {
      const vf s = load_f16(reinterpret_cast<const uint16_t*>(p) + r) * (1 / kNf4Steps);
      store(scale + r, s);
      store(scale + kGroup + r, s);
    }
  }
  static vi codes(const uint8_t* p, int b, int j, int r) {
    return lookup16(kNf4Codes, nibbles(p + 64 + b * 512, j, r));
  }
};

// Four bytes of a row: the scales of two runs, then for each run which of two tables every four inputs use.
inline vf byte_scale(vi lanes, int run) {
  const vu byte = vu(lanes) >> (8 * run);
  return vf((((byte & 0x7fu) << 19) + 0x3f800000u) | (byte & 0x80u) << 24);
}

template <bool FIVE>
struct Paired {
  static constexpr int kBlock = FIVE ? 640 : 512;
  static constexpr int kSpan = 64, kRuns = 2, kBytes = 128 + 2 * kBlock, kBias = kBookBias, kHead = 128;
  static constexpr bool kMin = false, kWide = false;
  static constexpr bool kHardCodes = true;  // so hard that they are unfolded as soon as there are two tiles
  static void scales(const uint8_t* p, float* scale, float*) {
    for (int r = 0; r < kGroup; r += W)
      for (int run = 0; run < 2; ++run) store(scale + run * kGroup + r, byte_scale(load_int(p + 4 * r), run));
  }
  static vi codes(const uint8_t* p, int b, int j, int r) {
    const vi narrow = vi(vu(load_int(p + 4 * r)) << (15 - 8 * b - j));  // the bit of these four inputs on top
    p += 128 + b * kBlock;
    if constexpr (FIVE) {
      const vi c = nibbles(p + 128, j, r), upper = vi(vu(load_int(p + r * 4)) << (7 - j));
      return choose(narrow, lookup32(kC5[0], c, upper), lookup32(kC5[1], c, upper));
    }
    const vi c = nibbles(p, j, r);
    return choose(narrow, lookup16(kC4[0], c), lookup16(kC4[1], c));
  }
};

}  // namespace
}  // namespace rookery
