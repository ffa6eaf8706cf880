#include "matrix.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

#include "checksum.h"

namespace rookery {
namespace {

constexpr size_t kHugePage = size_t(2) << 20;
constexpr size_t kLine = 64;
constexpr size_t kWorthWaking = size_t(2) << 20;  // bytes that take longer to copy than threads to wake up

size_t whole_lines(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

// Whether no number is NaN or infinite: neither has an exponent of all ones.
template <class T>
bool finite(const T* bits, size_t count, T exponent) {
  T bad = 0;  // as wide as a number, so that the loop becomes vectors
  for (size_t i = 0; i < count; ++i) bad = static_cast<T>(bad | ((bits[i] & exponent) == exponent));
  return !bad;
}

void require_finite(bool holds) {
  if (!holds) throw std::overflow_error("the matrix holds NaN or infinity");
}

// Rows [32 g, 32 g + 32) become 32 numbers for each input; missing rows are zero.
template <class T>
void interleave(const T* from, T* to, int g, int rows, int cols) {
  for (int r = 0; r < kGroup; ++r) {
    const int row = g * kGroup + r;
    const T* line = from + size_t(row) * cols;
    for (int k = 0; k < cols; ++k) to[size_t(k) * kGroup + r] = row < rows ? line[k] : T(0);
  }
}

void pack_dense(const Shape& shape, const uint8_t* source, uint8_t* to, int g) {
  const int rows = std::min(kGroup, shape.rows - g * kGroup);
  const size_t first = size_t(g) * kGroup * shape.cols, count = size_t(rows) * shape.cols;
  if (shape.format == Format::F32) {
    const uint32_t* from = reinterpret_cast<const uint32_t*>(source);
    require_finite(finite(from + first, count, 0x7f800000u));
    return interleave(from, reinterpret_cast<uint32_t*>(to), g, shape.rows, shape.cols);
  }
  const uint16_t* from = reinterpret_cast<const uint16_t*>(source);
  const uint16_t exponent = shape.format == Format::F16 ? 0x7c00 : 0x7f80;
  require_finite(finite(from + first, count, exponent));
  interleave(from, reinterpret_cast<uint16_t*>(to), g, shape.rows, shape.cols);
}

void pack_blocks(const Shape& shape, const uint8_t* source, uint8_t* to, int g) {
  const int size = block_size(shape.format);
  const Pack pack = pack_of(shape.format);
  const size_t row = row_bytes(shape.format, shape.cols), unit = unit_bytes(pack), head = head_bytes(pack);
  std::memset(to, 0, shape.group_bytes());
  for (int r = 0; r < std::min(kGroup, shape.rows - g * kGroup); ++r) {
    const uint8_t* line = source + (size_t(g) * kGroup + r) * row;
    require_finite(pack_head(shape.format, line, to, r));
    line += row_head(shape.format);
    for (int b = 0; b < shape.cols / size; ++b)
      require_finite(pack_block(shape.format, line + size_t(b) * block_bytes(shape.format), to + head + b * unit, r));
  }
}

// Group g, the first or second of a pair that begins at `to`.
void pack_half(const Shape& shape, const uint8_t* source, uint8_t* to, int g, int half) {
  const size_t row = row_bytes(shape.format, shape.cols), unit = 2 * unit_bytes(Pack::Q8Lines);
  if (half == 0) std::memset(to, 0, 2 * shape.group_bytes());
  for (int r = 0; r < std::min(kGroup, shape.rows - g * kGroup); ++r) {
    const uint8_t* line = source + (size_t(g) * kGroup + r) * row;
    for (int b = 0; b < shape.cols / 32; ++b)
      require_finite(pack_lines(line + size_t(b) * block_bytes(shape.format), to + b * unit, half * kGroup + r));
  }
}

}  // namespace

void pack_group(const Shape& shape, const uint8_t* source, uint8_t* to, int g) {
  if (pack_of(shape.format) >= Pack::Q8)
    pack_blocks(shape, source, to, g);
  else
    pack_dense(shape, source, to, g);
}

bool finite_group(const Shape& shape, const uint8_t* group) {
  const Pack pack = pack_of(shape.format);
  const size_t count = size_t(shape.cols) * kGroup;
  if (pack == Pack::F32) return finite(reinterpret_cast<const uint32_t*>(group), count, 0x7f800000u);
  if (pack < Pack::Q8)
    return finite(reinterpret_cast<const uint16_t*>(group), count, uint16_t(pack == Pack::F16 ? 0x7c00 : 0x7f80));
  const size_t head = head_bytes(pack);
  bool good = finite(reinterpret_cast<const uint32_t*>(group), head / sizeof(float), 0x7f800000u);
  group += head;
  for (int u = 0; u < shape.cols / block_size(shape.format); ++u, group += unit_bytes(pack))
    good &= finite(reinterpret_cast<const uint16_t*>(group), scale_count(pack), uint16_t(0x7c00));
  return good;
}

void Arena::Free::operator()(uint8_t* p) const { std::free(p); }

Arena::Arena(const std::vector<size_t>& bytes) : taken_(bytes.size()), given_(bytes) {
  for (size_t n : bytes) {
    const size_t align = n >= kHugePage ? kHugePage : kLine;
    const size_t whole = (n + align - 1) / align * align;
    void* p = std::aligned_alloc(align, std::max(whole, align));
    if (p == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    if (align == kHugePage) madvise(p, whole, MADV_HUGEPAGE);
#endif
    stretches_.emplace_back(static_cast<uint8_t*>(p));
    size_ += n;
  }
}

uint8_t* Arena::take(int thread, size_t bytes) {
  if (taken_[thread] + bytes > given_[thread]) throw std::logic_error("the arena is too small for the matrices");
  uint8_t* p = stretches_[thread].get() + taken_[thread];
  taken_[thread] += bytes;
  return p;
}

size_t Shape::group_bytes() const {
  const Pack pack = this->pack();
  if (pack >= Pack::Q8) return whole_lines(head_bytes(pack) + size_t(cols / block_size(format)) * unit_bytes(pack));
  return whole_lines(size_t(cols) * kGroup * (pack == Pack::F32 ? 4 : 2));
}

size_t Shape::bytes_of(Range groups) const {
  const size_t count = size_t(groups.end - groups.begin);
  return (pack() == Pack::Q8Lines ? (count + 1) / 2 * 2 : count) * group_bytes();  // pairs of groups share lines
}

Range Shape::groups_of(const Ownership& own, int thread) const {
  const Range rows_of = own.of(rows, thread);
  return {rows_of.begin / kGroup, (rows_of.end + kGroup - 1) / kGroup};
}

Matrix::Matrix(const Shape& shape, const Ownership& own, Arena& arena) : shape_(shape) {
  for (int thread = 0; thread < own.threads; ++thread) {
    const Range groups = shape.groups_of(own, thread);
    uint8_t* data = arena.take(thread, shape.bytes_of(groups));
    groups_.push_back(groups);
    data_.push_back(data);
    mats_.push_back({shape.pack(), shape.rows, shape.cols, groups.begin, data, shape.group_bytes()});
  }
}

void Matrix::pack(const uint8_t* source) {
  for (size_t thread = 0; thread < groups_.size(); ++thread)
    for (int g = groups_[thread].begin; g < groups_[thread].end; ++g) {
      const int place = g - groups_[thread].begin;
      uint8_t* to = data_[thread] + size_t(place) * shape_.group_bytes();
      if (shape_.pack() == Pack::Q8Lines)
        pack_half(shape_, source, to - place % 2 * shape_.group_bytes(), g, place % 2);
      else
        pack_group(shape_, source, to, g);
    }
}

uint64_t Matrix::take(const uint8_t* packed, Threads& threads) {
  if (shape_.pack() != pack_of(shape_.format)) throw std::logic_error("lines are packed from rows only");
  const size_t size = shape_.group_bytes();
  std::vector<uint64_t> sums(shape_.groups());
  std::atomic<bool> good{true};
  auto copy = [&](int thread) {
    uint8_t* to = data_[thread];
    for (int g = groups_[thread].begin; g < groups_[thread].end; ++g, to += size) {
      std::memcpy(to, packed + size_t(g) * size, size);
      sums[g] = piece_checksum(to, size);  // of the copy, which nobody else can change
      if (!finite_group(shape_, to)) good = false;
    }
  };
  if (size * sums.size() >= kWorthWaking) {
    threads.run(copy);
  } else {
    for (int thread = 0; thread < threads.count(); ++thread) copy(thread);
  }
  require_finite(good);
  return fold_checksums(sums.data(), sums.size());
}

}  // namespace rookery
