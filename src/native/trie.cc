#include "trie.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>

namespace rookery {
namespace {

constexpr size_t kFan = 256;
constexpr size_t kMostCells = size_t{1} << 25;
constexpr int kTries = 1024;  // places looked at for one node; bounds the time to build a hostile vocabulary
constexpr int32_t kFree = -2, kNoParent = -1;
static_assert(std::endian::native == std::endian::little, "the packed form and the table are little-endian");

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument(why); }

uint32_t read_u32(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

struct Word {
  Bytes bytes;
  int32_t id;
};

bool before(const Word& a, const Word& b) {
  const int order = std::memcmp(a.bytes.data(), b.bytes.data(), std::min(a.bytes.size(), b.bytes.size()));
  return order != 0 ? order < 0 : a.bytes.size() < b.bytes.size();
}

// Lays the nodes of the trie out in one array, level by level; each goes to the first place where its children fit.
class Builder {
 public:
  explicit Builder(std::vector<Word> words) : words_(std::move(words)) {
    std::sort(words_.begin(), words_.end(), before);
    const auto same = std::adjacent_find(words_.begin(), words_.end(), [](auto& a, auto& b) { return !before(a, b); });
    if (same != words_.end())
      refuse("tokens " + std::to_string(same->id) + " and " + std::to_string((same + 1)->id) +
             " have the same bytes; each must be distinct");
  }

  std::vector<Trie::Cell> build() {
    grow(kFan);
    cells_[0] = {0, kNoParent, -1};
    std::vector<Node> level{{0, 0, words_.size()}};
    for (size_t depth = 0; !level.empty(); ++depth) {
      std::vector<Node> next;
      for (const Node& node : level) place_children(node, depth, next);
      level = std::move(next);
    }
    grow(cells_.size() + kFan);  // base + byte is then inside, for any base and byte
    for (Trie::Cell& cell : cells_)
      if (cell.parent == kFree) cell.parent = kNoParent;
    return std::move(cells_);
  }

 private:
  struct Node {
    int32_t cell;
    size_t begin, end;  // the words below it
  };

  void place_children(Node node, size_t depth, std::vector<Node>& next) {
    if (node.begin < node.end && words_[node.begin].bytes.size() == depth)
      cells_[node.cell].token = words_[node.begin++].id;
    children_.clear();
    for (size_t i = node.begin; i < node.end; ++i) {
      const uint8_t label = words_[i].bytes[depth];
      if (children_.empty() || children_.back().label != label) children_.push_back({label, i, i});
      children_.back().end = i + 1;
    }
    if (children_.empty()) return;
    const size_t base = find_base();
    cells_[node.cell].base = static_cast<int32_t>(base);
    for (const Child& child : children_) {
      cells_[base + child.label] = {0, node.cell, -1};
      next.push_back({static_cast<int32_t>(base + child.label), child.begin, child.end});
    }
  }

  size_t find_base() {
    while (first_free_ < cells_.size() && cells_[first_free_].parent != kFree) ++first_free_;
    const size_t first = children_.front().label;
    size_t place = std::max(first_free_, first);
    for (int tries = 0; tries < kTries && place < cells_.size(); ++place) {
      if (cells_[place].parent != kFree) continue;
      if (++tries; fits(place - first)) return place - first;
    }
    if (place < cells_.size()) first_free_ = std::max(first_free_, cells_.size() - kTries);  // crowded: leave the holes
    const size_t base = std::max(cells_.size(), first) - first;
    grow(base + kFan);
    return base;
  }

  bool fits(size_t base) {
    grow(base + kFan);
    return std::all_of(children_.begin(), children_.end(),
                       [&](const Child& child) { return cells_[base + child.label].parent == kFree; });
  }

  void grow(size_t size) {
    if (size > kMostCells) refuse("the vocabulary is too large to be laid out; it is not one of a language model");
    if (size > cells_.size()) cells_.resize(size, {0, kFree, -1});
  }

  struct Child {
    uint8_t label;
    size_t begin, end;
  };
  std::vector<Word> words_;
  std::vector<Child> children_;
  std::vector<Trie::Cell> cells_;
  size_t first_free_ = 1;
};

struct Header {
  char magic[8];
  uint32_t format, reserved;
  uint64_t table_bytes, cells;
};
constexpr char kMagic[8] = {'R', 'K', 'T', 'R', 'I', 'E', 0, 0};

}  // namespace

Trie::Trie(Bytes table) {
  read_table(table);
  std::vector<Word> words;
  for (size_t id = 0; id < tokens_.size(); ++id)
    if (tokens_[id].length) words.push_back({token(static_cast<int64_t>(id)), static_cast<int32_t>(id)});
  cells_ = Builder(std::move(words)).build();
}

void Trie::read_table(Bytes table) {
  if (table.size() > kLargestTable) refuse("the vocabulary holds more than " + std::to_string(kLargestTable) + " bytes");
  table_.assign(table.begin(), table.end());
  for (size_t at = 0; at < table_.size();) {
    if (table_.size() - at < 8) refuse("the table of tokens ends inside an entry");
    const uint32_t id = read_u32(&table_[at]), length = read_u32(&table_[at + 4]);
    const std::string name = "token " + std::to_string(id);
    if (id < tokens_.size()) refuse(name + " is out of order; ids must ascend");
    if (id >= kMostIds) refuse(name + " is too high; ids are below " + std::to_string(kMostIds));
    if (length == 0 || length > kLongestToken)
      refuse(name + " has " + std::to_string(length) + " bytes; expected 1 to " + std::to_string(kLongestToken));
    if (table_.size() - at - 8 < length) refuse("the table of tokens ends inside " + name);
    tokens_.resize(id + 1);
    tokens_[id] = {static_cast<uint32_t>(at + 8), length};
    at += 8 + length;
  }
}

std::vector<uint8_t> Trie::pack() const {
  Header header{{}, kFormat, 0, table_.size(), cells_.size()};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  std::vector<uint8_t> packed(sizeof header + table_.size() + cells_.size() * sizeof(Cell));
  std::memcpy(packed.data(), &header, sizeof header);
  std::copy(table_.begin(), table_.end(), packed.begin() + sizeof header);
  std::memcpy(packed.data() + sizeof header + table_.size(), cells_.data(), cells_.size() * sizeof(Cell));
  return packed;
}

Trie Trie::unpack(Bytes packed) {
  Header header;
  if (packed.size() < sizeof header) refuse("the packed vocabulary ends inside its header");
  std::memcpy(&header, packed.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) || header.format != kFormat)
    refuse("not a packed vocabulary of this version");
  const bool sane = header.table_bytes <= kLargestTable && header.cells >= kFan && header.cells <= kMostCells;
  if (!sane || packed.size() != sizeof header + header.table_bytes + header.cells * sizeof(Cell))
    refuse("the packed vocabulary has another size than its header says");
  Trie trie;
  trie.read_table(packed.subspan(sizeof header, header.table_bytes));
  trie.cells_.resize(header.cells);
  std::memcpy(trie.cells_.data(), packed.data() + sizeof header + header.table_bytes, header.cells * sizeof(Cell));
  // encode relies on these two and checks nothing itself
  const auto highest_base = static_cast<int32_t>(header.cells - kFan), ids = static_cast<int32_t>(trie.size());
  for (const Cell& cell : trie.cells_)
    if (cell.base < 0 || cell.base > highest_base || cell.token < -1 || cell.token >= ids)
      refuse("the packed vocabulary points outside itself");
  return trie;
}

Ids Trie::encode(Bytes text) const {
  Ids ids(text.size() / 4);
  const Cell* cells = cells_.data();
  for (size_t position = 0; position < text.size();) {
    int32_t node = 0, best = -1;
    size_t end = position;
    for (size_t i = position; i < text.size();) {
      const int32_t child = cells[node].base + text[i++];
      if (cells[child].parent != node) break;
      node = child;
      if (cells[node].token >= 0) best = cells[node].token, end = i;
    }
    if (best < 0)
      refuse("no token of the vocabulary begins with byte " + std::to_string(text[position]) + " at position " +
             std::to_string(position) + " of the text, or with what follows it");
    ids.push(best);
    position = end;
  }
  return ids;
}

Bytes Trie::token(int64_t id) const {
  if (id < 0) refuse("token id " + std::to_string(id) + " is negative; ids are 0 or more");
  if (id >= static_cast<int64_t>(tokens_.size())) return {};
  const Token& token = tokens_[static_cast<size_t>(id)];
  return Bytes(table_).subspan(token.begin, token.length);
}

}  // namespace rookery
