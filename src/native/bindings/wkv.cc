// The WKV recurrences forward and backward, on arrays of others through DLPack.
#include "wkv.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings.h"
#include "pool.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace rookery;

namespace {

using In = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Offsets = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

Segments segments_of(const Offsets& offsets, size_t rows) {
  require(offsets.size() > 1 && offsets(0) == 0, "offsets must begin with 0 and end with the number of rows");
  for (size_t i = 1; i < offsets.size(); ++i) require(offsets(i - 1) <= offsets(i), "offsets must not fall");
  require(static_cast<size_t>(offsets(offsets.size() - 1)) == rows, "offsets must end with the number of rows");
  return Segments(offsets.data(), offsets.size() - 1);
}

template <class T, class Array>
T* checked(const Array& array, size_t size) {
  require(array.size() == size, "an array has the wrong size");
  return array.data();
}

template <class T, class Array>
T* checked(const std::optional<Array>& array, size_t size) {
  return array ? checked<T>(*array, size) : nullptr;
}

template <class T, class Array>
std::vector<T*> checked(const std::vector<Array>& arrays, size_t count, size_t size) {
  require(arrays.size() == count, "operands are too many or too few");
  std::vector<T*> found;
  for (const Array& array : arrays) found.push_back(checked<T>(array, size));
  return found;
}

// A recurrence over rows in segments, with the threads it may use.
class Recurrence {
 public:
  Recurrence(const std::string& table, int threads, Offsets offsets, size_t rows, int version, int heads, int lanes)
      : threads_(threads), version_(version), wkv_(make(table, segments_of(offsets, rows), version, heads, lanes)) {
    require(threads > 0, "threads must be positive");
  }

  size_t kept() const { return wkv_.kept(); }

  void forward(const std::vector<In>& x, std::optional<In> u, std::optional<In> w, In state, Out y, Out final_state,
               std::optional<Out> kept) const {
    const Wkv::Forward call{checked<const float>(x, wkv_.operands(), numbers()),
                            shared(u, w),
                            checked<const float>(state, wkv_.states()),
                            checked<float>(y, numbers()),
                            checked<float>(final_state, wkv_.states()),
                            checked<float>(kept, wkv_.kept())};
    Pool::with(threads_, [&](Threads& threads) { wkv_.forward(call, threads); });
  }

  void backward(const std::vector<In>& x, std::optional<In> u, std::optional<In> w, In kept, std::optional<In> dfinal,
                const std::vector<Out>& dx, std::optional<Out> du, std::optional<Out> dw,
                std::optional<Out> dstate) const {
    const Wkv::Backward call{checked<const float>(x, wkv_.operands() + 1, numbers()),
                             shared(u, w),
                             checked<const float>(kept, wkv_.kept()),
                             checked<const float>(dfinal, wkv_.states()),
                             checked<float>(dx, wkv_.operands(), numbers()),
                             checked<float>(du, wkv_.width()),
                             checked<float>(dw, wkv_.width()),
                             checked<float>(dstate, wkv_.states())};
    Pool::with(threads_, [&](Threads& threads) { wkv_.backward(call, threads); });
  }

 private:
  static Wkv make(const std::string& table, Segments segments, int version, int heads, int lanes) {
    const WkvKernels* kernels = choose_wkv(table.empty() ? nullptr : table.c_str());
    require(kernels != nullptr, "no such kernel table on this processor");
    require(version == 4 || version == 6 || version == 7, "version must be 4, 6 or 7");
    require(heads > 0 && lanes > 0 && heads <= std::numeric_limits<int>::max() / lanes, "heads are none or too large");
    require(version == 4 || lanes <= kWkvMostLanes, "heads of more than 512 lanes");
    return Wkv(*kernels, std::move(segments), version, heads * lanes, lanes);
  }

  size_t numbers() const { return wkv_.segments().rows() * wkv_.width(); }

  Wkv::Shared shared(const std::optional<In>& u, const std::optional<In>& w) const {
    require(u.has_value() == (version_ != 7) && w.has_value() == (version_ == 4), "u or w is missing or needless");
    return {checked<const float>(u, wkv_.width()), checked<const float>(w, wkv_.width())};
  }

  const int threads_, version_;
  const Wkv wkv_;
};

}  // namespace

void bind_wkv(nb::module_& m) {
  nb::class_<Recurrence>(m, "Wkv", "A WKV recurrence over rows in segments; see src/native/wkv.h.")
      .def(nb::init<std::string, int, Offsets, size_t, int, int, int>(), "table"_a, "threads"_a, "offsets"_a, "rows"_a,
           "version"_a, "heads"_a, "lanes"_a)
      .def_prop_ro("kept", &Recurrence::kept)  // floats that keep the states for the way back
      .def("forward", &Recurrence::forward, "x"_a, "u"_a.none(), "w"_a.none(), "state"_a, "y"_a, "final_state"_a,
           "kept"_a.none())
      .def("backward", &Recurrence::backward, "x"_a, "u"_a.none(), "w"_a.none(), "kept"_a, "dfinal"_a.none(), "dx"_a,
           "du"_a.none(), "dw"_a.none(), "dstate"_a.none())
      .def_ro_static("MOST_LANES", &kWkvMostLanes);
}
