// RWKV-4's recurrence, part of wkv.inl.
//
// The state's sums A (numerator) and B (denominator) are kept as a = A e^-p and b = B e^-p.  One row:
//
//   y = (a e^{p-q} + v e^{u+k-q}) / (b e^{p-q} + e^{u+k-q})     q = max(p, u + k)
//   a <- a e^{p+w-q} + v e^{k-q}    b <- b e^{p+w-q} + e^{k-q}   p <- q = max(p + w, k)
//
// Backward, exact for every function of the outputs and the final state, p among it.  Whatever depends on A and B only
// has the gradient dp = a da + b db, since a e^p and b e^p do not change along (a, b, p) -> (a e^-x, b e^-x, p + x).  So
// what is carried back is da, db and the rest, e = dp - a da - b db: zero for such functions, and otherwise a gradient
// of the maximum, which goes to the larger of p + w and k (halves where they are equal, as torch has it).  Thus no two
// large numbers have to cancel.  With E = e^{p+w-q} and F = e^{k-q} of the row's update, and the same of its output:
//
//   db += db' E        dv += da' F    dk += (v da' + db') F + e' [k larger]
//   da += da' E        dw += (a da' + b db') E + e' [p + w larger]           e = e' [p + w larger]
//
//   dn = dy / denominator, dd = -dn y:
//   da += dn E    db += dd E    dv += dn F    du, dk += (v dn + dd) F

namespace rookery {
namespace {

struct Four {  // a vector of channels
  vf a, b, p;

  inline void take(const float* s) {
    a = load(s), b = load(s + kWkvChannels), p = load(s + 2 * kWkvChannels);
  }
  inline void give(float* s) const {
    store(s, a), store(s + kWkvChannels, b), store(s + 2 * kWkvChannels, p);
  }
};

// The weights of what was and what is new, and their shared exponent.
struct Mix {
  vf old, now, q;
  inline Mix(vf before, vf after) {
    q = before > after ? before : after;
    old = exp_(before - q), now = exp_(after - q);
  }
};

void forward4(const WkvRows& rows, float* state, float* y) {
  constexpr int n = kWkvChannels;
  for (int c = 0; c < n; c += W) {
    const vf w = load(rows.w + c), u = load(rows.u + c);
    Four s;
    s.take(state + c);
    for (int t = 0; t < rows.count; ++t) {
      const float* x = rows.x + size_t(t) * 3 * n + c;
      const vf k = load(x), v = load(x + n);
      const Mix out(s.p, u + k), next(s.p + w, k);
      store(y + size_t(t) * n + c, (out.old * s.a + out.now * v) / (out.old * s.b + out.now));
      s.a = next.old * s.a + next.now * v, s.b = next.old * s.b + next.now, s.p = next.q;
    }
    s.give(state + c);
  }
}

// What the way back needs of a row.
struct Past4 {
  vf a, b, old, now, next_old, next_now, kept;  // kept: 1 where p + w is the larger, 1/2 where both are equal
};

inline Past4 step4(Four& s, vf w, vf u, vf k, vf v) {
  const Mix out(s.p, u + k), next(s.p + w, k);
  const vf larger = s.p + w;
  const vf kept = larger > k ? splat(1.0f) : larger < k ? splat(0.0f) : splat(0.5f);
  const Past4 past{s.a, s.b, out.old, out.now, next.old, next.now, kept};
  s.a = next.old * s.a + next.now * v, s.b = next.old * s.b + next.now, s.p = next.q;
  return past;
}

// Gradients of a vector of channels that all rows share, and of the state: da, db and e.
struct Back4 {
  vf a, b, rest, w, u;
};

inline void back4(Back4& g, const Past4& past, const float* x, float* dx) {
  constexpr int n = kWkvChannels;
  const vf v = load(x + n), dy = load(x + 2 * n);
  const vf a = g.a * past.next_old, b = g.b * past.next_old, kept = g.rest * past.kept;
  const vf fresh = (v * g.a + g.b) * past.next_now + (g.rest - kept);
  const vf below = past.old * past.b + past.now, y = (past.old * past.a + past.now * v) / below;
  const vf dn = dy / below, dd = -dn * y, bonus = dn * (v - y) * past.now;
  g.w += past.a * a + past.b * b + kept;
  g.u += bonus;
  store(dx, fresh + bonus);
  store(dx + n, g.a * past.next_now + dn * past.now);
  g.a = a + dn * past.old, g.b = b + dd * past.old, g.rest = kept;
}

void backward4(const WkvRows& rows, const float* state, float* ds, const WkvGradients& to, float* scratch) {
  constexpr int n = kWkvChannels;
  constexpr int kPast = sizeof(Past4) / sizeof(float);
  for (int c = 0; c < n; c += W) {
    const vf w = load(rows.w + c), u = load(rows.u + c);
    Four s, g;
    s.take(state + c);
    const vf a = s.a, b = s.b;
    for (int t = 0; t < rows.count; ++t) {
      const float* x = rows.x + size_t(t) * 3 * n + c;
      const Past4 past = step4(s, w, u, load(x), load(x + n));
      __builtin_memcpy(scratch + t * kPast, &past, sizeof past);
    }
    g.take(ds + c);
    Back4 back{g.a, g.b, g.p - s.a * g.a - s.b * g.b, load(to.dw + c), load(to.du + c)};
    for (int t = rows.count - 1; t >= 0; --t) {
      Past4 past;
      __builtin_memcpy(&past, scratch + t * kPast, sizeof past);
      back4(back, past, rows.x + size_t(t) * 3 * n + c, to.dx + size_t(t) * 2 * n + c);
    }
    store(to.dw + c, back.w), store(to.du + c, back.u);
    Four{back.a, back.b, back.rest + a * back.a + b * back.b}.give(ds + c);
  }
}

}  // namespace
}  // namespace rookery
