// What runs outside the kernels and must give the same everywhere: weight formats, sampler, vocabulary, threads.
#include <algorithm>
#include <atomic>
#include <cmath>

#include "check.h"
#include "company.h"
#include "encode.h"
#include "sampler.h"
#include "threads.h"
#include "trie.h"

namespace check {
namespace {

using namespace rookery;

void formats() {
  const int n = 1024;
  Floats x = Numbers(1).many(n, -2, 3), back(n);
  x[5] = 0, x[77] = 1e-30f, x[300] = 4000;
  std::vector<uint8_t> bytes(4 * n);
  for (int id = 0; id < 4096; ++id) {
    const Format format = static_cast<Format>(id);
    if (!known_format(id) || !can_encode(format)) continue;
    const size_t size = row_bytes(format, n);
    encode_row(format, x.data(), nullptr, nullptr, bytes.data(), n);
    digest("encoded-" + std::to_string(id), bytes.data(), size);
    decode_row(format, bytes.data(), back.data(), n);
    digest("decoded-" + std::to_string(id), back.data(), n * sizeof(float));
  }
}

void halves() {
  for (int bits = 0; bits < 65536; ++bits) {
    const float f = half_to_float(static_cast<uint16_t>(bits));
    if (std::isfinite(f)) expect(float_to_half(f) == bits, "fp16 there and back");
  }
}

void sampler() {
  const int vocab = 5000;
  SamplerSettings settings;
  settings.presence_penalty = 0.3, settings.frequency_penalty = 0.2, settings.temperature = 0.9;
  settings.top_p = 0.95, settings.min_p = 0.001, settings.typical_p = 0.97, settings.repetition_penalty = 1.1;
  for (Order order : {Order::kRwkv, Order::kUsual}) {
    settings.order = order;
    settings.typical_p = order == Order::kUsual ? 0.97 : 1;
    settings.top_k = order == Order::kUsual ? 400 : 0;
    Sampler chosen(std::make_shared<SamplerSettings>(settings), vocab, 42);
    const Floats logits = Numbers(9).many(vocab, -12, 12);
    std::vector<int> ids;
    for (int i = 0; i < 200; ++i) ids.push_back(chosen.sample(logits.data(), nullptr));
    digest(order == Order::kRwkv ? "sampled-rwkv" : "sampled-usual", ids.data(), ids.size() * sizeof(int));
    Floats p(vocab);
    chosen.distribution(logits.data(), nullptr, p.data());
    digest(order == Order::kRwkv ? "distribution-rwkv" : "distribution-usual", p.data(), p.size() * sizeof(float));
  }
}

void add_word(std::vector<uint8_t>& table, uint32_t id, const std::string& word) {
  for (uint32_t number : {id, static_cast<uint32_t>(word.size())})
    for (int i = 0; i < 4; ++i) table.push_back(static_cast<uint8_t>(number >> (8 * i)));
  table.insert(table.end(), word.begin(), word.end());
}

void vocabulary() {
  std::vector<uint8_t> table;
  for (uint32_t byte = 0; byte < 256; ++byte) add_word(table, byte, std::string(1, static_cast<char>(byte)));
  uint32_t id = 256;
  for (const char* word : {"the", "then", " raven", "\xe7\x83\x8f", "\xe7\x83\x8f\xe9\xb4\x89"})
    add_word(table, id++, word);
  const Trie trie{Bytes(table)};
  const std::string text = "then the raven \xe7\x83\x8f\xe9\xb4\x89\xe7\x83\x8f\xff thethen";
  const Bytes bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  Ids ids = trie.encode(bytes);
  const size_t count = ids.size();
  int32_t* data = ids.release();
  std::string back;
  for (size_t i = 0; i < count; ++i) {
    const Bytes token = trie.token(data[i]);
    back.append(token.begin(), token.end());
  }
  expect(back == text, "the tokens' bytes are the text");
  digest("tokens", data, count * sizeof(int32_t));
  std::free(data);
  const std::vector<uint8_t> packed = trie.pack();
  digest("packed-vocabulary", packed.data(), packed.size());
}

// Every thread reads what all wrote before the barrier.
void threads() {
  expect(usable_processors() >= 1, "there is a processor");
  Threads all(4);
  std::vector<int> written(4), wrong(4);
  for (int round = 1; round <= 200; ++round)
    all.run([&](int i) {
      written[i] = round;
      all.barrier().wait();
      for (int w : written) wrong[i] += w != round;
      all.barrier().wait();
    });
  expect(wrong == std::vector<int>(4), "threads meet");
}

// Alone after a trial in which waiting took longer than the others' work would have; then company again.
void company() {
  const int64_t ms = 1'000'000;
  Company two(2), four(4);
  two.together(30 * ms, 14 * ms);
  expect(!two.alone(), "two threads that wait for less than they work stay together");
  two.together(10 * ms, 9 * ms);
  expect(!two.alone(), "a short trial decides nothing");
  two.together(12 * ms, 6 * ms);
  four.together(30 * ms, 22 * ms);
  expect(two.alone() && !four.alone(), "who waits longer than the others' work takes does it alone");
  two.apart(199 * ms);
  expect(two.alone(), "not for a moment");
  two.apart(2 * ms);
  expect(!two.alone(), "not for ever");
}

}  // namespace

void core() {
  formats();
  halves();
  sampler();
  vocabulary();
  threads();
  company();
}

}  // namespace check
