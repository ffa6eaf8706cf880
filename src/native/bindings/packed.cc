// Matrices in the kernels' layout, as native files hold them, for Python.
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <limits>
#include <stdexcept>
#include <string>

#include "bindings.h"
#include "checksum.h"
#include "unlocked.h"
#include "unpack.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace rookery;

namespace {

using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<const uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

Shape shape_of(int id, int64_t rows, int64_t cols) {
  constexpr int64_t kMost = std::numeric_limits<int>::max() - kGroup;
  require(known_format(id), "no such weight format");
  require(rows > 0 && cols > 0 && rows <= kMost && cols <= kMost, "a matrix is empty or too large");
  require(cols % block_size(static_cast<Format>(id)) == 0, "the columns are not a whole number of blocks");
  return {static_cast<Format>(id), static_cast<int>(rows), static_cast<int>(cols)};
}

uint8_t* fresh(size_t bytes, nb::capsule& owner) {
  uint8_t* data = new uint8_t[bytes]();
  owner = nb::capsule(data, [](void* p) noexcept { delete[] static_cast<uint8_t*>(p); });
  return data;
}

size_t group_bytes(int id, int64_t cols) { return shape_of(id, 1, cols).group_bytes(); }

nb::object pack(int id, Rows rows, int64_t cols) {
  const Shape shape = shape_of(id, static_cast<int64_t>(rows.shape(0)), cols);
  require(rows.shape(1) == row_bytes(shape.format, shape.cols), "the rows have the wrong size");
  const size_t size = shape.group_bytes(), whole = size * shape.groups();
  nb::capsule owner;
  uint8_t* out = fresh(whole, owner);
  {
    Unlocked unlocked;
    for (int g = 0; g < shape.groups(); ++g) pack_group(shape, rows.data(), out + g * size, g);
  }
  return nb::cast(nb::ndarray<nb::numpy, uint8_t, nb::ndim<1>>(out, {whole}, owner));
}

nb::object unpack(int id, Bytes packed, int64_t rows, int64_t cols) {
  const Shape shape = shape_of(id, rows, cols);
  const size_t size = shape.group_bytes(), row = row_bytes(shape.format, shape.cols);
  require(packed.size() == size * shape.groups(), "the packed matrix has the wrong size");
  nb::capsule owner;
  uint8_t* out = fresh(row * shape.rows, owner);
  {
    Unlocked unlocked;
    for (int g = 0; g < shape.groups(); ++g) unpack_group(shape, packed.data() + g * size, out, g);
  }
  return nb::cast(nb::ndarray<nb::numpy, uint8_t, nb::ndim<2>>(out, {size_t(shape.rows), row}, owner));
}

uint64_t checksum(Bytes data, size_t piece, uint64_t before) {
  require(piece > 0, "a piece is empty");
  Unlocked unlocked;
  for (size_t at = 0; at < data.size(); at += piece) {
    const uint64_t sum = piece_checksum(data.data() + at, std::min(piece, data.size() - at));
    before = fold_checksums(&sum, 1, before);
  }
  return before;
}

int revision(int id) {
  require(known_format(id), "no such weight format");
  return layout_revision(pack_of(static_cast<Format>(id)));
}

}  // namespace

void bind_packed(nb::module_& m) {
  m.def("group_bytes", &group_bytes, "format_id"_a, "cols"_a, "Bytes of 32 packed rows of `cols` numbers.");
  m.def("layout_revision", &revision, "format_id"_a, "Which arrangement of packed matrices of a format this is.");
  m.def("pack", &pack, "format_id"_a, "rows"_a, "cols"_a,
        "Rows of a weight format (uint8, rows x bytes) in the kernels' layout, group after group.  OverflowError for NaN "
        "and infinity.");
  m.def("unpack", &unpack, "format_id"_a, "packed"_a, "rows"_a, "cols"_a, "The inverse of `pack`, bit for bit.");
  m.def("checksum", &checksum, "data"_a, "piece"_a, "before"_a = 0,
        "Checksum of data in pieces of `piece` bytes, going on from the pieces `before`.");
}
