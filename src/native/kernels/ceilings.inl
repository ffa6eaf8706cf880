// What this instruction set's integer products cannot exceed.  Included by kernels.inl.

namespace rookery {
namespace {

// Says that a register may hold anything now, so that no product is computed in advance or only once.
#if defined(__x86_64__)
inline void unknown(vi& v) { asm volatile("" : "+x"(v)); }
#elif defined(__aarch64__)
inline void unknown(vi& v) { asm volatile("" : "+w"(v)); }
#else
inline void unknown(vi& v) { asm volatile("" : "+m"(v)); }
#endif

constexpr int kChains = W * 4 == 64 ? 12 : 10;  // more than two a cycle times a latency of four; they fit 16 registers

// `rounds` rounds of independent dot4 on registers.  Returns how many additions and multiplications those were.
int64_t peak(int rounds) {
  vi sums[kChains] = {}, codes = splat_int(0x01020304), x = splat_int(0x05fb07f9);
  for (int round = 0; round < rounds; ++round)
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) {
      unknown(x);
      sums[i] = dot4(sums[i], codes, x);
    }
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) unknown(sums[i]);
  return int64_t(rounds) * kChains * W * 4 * 2;
}

}  // namespace
}  // namespace rookery
