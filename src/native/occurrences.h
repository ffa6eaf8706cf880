// What a request has generated so far, as far as penalties need to know it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace rookery {

// Weights by token id, kept sorted by id: copying is a memcpy, and walking it touches the logits in order.
class Occurrences {
 public:
  struct Entry {
    int id;
    double weight;
  };

  // Adds to an entry, which appears if it was absent.
  void add(int id, double weight) { at(id).weight += weight; }

  // Takes 1 away; an entry that reaches 0 disappears.
  void remove(int id) {
    auto place = find(id);
    if (--place->weight <= 0) entries_.erase(place);
  }

  void decay(double factor) {
    for (Entry& entry : entries_) {
      entry.weight *= factor;
      if (entry.weight < 1e-30) entry.weight = 0;  // keeps slow subnormals out of long generations
    }
  }

  void clear() { entries_.clear(); }
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry>::iterator find(int id) {
    return std::lower_bound(entries_.begin(), entries_.end(), id, [](const Entry& e, int i) { return e.id < i; });
  }

  Entry& at(int id) {
    auto place = find(id);
    if (place == entries_.end() || place->id != id) place = entries_.insert(place, {id, 0.0});
    return *place;
  }

  std::vector<Entry> entries_;
};

// The distinct tokens among the last `size` ones.
class Window {
 public:
  explicit Window(int size) : size_(static_cast<size_t>(size)) {}

  void push(int id) {
    if (size_ == 0) return;
    if (ring_.size() < size_) {
      ring_.push_back(id);
    } else {
      counts_.remove(ring_[oldest_]);
      ring_[oldest_] = id;
      oldest_ = (oldest_ + 1) % size_;
    }
    counts_.add(id, 1);
  }

  void clear() {
    ring_.clear();
    counts_.clear();
    oldest_ = 0;
  }

  const std::vector<Occurrences::Entry>& distinct() const { return counts_.entries(); }

 private:
  size_t size_, oldest_ = 0;
  std::vector<int> ring_;
  Occurrences counts_;
};

}  // namespace rookery
