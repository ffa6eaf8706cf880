#include "checksum.h"

#include <bit>
#include <cstring>

namespace rookery {
namespace {

constexpr int kLanes = 8;                            // a multiplication takes 3 cycles and one begins in each
constexpr size_t kLine = kLanes * sizeof(uint64_t);  // bytes that all lanes take together
constexpr uint64_t kPrime = 0x9e3779b185ebca87u;

// For a given sum no two words give the same result, so one wrong word is always found.
uint64_t step(uint64_t sum, uint64_t word) { return std::rotl(sum ^ word, 31) * kPrime; }

void take_line(uint64_t* lanes, const uint8_t* line) {
  for (int i = 0; i < kLanes; ++i) {
    uint64_t word;
    std::memcpy(&word, line + i * sizeof(word), sizeof(word));
    lanes[i] = step(lanes[i], word);
  }
}

}  // namespace

uint64_t piece_checksum(const uint8_t* data, size_t bytes) {
  uint64_t lanes[kLanes] = {1, 2, 3, 4, 5, 6, 7, 8};
  const uint8_t* end = data + bytes / kLine * kLine;
  for (; data != end; data += kLine) take_line(lanes, data);
  if (bytes % kLine) {
    uint8_t last[kLine] = {};
    std::memcpy(last, data, bytes % kLine);
    take_line(lanes, last);
  }
  uint64_t sum = bytes;
  for (uint64_t lane : lanes) sum = step(sum, lane);
  return sum ^ sum >> 32;
}

uint64_t fold_checksums(const uint64_t* pieces, size_t count, uint64_t before) {
  for (size_t i = 0; i < count; ++i) before = step(before, pieces[i]);
  return before;
}

}  // namespace rookery
