#include "sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "cutoff.h"
#include "logits.h"

namespace rookery {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kLargest = std::numeric_limits<float>::max();

// Back to float32 without making an infinity of a finite number.
float narrow(double value) { return static_cast<float>(std::clamp(value, -kLargest, kLargest)); }

bool allows(const uint32_t* mask, int id) { return mask[id / 32] >> (id % 32) & 1; }

}  // namespace

Sampler::Sampler(std::shared_ptr<const SamplerSettings> settings, int vocab, uint64_t seed)
    : settings_(std::move(settings)), vocab_(vocab), seed_(seed), random_(seed), window_(settings_->repeat_last_n) {}

Sampler::Sampler(const Sampler& other)
    : settings_(other.settings_),
      vocab_(other.vocab_),
      seed_(other.seed_),
      random_(other.random_),
      occurrences_(other.occurrences_),
      window_(other.window_),
      logprobs_(other.logprobs_) {}

int Sampler::sample(const float* logits, const uint32_t* allowed) {
  filter(adjust(logits, allowed));
  const auto& [x, p, ids, weights, keys] = scratch_;  // no weight is 0
  int id = ids.back();
  if (ids.size() > 1) {
    double left = random_.uniform() * total();
    for (size_t i = 0; i < ids.size(); ++i) {
      left -= weights[i];
      if (left >= 0) continue;
      id = ids[i];
      break;
    }
  }
  logprobs_ = settings_->logprobs < 0 ? nullptr : std::make_shared<Logprobs>(score(logits, id, settings_->logprobs));
  accept(id);
  return id;
}

void Sampler::distribution(const float* logits, const uint32_t* allowed, float* out) {
  filter(adjust(logits, allowed));
  const double sum = total();
  std::fill(out, out + vocab_, 0.0f);
  for (size_t i = 0; i < scratch_.ids.size(); ++i)
    out[scratch_.ids[i]] = static_cast<float>(scratch_.weights[i] / sum);
}

Logprobs Sampler::score(const float* logits, int id, int top) const {
  check(logits);
  const float max = largest(logits, vocab_);
  const double log_sum = std::log(sum_of_exponentials(logits, vocab_, max));
  auto logprob = [&](int i) { return static_cast<double>(logits[i]) - max - log_sum; };
  auto before = [&](int a, int b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; };

  std::vector<int> best;  // a heap whose front is the least of the best
  const auto wanted = static_cast<size_t>(std::min(top, vocab_));
  best.reserve(wanted + 1);
  for (int i = 0; i < vocab_ && wanted > 0; ++i) {
    if (logits[i] == -kInfinity || (best.size() == wanted && !before(i, best.front()))) continue;
    best.push_back(i);
    std::push_heap(best.begin(), best.end(), before);
    if (best.size() <= wanted) continue;
    std::pop_heap(best.begin(), best.end(), before);
    best.pop_back();
  }
  std::sort_heap(best.begin(), best.end(), before);

  Logprobs out{logprob(id), {}};
  for (int i : best) out.top.emplace_back(i, logprob(i));
  return out;
}

void Sampler::accept(int id) {
  if (settings_->repeats()) window_.push(id);
  if (!settings_->counts()) return;
  const auto& free = settings_->penalty_free;
  occurrences_.decay(settings_->penalty_decay);
  occurrences_.add(id, std::binary_search(free.begin(), free.end(), id) ? 0.0 : 1.0);
}

void Sampler::reset(uint64_t seed) {
  occurrences_.clear();
  window_.clear();
  logprobs_ = nullptr;
  reseed(seed);
}

void Sampler::reseed(uint64_t seed) {
  seed_ = seed;
  random_ = Random(seed);
}

void Sampler::check(const float* logits) const {
  const int bad = first_bad(logits, vocab_);
  if (bad == vocab_) return;
  throw BadLogits("logit of token " + std::to_string(bad) + " is " + (std::isnan(logits[bad]) ? "NaN" : "+infinity") +
                  "; expected finite numbers or -infinity: the model or its weights are damaged");
}

