// Greedy longest match over bytes.
//
// A vocabulary is a *table*: for each token, in ascending order of id, the id and the length as little-endian
// 32-bit numbers, then the bytes.  The table is what a vocabulary's fingerprint is computed from.  From it a
// double-array trie is built: the child of cell s for byte c is cell base[s] + c, if that cell's parent is s.
// So each byte of text costs one look-up, whatever the vocabulary.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <vector>

namespace rookery {

using Bytes = std::span<const uint8_t>;

// A growing array of ids.  realloc moves pages instead of copying them, so that the ids of a very long text never
// exist twice.
class Ids {
 public:
  explicit Ids(size_t expected) { grow(expected + 16); }
  void push(int32_t id) {
    if (size_ == capacity_) grow(capacity_ + capacity_ / 2);
    data_.get()[size_++] = id;
  }
  size_t size() const { return size_; }
  int32_t* release() { return data_.release(); }  // the caller calls std::free

 private:
  void grow(size_t capacity) {
    void* moved = std::realloc(data_.get(), capacity * sizeof(int32_t));
    if (!moved) throw std::bad_alloc();
    (void)data_.release();
    data_.reset(static_cast<int32_t*>(moved));
    capacity_ = capacity;
  }
  struct Free {
    void operator()(int32_t* data) const { std::free(data); }
  };
  std::unique_ptr<int32_t, Free> data_;
  size_t size_ = 0, capacity_ = 0;
};

class Trie {
 public:
  static constexpr uint32_t kFormat = 1;           // of the packed form; raise it when the layout changes
  static constexpr int64_t kMostIds = 1 << 22;     // ids are below this; the largest vocabularies have 2^18
  static constexpr size_t kLongestToken = 1024;    // bounds the work per byte of text; the World has 128
  static constexpr size_t kLargestTable = 1 << 26; // bytes; the World has 1 MB

  struct Cell {
    int32_t base, parent, token;  // token: -1 where no token ends
  };

  // Both throw std::invalid_argument with a sentence that says what is wrong with the table or the packed form.
  explicit Trie(Bytes table);
  static Trie unpack(Bytes packed);
  std::vector<uint8_t> pack() const;

  // Throws std::invalid_argument, naming byte and position, where no token matches.
  Ids encode(Bytes text) const;
  // The bytes of a token; none for ids that the vocabulary lacks.  Throws std::invalid_argument below zero.
  Bytes token(int64_t id) const;
  Bytes table() const { return table_; }
  size_t size() const { return tokens_.size(); }  // highest id + 1

 private:
  struct Token {
    uint32_t begin = 0, length = 0;  // in the table
  };
  Trie() = default;
  void read_table(Bytes table);

  std::vector<uint8_t> table_;
  std::vector<Token> tokens_;  // by id
  std::vector<Cell> cells_;    // cell 0 is the root
};

}  // namespace rookery
