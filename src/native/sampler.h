// Choosing the next token.
//
// Knows logits and ids; knows nothing of Python, text or models.  The result is a pure function of logits,
// settings, the tokens accepted so far and the state of the random numbers.  docs/sampling.md gives the formulas.
#pragma once
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "occurrences.h"
#include "random.h"

namespace rookery {

enum class Order { kRwkv, kUsual };

// Validated by whoever fills it in: ranges as in rookery.Sampler, ids inside the vocabulary.
struct SamplerSettings {
  Order order = Order::kRwkv;
  double temperature = 1, top_p = 1, min_p = 0, typical_p = 1;
  int top_k = 0;
  double presence_penalty = 0, frequency_penalty = 0, penalty_decay = 0.996;
  double repetition_penalty = 1;
  int repeat_last_n = 64;
  std::vector<std::pair<int, double>> logit_bias;
  std::vector<int> ban;
  std::vector<int> penalty_free;  // sorted; these enter the occurrence table with weight 0
  int logprobs = -1;              // alternatives to report; -1: report nothing

  bool greedy() const { return temperature == 0 || top_p == 0; }
  bool counts() const { return presence_penalty != 0 || frequency_penalty != 0; }
  bool repeats() const { return repetition_penalty != 1 && repeat_last_n > 0; }
};

// The logits hold NaN or +infinity, or nothing finite.
struct BadLogits : std::domain_error {
  using std::domain_error::domain_error;
};

// Bans and mask together leave no token.
struct NothingAllowed : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// Log-probabilities (nats) under the raw logits.
struct Logprobs {
  double chosen;
  std::vector<std::pair<int, double>> top;  // descending; equal ones by ascending id; never -infinity
};

class Sampler {
 public:
  Sampler(std::shared_ptr<const SamplerSettings> settings, int vocab, uint64_t seed);
  Sampler(const Sampler& other);  // the same continuation; scratch memory is not copied
  Sampler& operator=(const Sampler&) = delete;

  int vocab() const { return vocab_; }
  uint64_t seed() const { return seed_; }

  // Draws a token and accepts it.  logits: `vocab` floats.  allowed: null, or ceil(vocab / 32) words in which
  // bit i % 32 of word i / 32 allows token i.  Throws BadLogits or NothingAllowed, changing nothing.
  int sample(const float* logits, const uint32_t* allowed);

  // The probabilities `sample` would draw from, into `out` (`vocab` floats).  Changes nothing.
  void distribution(const float* logits, const uint32_t* allowed, float* out);

  // Log-probabilities of `id` and of the `top` likeliest tokens.
  Logprobs score(const float* logits, int id, int top) const;

  // Of the latest sampled token; empty unless the settings ask for it.
  const std::shared_ptr<const Logprobs>& logprobs() const { return logprobs_; }

  // Counts a token for the penalties, as sampling it would have done.
  void accept(int id);

  // Back to the start: no history, random numbers from `seed` again.
  void reset(uint64_t seed);
  void reseed(uint64_t seed);

 private:
  struct Scratch {
    std::vector<float> x, p;     // whole vocabulary: adjusted logits, e^(x - max)
    std::vector<int> ids;        // survivors, ascending
    std::vector<float> weights;  // of the survivors, not normalised
    std::vector<uint32_t> keys;  // of the survivors, for the filter at work
  };

  float adjust(const float* logits, const uint32_t* allowed);
  void penalise();
  void forbid(const uint32_t* allowed);
  [[noreturn]] void refuse(const uint32_t* allowed) const;

  void choose_greedily(float max);
  void filter(float max);
  void filter_rwkv(float max);
  void filter_usual(float max);
  double below_top_p(double sum) const;
  void gather(double floor);
  void keep_top_p(double mass);
  void keep_top_k();
  void keep_min_p();
  void keep_typical();
  void temper(float temperature);
  template <class Keep>
  void keep(Keep wanted);
  double total() const;
  void check(const float* logits) const;

  std::shared_ptr<const SamplerSettings> settings_;
  int vocab_;
  uint64_t seed_;
  Random random_;
  Occurrences occurrences_;
  Window window_;
  std::shared_ptr<const Logprobs> logprobs_;
  Scratch scratch_;
};

}  // namespace rookery