// Fills scratch x with the logits after bias, bans, penalties and mask; returns their maximum.
float Sampler::adjust(const float* logits, const uint32_t* allowed) {
  check(logits);
  std::vector<float>& x = scratch_.x;
  x.assign(logits, logits + vocab_);
  for (auto [id, bias] : settings_->logit_bias)
    if (x[id] != -kInfinity) x[id] = narrow(x[id] + bias);
  penalise();
  forbid(allowed);
  const float max = largest(x.data(), vocab_);
  if (max == -kInfinity) refuse(allowed);
  return max;
}

void Sampler::penalise() {
  std::vector<float>& x = scratch_.x;
  const SamplerSettings& s = *settings_;
  for (auto [id, count] : window_.distinct())
    if (x[id] != -kInfinity) x[id] = narrow(x[id] > 0 ? x[id] / s.repetition_penalty : x[id] * s.repetition_penalty);
  for (auto [id, weight] : occurrences_.entries())
    if (x[id] != -kInfinity) x[id] = narrow(x[id] - (s.presence_penalty + weight * s.frequency_penalty));
}

void Sampler::forbid(const uint32_t* allowed) {
  std::vector<float>& x = scratch_.x;
  for (int id : settings_->ban) x[id] = -kInfinity;
  if (!allowed) return;
  for (int start = 0; start < vocab_; start += 32) {
    if (allowed[start / 32] == ~uint32_t{0}) continue;
    const int end = std::min(vocab_, start + 32);
    for (int id = start; id < end; ++id)
      if (!allows(allowed, id)) x[id] = -kInfinity;
  }
}

// Whose fault is it that nothing is left?
void Sampler::refuse(const uint32_t* allowed) const {
  std::vector<bool> open(static_cast<size_t>(vocab_));
  for (int id = 0; id < vocab_; ++id) open[id] = !allowed || allows(allowed, id);
  for (int id : settings_->ban) open[id] = false;
  for (int id = 0; id < vocab_; ++id)
    if (open[id])
      throw BadLogits("logits are -infinity for every token that may be chosen, token " + std::to_string(id) +
                      " being the first; expected at least one finite number");
  throw NothingAllowed("the mask of allowed tokens leaves none after the bans; expected at least one token");
}

// Leaves in scratch ids and weights the tokens that may be drawn.
void Sampler::filter(float max) {
  if (settings_->greedy()) return choose_greedily(max);
  if (settings_->order == Order::kRwkv) return filter_rwkv(max);
  filter_usual(max);
}

void Sampler::choose_greedily(float max) {
  const std::vector<float>& x = scratch_.x;
  scratch_.ids.assign(1, static_cast<int>(std::find(x.begin(), x.end(), max) - x.begin()));
  scratch_.weights.assign(1, 1.0f);
}

// Filters see the untempered probabilities; temperature comes last.
void Sampler::filter_rwkv(float max) {
  const SamplerSettings& s = *settings_;
  auto& [x, p, ids, weights, keys] = scratch_;
  standardise(x.data(), vocab_, max, 1.0f);
  p.resize(x.size());
  const double sum = exponentials(x.data(), vocab_, 0.0f, p.data());
  gather(std::max(below_top_p(sum), s.min_p));
  if (s.top_p < 1) keep_top_p(s.top_p * sum);
  keep_top_k();
  keep_min_p();
  keep_typical();
  if (s.temperature == 1) return;
  temper(static_cast<float>(s.temperature));
}

// p^(1/T), up to a factor, for the survivors; those that vanish go.
void Sampler::temper(float temperature) {
  auto& [x, p, ids, weights, keys] = scratch_;
  float max = -kInfinity;
  for (int id : ids) max = std::max(max, x[id]);  // typical_p may have removed the likeliest token
  for (size_t i = 0; i < ids.size(); ++i) weights[i] = exponential((x[ids[i]] - max) / temperature, 0.0f);
  keep([&weights = weights](size_t i) { return weights[i] > 0; });
}

// Temperature first; then each filter sees what the one before has left.
void Sampler::filter_usual(float max) {
  const SamplerSettings& s = *settings_;
  auto& [x, p, ids, weights, keys] = scratch_;
  standardise(x.data(), vocab_, max, static_cast<float>(s.temperature));
  p.resize(x.size());
  const double sum = exponentials(x.data(), vocab_, 0.0f, p.data());
  const bool top_p_is_first = s.top_k == 0 && s.typical_p >= 1;
  gather(top_p_is_first ? below_top_p(sum) : 0);
  keep_top_k();
  keep_typical();
  if (s.top_p < 1) keep_top_p(s.top_p * (top_p_is_first ? sum : total()));
  keep_min_p();
}

