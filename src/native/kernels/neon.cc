// NEON with the dot products of ARMv8.2 (asimddp).
#include <arm_neon.h>

#include "table.h"

namespace rookery {
namespace {

constexpr int W = 4;
constexpr int kTokens = 2;  // 16 accumulators, 8 weights and an input of 32 registers
typedef float vf __attribute__((vector_size(16)));
typedef int vi __attribute__((vector_size(16)));

inline vf load_f16(const uint16_t* p) {
  return vf(vcvt_f32_f16(vld1_f16(reinterpret_cast<const __fp16*>(p))));
}
inline vf load_bf16(const uint16_t* p) { return vf(vshlq_n_u32(vmovl_u16(vld1_u16(p)), 16)); }
inline vf load_i8(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return vf(vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)))))));
}

constexpr int kRowVectors = 4;
constexpr int kIntTokens = 3;  // 12 integer and 12 float sums, 4 weights and a broadcast
constexpr int kDot8Bias = 0;

inline vi nearest(vf x) { return vi(vcvtnq_s32_f32(float32x4_t(x))); }
// sdot takes both sides with a sign: codes up to 127 are what they are.
inline vi dot4(vi acc, vi codes, vi x) { return vi(vdotq_s32(int32x4_t(acc), int8x16_t(codes), int8x16_t(x))); }
// Larger ones lose 128 when their top bit is flipped.
inline vi dot8(vi acc, vi codes, vi x) { return dot4(acc, codes ^ int(0x80808080u), x); }
inline void weave(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d, vi out[4]) {
  const uint8x16x2_t ab = vzipq_u8(vld1q_u8(a), vld1q_u8(b)), cd = vzipq_u8(vld1q_u8(c), vld1q_u8(d));
  for (int i = 0; i < 2; ++i) {
    const uint16x8x2_t four = vzipq_u16(vreinterpretq_u16_u8(ab.val[i]), vreinterpretq_u16_u8(cd.val[i]));
    out[2 * i] = vi(four.val[0]), out[2 * i + 1] = vi(four.val[1]);
  }
}
// For each byte of codes, 0..15, the byte of a table of 16; of 32, where the top bit of the byte of upper is set.
inline vi lookup16(const uint8_t* table, vi codes) { return vi(vqtbl1q_u8(vld1q_u8(table), uint8x16_t(codes))); }
inline vi lookup32(const uint8_t* table, vi codes, vi upper) {
  const uint8x16_t fifth = vshrq_n_u8(vandq_u8(uint8x16_t(upper), vdupq_n_u8(128)), 3);
  return vi(vqtbl2q_u8(vld1q_u8_x2(table), vorrq_u8(uint8x16_t(codes), fifth)));
}
inline vi choose(vi sign, vi positive, vi negative) { return sign < 0 ? negative : positive; }

}  // namespace
}  // namespace rookery

#include "kernels.inl"

const rookery::Kernels rookery::kNeon = ROOKERY_KERNELS("neon");
