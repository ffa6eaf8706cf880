#include "unpack.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>

namespace rookery {
namespace {

// Units of one row: what they hold of a block without bits, and of blocks with one.
class Probe {
 public:
  Probe(Format format, int row)
      : format_(format), row_(row), size_(unit_bytes(pack_of(format))), block_(block_bytes(format)), empty_(pack()) {}

  uint8_t empty(uint32_t byte) const { return empty_[byte]; }

  // The place of bit `bit` of the block, as 8 * byte + shift within the unit.
  uint32_t place(int bit) {
    block_[bit / 8] = static_cast<uint8_t>(1 << bit % 8);
    const std::vector<uint8_t> unit = pack();
    block_[bit / 8] = 0;
    const auto [there, before] = std::mismatch(unit.begin(), unit.end(), empty_.begin());
    const unsigned moved = there == unit.end() ? 0 : *there ^ *before;
    if (!std::has_single_bit(moved) || !std::equal(there + 1, unit.end(), before + 1))
      throw std::logic_error("the packing of a weight format does more than to move bits");
    return static_cast<uint32_t>(there - unit.begin()) * 8 + static_cast<uint32_t>(std::countr_zero(moved));
  }

 private:
  std::vector<uint8_t> pack() const {
    std::vector<uint8_t> unit(size_);
    if (!pack_block(format_, block_.data(), unit.data(), row_))
      throw std::logic_error("a block with a single bit cannot be packed");
    return unit;
  }

  Format format_;
  int row_;
  size_t size_;
  std::vector<uint8_t> block_, empty_;
};

const BlockMap& map_of(Format format) {
  static std::map<Format, BlockMap> known;
  static std::mutex mutex;
  std::lock_guard<std::mutex> lock(mutex);
  return known.try_emplace(format, format).first->second;
}

template <class T>
void part(const T* group, T* rows, const Shape& shape, int g) {
  for (int r = 0; r < std::min(kGroup, shape.rows - g * kGroup); ++r) {
    T* row = rows + (size_t(g) * kGroup + r) * shape.cols;
    for (int k = 0; k < shape.cols; ++k) row[k] = group[size_t(k) * kGroup + r];
  }
}

void unpack_blocks(const Shape& shape, const uint8_t* group, uint8_t* rows, int g) {
  const BlockMap& map = map_of(shape.format);
  const Pack pack = pack_of(shape.format);
  const size_t row = row_bytes(shape.format, shape.cols), unit = unit_bytes(pack), head = row_head(shape.format);
  const int blocks = shape.cols / block_size(shape.format);
  const uint8_t* units = group + head_bytes(pack);
  for (int r = 0; r < std::min(kGroup, shape.rows - g * kGroup); ++r) {
    uint8_t* to = rows + (size_t(g) * kGroup + r) * row;
    std::memcpy(to, group + head * r, head);  // the scale of the row
    to += head;
    for (int b = 0; b < blocks; ++b) map.unpack(units + b * unit, r, to + size_t(b) * block_bytes(shape.format));
  }
}

}  // namespace

BlockMap::BlockMap(Format format) : format_(format) {
  constexpr int kLast = kGroup - 1;
  Probe first(format, 0), second(format, 1), last(format, kLast);
  for (int bit = 0; bit < 8 * block_bytes(format); ++bit) {
    const uint32_t at = first.place(bit), step = second.place(bit) - at;
    const uint32_t byte = at / 8;
    const uint8_t shift = at % 8;
    if (step % 8 || last.place(bit) != at + kLast * step || first.empty(byte) != last.empty(byte + kLast * step / 8))
      throw std::logic_error("the rows of a unit of a weight format do not lie evenly");
    const uint8_t flip = static_cast<uint8_t>(first.empty(byte) >> shift & 1);
    Run* run = runs_.empty() ? nullptr : &runs_.back();
    const int width = run ? std::popcount(run->mask) : 0;
    if (bit % 8 && run && run->unit_byte == byte && run->unit_shift + width == shift && run->row_step == step / 8) {
      run->mask = static_cast<uint8_t>(run->mask << 1 | 1);
      run->flip = static_cast<uint8_t>(run->flip | flip << width);
    } else {
      runs_.push_back({byte, step / 8, static_cast<uint16_t>(bit / 8), shift, static_cast<uint8_t>(bit % 8), 1, flip});
    }
  }
}

void BlockMap::unpack(const uint8_t* unit, int r, uint8_t* block) const {
  std::memset(block, 0, block_bytes(format_));
  for (const Run& run : runs_) {
    const int bits = (unit[run.unit_byte + r * run.row_step] >> run.unit_shift & run.mask) ^ run.flip;
    block[run.block_byte] = static_cast<uint8_t>(block[run.block_byte] | bits << run.block_shift);
  }
}

void unpack_group(const Shape& shape, const uint8_t* group, uint8_t* rows, int g) {
  const Pack pack = pack_of(shape.format);
  if (pack >= Pack::Q8) return unpack_blocks(shape, group, rows, g);
  if (pack == Pack::F32)
    return part(reinterpret_cast<const uint32_t*>(group), reinterpret_cast<uint32_t*>(rows), shape, g);
  part(reinterpret_cast<const uint16_t*>(group), reinterpret_cast<uint16_t*>(rows), shape, g);
}

}  // namespace rookery
