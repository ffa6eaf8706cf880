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

}  // namespace rookery
