#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include "bindings.h"
#include "encode.h"
#include "unlocked.h"
#include "quant.h"
#include "threads.h"

namespace nb = nanobind;
using namespace rookery;

namespace {

using Bytes = nb::ndarray<const uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<nb::numpy, float, nb::ndim<2>>;

Format checked_format(int id, const Bytes& rows, int n) {
  if (!known_format(id)) throw std::invalid_argument("decode_rows: unknown weight format id " + std::to_string(id));
  const Format format = static_cast<Format>(id);
  if (n < 0 || n % block_size(format) || rows.shape(1) != row_bytes(format, static_cast<size_t>(n))) {
    throw std::invalid_argument("decode_rows: rows of " + std::to_string(rows.shape(1)) + " bytes do not hold " +
                                std::to_string(n) + " numbers of weight format " + std::to_string(id));
  }
  return format;
}

Floats decode_rows(int id, Bytes rows, int n) {
  const Format format = checked_format(id, rows, n);
  const size_t count = rows.shape(0), bytes = rows.shape(1), width = static_cast<size_t>(n);
  float* out = new float[count * width];
  nb::capsule owner(out, [](void* p) noexcept { delete[] static_cast<float*>(p); });
  {
    Unlocked unlocked;
    for (size_t r = 0; r < count; r++) decode_row(format, rows.data() + r * bytes, out + r * width, n);
  }
  return Floats(out, {count, width}, owner);
}

using Rows = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Importance = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Stored = nb::ndarray<nb::numpy, uint8_t, nb::ndim<2>>;

Format checked_target(int id, const Rows& rows) {
  const Format format = static_cast<Format>(id);
  const std::string name = "weight format " + std::to_string(id);
  if (!can_encode(format)) throw std::invalid_argument("encode_rows: " + name + " has no encoder here");
  if (rows.shape(1) % static_cast<size_t>(block_size(format)))
    throw std::invalid_argument("encode_rows: rows of " + std::to_string(rows.shape(1)) +
                                " numbers are no whole blocks of " + name);
  if (!all_finite(rows.data(), rows.size())) throw std::overflow_error("encode_rows: a row holds NaN or infinity");
  return format;
}

void check_importance(const Importance& importance, size_t columns) {
  const float* first = importance.data();
  if (importance.size() != columns)
    throw std::invalid_argument("encode_rows: " + std::to_string(importance.size()) + " importances for " +
                                std::to_string(columns) + " columns");
  if (!all_finite(first, columns) || std::any_of(first, first + columns, [](float x) { return x < 0; }))
    throw std::invalid_argument("encode_rows: importances must be finite and not negative");
}

Stored empty_rows(Format format, const Rows& rows) {
  const size_t bytes = row_bytes(format, rows.shape(1));
  uint8_t* out = new uint8_t[rows.shape(0) * bytes];
  nb::capsule owner(out, [](void* p) noexcept { delete[] static_cast<uint8_t*>(p); });
  return Stored(out, {rows.shape(0), bytes}, owner);
}

void check_heads(Format format, const Bytes& heads, size_t rows) {
  if (heads.shape(0) != rows || heads.shape(1) != static_cast<size_t>(row_head(format)) || !row_head(format))
    throw std::invalid_argument("encode_rows: heads must hold the scale of each row, in a format that has them");
}

Stored encode_rows(int id, Rows rows, std::optional<Importance> importance, int threads, std::optional<Bytes> heads) {
  const Format format = checked_target(id, rows);
  const size_t count = rows.shape(0), width = rows.shape(1), bytes = row_bytes(format, width);
  if (importance) check_importance(*importance, width);
  if (heads) check_heads(format, *heads, count);
  Stored stored = empty_rows(format, rows);
  uint8_t* out = stored.data();
  const float* weights = importance ? importance->data() : nullptr;
  const uint8_t* head = heads ? heads->data() : nullptr;
  Unlocked unlocked;
  Threads pool(static_cast<int>(std::clamp<int64_t>(threads, 1, std::max<int64_t>(static_cast<int64_t>(count), 1))));
  pool.run([&](int t) {
    for (size_t r = static_cast<size_t>(t); r < count; r += static_cast<size_t>(pool.count()))
      encode_row(format, rows.data() + r * width, weights, head ? head + r * kRowHead : nullptr, out + r * bytes,
                 static_cast<int>(width));
  });
  return stored;
}

Stored encode_rows_nearest(int id, Rows rows) {
  const Format format = checked_target(id, rows);
  if (block_size(format) != 32 || row_head(format))
    throw std::invalid_argument("encode_rows_nearest: only the formats of GGUF with blocks of 32");
  const size_t width = rows.shape(1), bytes = row_bytes(format, width);
  Stored stored = empty_rows(format, rows);
  uint8_t* out = stored.data();
  Unlocked unlocked;
  for (size_t r = 0; r < rows.shape(0); r++)
    encode_row_nearest(format, rows.data() + r * width, out + r * bytes, static_cast<int>(width));
  return stored;
}

}  // namespace

void bind_quant(nb::module_& m) {
  m.def("decode_rows", &decode_rows, nb::arg("format_id"), nb::arg("rows"), nb::arg("n"),
        "Rows of a weight format (uint8, rows x bytes) as float32 (rows, n); format_id as in GGUF files.");
  m.def("encode_rows", &encode_rows, nb::arg("format_id"), nb::arg("rows"), nb::arg("importance") = nb::none(),
        nb::arg("threads") = 1, nb::arg("heads") = nb::none(),
        "Rows of floats as a block format (uint8, rows x bytes) with the least squared error.  importance: per column, "
        "the weight of its error; None lets large numbers count more.  heads: in formats whose rows have a scale, the "
        "bytes of it (rows x 4) where it is fixed already.");
  m.def("encode_rows_nearest", &encode_rows_nearest, nb::arg("format_id"), nb::arg("rows"),
        "Rows of floats as a format with blocks of 32, rounded to nearest as other tools do.");
}
