// Ceilings, for Python.
#include "ceilings.h"

#include <nanobind/stl/string.h>

#include <algorithm>

#include "bindings.h"
#include "unlocked.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace rookery;

namespace {

constexpr double kLongest = 10;  // seconds

class Measured {
 public:
  Measured(const std::string& table, int threads, size_t bytes)
      : ceilings_(chosen(table), std::max(threads, 1), bytes) {}

  double touch() {
    Unlocked unlocked;
    return ceilings_.touch();
  }
  double peak(double seconds) {
    require(seconds > 0 && seconds <= kLongest, "seconds must lie between 0 and 10");
    Unlocked unlocked;
    return ceilings_.peak(seconds);
  }
  size_t bytes() const { return ceilings_.bytes(); }

 private:
  static const Kernels* chosen(const std::string& table) {
    const Kernels* kernels = choose_kernels(table.empty() ? nullptr : table.c_str());
    require(kernels != nullptr, "no such kernel table on this processor");
    return kernels;
  }
  Ceilings ceilings_;
};

}  // namespace

void bind_ceilings(nb::module_& m) {
  nb::class_<Measured>(m, "Ceilings", "What the machine can deliver at this moment.")
      .def(nb::init<std::string, int, size_t>(), "table"_a, "threads"_a, "nbytes"_a)
      .def("touch", &Measured::touch)  // bytes per second
      .def("peak", &Measured::peak, "seconds"_a)  // additions and multiplications of int8 per second
      .def_prop_ro("nbytes", &Measured::bytes);
}
