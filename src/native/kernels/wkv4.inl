// RWKV-4's recurrence, part of wkv.inl.
//
// The state's sums A (numerator) and B (denominator) are kept as a = A e^-p and b = B e^-p.  One row:
//
//   y = (O a + N v) / (O b + N)            O = e^{p-q}, N = e^{u+k-q}, q = max(p, u + k)
//   a' = E a + F v, b' = E b + F, p' = q   E = e^{p+w-q}, F = e^{k-q}, q = max(p + w, k)
//
// Of the sums in exponents the rounding error is kept too: a state that decays slowly adds w thousands of times.  The
// exponent is the sum of two numbers within a segment; at its end the smaller one, x, goes into a e^x and b e^x.
//
// Backward, exact for every function of the outputs and the final state, p among it.  Two differences of almost equal
// numbers are never formed:
//
// - Whatever depends on A and B only has dp = a da + b db, since nothing changes along (a e^-x, b e^-x, p + x).  So what
//   is carried back is not dp but e = dp - a da - b db, zero for such functions, otherwise a gradient of the maximum:
//   it goes to the larger of p + w and k, halves where they are equal, as torch has it.
// - Averages hardly move: a da almost cancels b db.  With the average m = a / b, what is carried is h = db + m da, so
//   that a da + b db = b h; averages follow from differences, m' = m + (v - m) F / b' and y = m + (v - m) N / (O b + N).
//
//   of the update, from da', h', e'                     of the output, with n = dy / (O b + N)
//   da  = E da'                                         da += n O
//   h   = E (h' - (m' - m) da')                         h  -= n O (y - m)
//   dw += b h + e' [p + w larger]
//   dk  = F (h' + (v - m') da') + e' [k larger]         dk, du += n N (v - y)
//   dv  = F da'                                         dv += n N
//   e   = e' [p + w larger]

namespace rookery {
namespace {

// x + y and what rounding lost.
struct Sum {
  vf high, low;
  inline explicit Sum(vf x) : high(x), low(vf{}) {}
  inline Sum(vf x, vf y) {
    high = x + y;
    const vf moved = high - x;
    low = (x - (high - moved)) + (y - moved);
  }
  inline Sum plus(vf x) const {
    const Sum sum(high, x);
    return Sum(sum.high, sum.low + low);
  }
};

// The weights of what was and what is new, and their shared exponent: the larger of both.
struct Mix {
  vf was, now;
  Sum q;
  inline Mix(const Sum& x, const Sum& y) : was(less(x, y)), now(less(y, x)), q(x) {
    q.high = x.high > y.high ? x.high : y.high, q.low = x.high > y.high ? x.low : y.low;
  }
  // e^{x - y}, or 1 where x is the larger.
  static inline vf less(const Sum& x, const Sum& y) {
    const Sum apart(x.high, -y.high);
    const vf power = exp_(apart.high);
    return x.high > y.high ? splat(1.0f) : power + power * (apart.low + (x.low - y.low));
  }
};

inline Mix output4(const Sum& p, vf u, vf k) { return Mix(p, Sum(u, k)); }

struct State4 {  // of a vector of channels
  vf a, b;
  Sum p;

  inline explicit State4(const float* s)
      : a(load(s)), b(load(s + kWkvChannels)), p(load(s + 2 * kWkvChannels), load(s + 3 * kWkvChannels)) {}
  inline void give(float* s) const {
    store(s, a), store(s + kWkvChannels, b);
    store(s + 2 * kWkvChannels, p.high), store(s + 3 * kWkvChannels, p.low);
  }
};

void forward4(const WkvRows& rows, float* state, float* y) {
  constexpr int n = kWkvChannels;
  for (int c = 0; c < n; c += W) {
    const vf w = load(rows.w + c), u = load(rows.u + c);
    State4 s(state + c);
    for (int t = 0; t < rows.count; ++t) {
      const float* x = rows.x + size_t(t) * 3 * n + c;
      const vf k = load(x), v = load(x + n);
      const Mix out = output4(s.p, u, k), next(s.p.plus(w), Sum(k));
      store(y + size_t(t) * n + c, (out.was * s.a + out.now * v) / (out.was * s.b + out.now));
      s.a = next.was * s.a + next.now * v, s.b = next.was * s.b + next.now, s.p = next.q;
    }
    if (rows.last) s.a += s.a * s.p.low, s.b += s.b * s.p.low, s.p.low = vf{};
    s.give(state + c);
  }
}

// What the way back needs of a row.
struct Past4 {
  vf b, apart;      // before, and v - m
  vf was, now;      // O and N, over the output's denominator
  vf decay, fresh;  // E and F
  vf left, moved;   // v - m' and m' - m
  vf kept;          // [p + w larger]
};

// The state of the way there, with the average in the place of the numerator.
struct Mean4 {
  vf m, b;
  Sum p;