// A bound under the cut-off of top_p, to save work: all tokens below it together hold less than 1 - top_p of `sum`.
double Sampler::below_top_p(double sum) const {
  return 0.999 * (1 - settings_->top_p) * sum / vocab_;  // 0.999: room for rounding
}

// The survivors become the tokens with p > 0 and p >= floor.
void Sampler::gather(double floor) {
  auto& [x, p, ids, weights, keys] = scratch_;
  const float least = std::max(static_cast<float>(floor), std::numeric_limits<float>::min());
  ids.resize(p.size());
  size_t n = 0;
  for (int id = 0; id < vocab_; ++id) {
    ids[n] = id;
    n += p[id] >= least;  // no branch, as in `keep`
  }
  ids.resize(n);
  weights.resize(n);
  for (size_t i = 0; i < n; ++i) weights[i] = p[ids[i]];
}

// Survivor number i stays if wanted(i).
template <class Keep>
void Sampler::keep(Keep wanted) {
  auto& [x, p, ids, weights, keys] = scratch_;
  size_t n = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[n] = ids[i];
    weights[n] = weights[i];
    n += wanted(i);  // no branch: in a flat distribution about every second one stays
  }
  ids.resize(n);
  weights.resize(n);
}

double Sampler::total() const {
  double sum = 0;
  for (float weight : scratch_.weights) sum += weight;
  return sum;
}

// The likeliest tokens that together hold `mass`, and all that tie with the last of them.
void Sampler::keep_top_p(double mass) {
  auto& [x, p, ids, weights, keys] = scratch_;
  keys.resize(weights.size());
  std::transform(weights.begin(), weights.end(), keys.begin(), std::bit_cast<uint32_t, float>);
  const Cutoff cut = cut_off(keys, weights.data(), mass);
  keep([&, &keys = keys](size_t i) { return keys[i] >= cut.key; });
}

// Exactly k tokens: among those that tie at the end, the lowest ids.
void Sampler::keep_top_k() {
  auto& [x, p, ids, weights, keys] = scratch_;
  if (settings_->top_k == 0 || static_cast<size_t>(settings_->top_k) >= ids.size()) return;
  keys.resize(weights.size());
  std::transform(weights.begin(), weights.end(), keys.begin(), std::bit_cast<uint32_t, float>);
  const Cutoff cut = cut_off(keys, nullptr, settings_->top_k);
  int ties = settings_->top_k - static_cast<int>(cut.above);
  keep([&, &keys = keys](size_t i) { return keys[i] > cut.key || (keys[i] == cut.key && ties-- > 0); });
}

// Tokens at least min_p times as likely as the likeliest survivor.
void Sampler::keep_min_p() {
  if (settings_->min_p == 0) return;
  const auto& weights = scratch_.weights;
  const double least = settings_->min_p * *std::max_element(weights.begin(), weights.end());
  keep([&](size_t i) { return weights[i] >= least; });
}

// The tokens whose information is nearest to the entropy, until they hold typical_p of the mass.
// With x = log p + constant, information minus entropy is (mean of x under p) - x: the constant drops out.
void Sampler::keep_typical() {
  if (settings_->typical_p >= 1) return;
  auto& [x, p, ids, weights, keys] = scratch_;
  double sum = 0, mean = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    sum += weights[i];
    mean += weights[i] * static_cast<double>(x[ids[i]]);
  }
  mean /= sum;
  keys.resize(ids.size());
  for (size_t i = 0; i < ids.size(); ++i)  // complemented: the smallest distance has the greatest key
    keys[i] = ~std::bit_cast<uint32_t>(static_cast<float>(std::abs(mean - x[ids[i]])));
  const Cutoff cut = cut_off(keys, weights.data(), settings_->typical_p * sum);
  keep([&, &keys = keys](size_t i) { return keys[i] >= cut.key; });
}

}  // namespace rookery
