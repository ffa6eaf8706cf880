// The random numbers of sampling: xoshiro256** (Blackman and Vigna), seeded through splitmix64.
// Integer arithmetic only, so a seed means the same stream on every platform.
#pragma once
#include <array>
#include <bit>
#include <cstdint>

namespace rookery {

class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) word = splitmix(seed);
  }

  uint64_t next() {
    auto& s = state_;
    const uint64_t out = std::rotl(s[1] * 5, 7) * 9;
    const uint64_t kept = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= kept;
    s[3] = std::rotl(s[3], 45);
    return out;
  }

  // In [0, 1), a multiple of 2^-53.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  static uint64_t splitmix(uint64_t& seed) {
    uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  std::array<uint64_t, 4> state_;
};

}  // namespace rookery
