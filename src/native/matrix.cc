#include "matrix.h"

#include "blocks.h"

#include <sys/mman.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

namespace rookery {
namespace {

constexpr size_t kHugePage = size_t(2) << 20;

uint8_t* allocate(size_t bytes) {
  size_t align = bytes >= kHugePage ? kHugePage : 64;
  void* p = std::aligned_alloc(align, (bytes + align - 1) / align * align);
  if (p == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  if (align == kHugePage) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  return static_cast<uint8_t*>(p);
}

// Whether no number is NaN or infinite: neither has an exponent of all ones.
template <class T>
bool finite(const T* bits, size_t count, T exponent) {
  bool good = true;
  for (size_t i = 0; i < count; ++i) good &= (bits[i] & exponent) != exponent;
  return good;
}

void require_finite(bool holds) {
  if (!holds) throw std::overflow_error("the matrix holds NaN or infinity");
}

// Rows of T become groups of 32 numbers for each input.
template <class T>
void interleave(const T* from, T* to, int rows, int cols) {
  for (int g = 0; g * kGroup < rows; ++g, to += size_t(cols) * kGroup)
    for (int r = 0; r < kGroup; ++r) {
      int row = g * kGroup + r;
      const T* line = from + size_t(row) * cols;
      for (int k = 0; k < cols; ++k) to[size_t(k) * kGroup + r] = row < rows ? line[k] : T(0);
    }
}

}  // namespace

void Matrix::Free::operator()(uint8_t* p) const { std::free(p); }

Matrix::Matrix(Format format, int rows, int cols, const uint8_t* source) {
  mat_.pack = pack_of(format);
  mat_.rows = rows;
  mat_.cols = cols;
  const bool blocks = mat_.pack >= Pack::Q8;
  mat_.group_bytes = blocks ? size_t(cols / block_size(format)) * unit_bytes(mat_.pack)
                            : size_t(cols) * kGroup * (mat_.pack == Pack::F32 ? 4 : 2);
  bytes_ = mat_.group_bytes * ((rows + kGroup - 1) / kGroup);
  data_.reset(allocate(bytes_));
  mat_.data = data_.get();
  if (blocks)
    pack_blocks(format, source);
  else
    pack_dense(format, source);
}

void Matrix::pack_dense(Format format, const uint8_t* source) {
  const size_t count = size_t(mat_.rows) * mat_.cols;
  if (format == Format::F32) {
    require_finite(finite(reinterpret_cast<const uint32_t*>(source), count, 0x7f800000u));
    interleave(reinterpret_cast<const float*>(source), reinterpret_cast<float*>(data_.get()), mat_.rows, mat_.cols);
  } else {
    const uint16_t exponent = format == Format::F16 ? 0x7c00 : 0x7f80;
    require_finite(finite(reinterpret_cast<const uint16_t*>(source), count, exponent));
    interleave(reinterpret_cast<const uint16_t*>(source), reinterpret_cast<uint16_t*>(data_.get()), mat_.rows,
               mat_.cols);
  }
}

void Matrix::pack_blocks(Format format, const uint8_t* source) {
  const int size = block_size(format);
  const size_t row = row_bytes(format, mat_.cols), unit = unit_bytes(mat_.pack);
  std::memset(data_.get(), 0, bytes_);
  for (int r = 0; r < mat_.rows; ++r)
    for (int b = 0; b < mat_.cols / size; ++b) {
      uint8_t* to = data_.get() + size_t(r / kGroup) * mat_.group_bytes + size_t(b) * unit;
      require_finite(pack_block(format, source + r * row + size_t(b) * block_bytes(format), to, r % kGroup));
    }
}

}  // namespace rookery
