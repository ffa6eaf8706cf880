// Passes over a whole row of logits.
//
// Only + - * / and comparisons, in a fixed order: the results are the same bits on every platform
// (the file is compiled without contraction to fused multiply-add).
#pragma once

namespace rookery {

// More than this many nats below the maximum, a token has probability 0: e^-87 is about the smallest normal float.
constexpr float kFloorNats = 87.0f;

// The position of the first NaN or +infinity, or n.
int first_bad(const float* x, int n);

// The largest of x; -infinity for an empty row.  x holds no NaN.
float largest(const float* x, int n);

// x[i] <- (x[i] - shift) / scale.
void standardise(float* x, int n, float shift, float scale);

// e^(x - shift) in float32, relative error below 2e-7, for x <= shift; 0 below -kFloorNats.
float exponential(float x, float shift);

// p[i] = exponential(x[i], shift); returns their sum, accumulated in double.
double exponentials(const float* x, int n, float shift, float* p);

// The same sum without keeping the terms.
double sum_of_exponentials(const float* x, int n, float shift);

}  // namespace rookery
