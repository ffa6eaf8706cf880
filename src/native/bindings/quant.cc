#include <nanobind/ndarray.h>

#include <stdexcept>
#include <string>

#include "bindings.h"
#include "unlocked.h"
#include "quant.h"

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

}  // namespace

void bind_quant(nb::module_& m) {
  m.def("decode_rows", &decode_rows, nb::arg("format_id"), nb::arg("rows"), nb::arg("n"),
        "Rows of a weight format (uint8, rows x bytes) as float32 (rows, n); format_id as in GGUF files.");
}