  inline Past4 step(vf w, vf u, vf k, vf v) {
    const Sum decayed = p.plus(w);
    const Mix out = output4(p, u, k), next(decayed, Sum(k));
    const vf below = 1.0f / (out.was * b + out.now), grown = next.was * b + next.now, apart = v - m;
    const vf kept = decayed.high > k ? splat(1.0f) : decayed.high < k ? splat(0.0f) : splat(0.5f);
    const Past4 past{b, apart, out.was * below, out.now * below, next.was, next.now, apart * (next.was * b / grown),
                     apart * (next.now / grown), kept};
    m += past.moved, b = grown, p = next.q;
    return past;
  }
};

// Gradients of the state, da, h and e, and of what all rows share.
struct Back4 {
  vf a, h, rest;
  Sum w, u;

  inline void step(const Past4& past, const float* x, float* dx) {
    constexpr int n = kWkvChannels;
    const vf dy = load(x + 2 * n);
    const vf mine = rest * past.kept;
    const vf bonus = dy * past.now * past.apart * (past.was * past.b);
    store(dx, past.fresh * (h + past.left * a) + (rest - mine) + bonus);
    store(dx + n, past.fresh * a + dy * past.now);
    h = past.decay * (h - past.moved * a);
    w = w.plus(past.b * h + mine);
    u = u.plus(bonus);
    a = past.decay * a + dy * past.was;
    h -= dy * past.was * (past.apart * past.now);
    rest = mine;
  }
};

void backward4(const WkvRows& rows, const float* state, float* ds, const WkvGradients& to, float* scratch) {
  constexpr int n = kWkvChannels, kPast = sizeof(Past4) / sizeof(float);
  for (int c = 0; c < n; c += W) {
    const vf w = load(rows.w + c), u = load(rows.u + c);
    const State4 before(state + c);
    // An empty state has no average.
    const vf mean = before.b == 0.0f ? vf{} : before.a / before.b;
    Mean4 s{mean, before.b, before.p};
    for (int t = 0; t < rows.count; ++t) {
      const float* x = rows.x + size_t(t) * 3 * n + c;
      const Past4 past = s.step(w, u, load(x), load(x + n));
      __builtin_memcpy(scratch + t * kPast, &past, sizeof past);
    }
    Back4 back{load(ds + c), load(ds + n + c), load(ds + 2 * n + c), Sum(load(to.dw + c)), Sum(load(to.du + c))};
    if (rows.last) {
      back.a += back.a * s.p.low, back.h += back.h * s.p.low;
      back.h += s.m * back.a, back.rest -= s.b * back.h;
    }
    for (int t = rows.count - 1; t >= 0; --t) {
      Past4 past;
      __builtin_memcpy(&past, scratch + t * kPast, sizeof past);
      back.step(past, rows.x + size_t(t) * 3 * n + c, to.dx + size_t(t) * 2 * n + c);
    }
    store(to.dw + c, back.w.high), store(to.du + c, back.u.high);
    if (rows.first) back.rest += before.b * back.h, back.h -= mean * back.a;
    store(ds + c, back.a), store(ds + n + c, back.h), store(ds + 2 * n + c, back.rest);
  }
}

}  // namespace
}  // namespace rookery
