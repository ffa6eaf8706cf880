// What the codes of formats with a codebook stand for.  Constants only: the kernels include this too.
#pragma once
#include <cstdint>

namespace rookery {

// NormalFloat (Dettmers et al. 2023, "QLoRA", appendix E): quantiles of a normal distribution, the largest made 1.
constexpr float kNf4[16] = {-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
                            -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
                            0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
                            0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f};

// The same times kNf4Steps, as the kernels multiply it: bytes, 128 more than their value.  Of all factors that fit a
// byte this one leaves the smallest error, 0.0017 on average and 0.0039 at most, a twentieth of the format's own.
constexpr float kNf4Steps = 112.03f;
constexpr uint8_t kNf4Codes[16] = {16,  50,  69,  84,  96,  107, 118, 128, 137, 146, 156, 166, 177, 191, 209, 240};

// C4 and C5: a wide and a narrow table, 64 more than their values so that a byte shuffle gives what dot4 wants.  Lloyd's
// algorithm on gaussian, laplace and Student t numbers (2 : 1 : 1) in blocks of 32; both hold 0 exactly.
constexpr int kBookBias = 64;
constexpr uint8_t kC4[2][16] = {
    {0, 10, 20, 31, 39, 47, 54, 59, 64, 70, 76, 83, 91, 100, 108, 120},
    {26, 35, 41, 45, 50, 54, 58, 61, 64, 67, 71, 75, 79, 84, 88, 95}};
constexpr uint8_t kC5[2][32] = {
    {0, 6, 12, 18, 22, 26, 32, 36, 39, 43, 47, 50, 53, 56, 59, 62, 64, 67, 70, 73, 76, 80, 83, 87, 91, 95, 100,
      104, 109, 114, 120, 123},
    {28, 30, 34, 37, 40, 43, 45, 48, 50, 52, 54, 56, 58, 60, 61, 63, 64, 66, 68, 69, 71, 73, 75, 77, 79, 81, 84,
      86, 89, 92, 95, 98}};

}  // namespace rookery
