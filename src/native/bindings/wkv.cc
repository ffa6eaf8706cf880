// The WKV recurrences forward and backward, on arrays of others through DLPack.
#include "wkv.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <pthread.h>

#include <limits>
#include <mutex>
#include <optional>
#include <string>

#include "bindings.h"
#include "threads.h"
#include "unlocked.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace rookery;

namespace {

using In = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Offsets = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// One pool for all calls, one call at a time.  Never destroyed: daemon threads may outlive static variables.
struct Pool {
  std::mutex mutex;
  std::unique_ptr<Threads> threads;
};
Pool* pool = new Pool;

template <class F>
void with_threads(int count, F work) {
  Unlocked unlocked;
  const std::lock_guard lock(pool->mutex);
  if (!pool->threads || pool->threads->count() != count) pool->threads = std::make_unique<Threads>(count);
  work(*pool->threads);
}

const WkvKernels& kernels_of(const std::string& table) {
  const WkvKernels* kernels = choose_wkv(table.empty() ? nullptr : table.c_str());
  require(kernels != nullptr, "no such kernel table on this processor");
  return *kernels;
}

Segments segments_of(const Offsets& offsets, size_t rows) {
  require(offsets.size() > 1 && offsets(0) == 0, "offsets must begin with 0 and end with the number of rows");
  for (size_t i = 1; i < offsets.size(); ++i) require(offsets(i - 1) <= offsets(i), "offsets must not fall");
  require(static_cast<size_t>(offsets(offsets.size() - 1)) == rows, "offsets must end with the number of rows");
  return Segments(offsets.data(), offsets.size() - 1);
}

// What every call is given: its rows' segments, heads, threads and kernels.
class Wkv {
 public:
  Wkv(const std::string& table, int threads, Offsets offsets, size_t rows, int heads, int lanes)
      : kernels_(kernels_of(table)), threads_(threads), segments_(segments_of(offsets, rows)), rows_(rows),
        heads_(heads), lanes_(lanes) {
    require(threads > 0 && heads > 0 && lanes > 0, "threads, heads and lanes must be positive");
    require(lanes <= kWkvMostLanes && heads <= std::numeric_limits<int>::max() / lanes, "heads are too large");
  }

  size_t kept(size_t operands) const { return op(operands).kept(); }

  void forward(const std::vector<In>& x, std::optional<In> u, In state, Out y, Out final_state,
               std::optional<Out> kept) const {
    const HeadWkv op = this->op(x.size());
    const HeadWkv::Forward call{
        pointers<const float>(x), optional<const float>(u, width()), checked<const float>(state, states()),
        checked<float>(y, rows_ * width()), checked<float>(final_state, states()), optional<float>(kept, op.kept())};
    require(x.size() == (u ? 4 : 6), "RWKV-7 has six operands, 5 and 6 four and a bonus");
    with_threads(threads_, [&](Threads& threads) { op.forward(call, threads); });
  }

  void backward(const std::vector<In>& x, std::optional<In> u, In kept, std::optional<In> dfinal,
                const std::vector<Out>& dx, std::optional<Out> du, std::optional<Out> dstate) const {
    require(x.size() == (u ? 5 : 7) && dx.size() + 1 == x.size(), "operands and gradients do not match");
    const HeadWkv op = this->op(dx.size());
    const HeadWkv::Backward call{pointers<const float>(x),
                                 optional<const float>(u, width()),
                                 checked<const float>(kept, op.kept()),
                                 optional<const float>(dfinal, states()),
                                 pointers<float>(dx),
                                 optional<float>(du, segments_.count() * width()),
                                 optional<float>(dstate, states())};
    with_threads(threads_, [&](Threads& threads) { op.backward(call, threads); });
  }

 private:
  size_t width() const { return size_t(heads_) * lanes_; }
  size_t states() const { return segments_.count() * width() * lanes_; }
  HeadWkv op(size_t operands) const { return HeadWkv(kernels_, segments_, heads_, lanes_, operands); }

  template <class T, class Array>
  static T* checked(const Array& array, size_t size) {
    require(array.size() == size, "an array has the wrong size");
    return array.data();
  }
  template <class T, class Array>
  static T* optional(const std::optional<Array>& array, size_t size) {
    return array ? checked<T>(*array, size) : nullptr;
  }
  template <class T, class Array>
  std::vector<T*> pointers(const std::vector<Array>& arrays) const {
    std::vector<T*> found;
    for (const Array& array : arrays) found.push_back(checked<T>(array, rows_ * width()));
    return found;
  }

  const WkvKernels& kernels_;
  const int threads_;
  const Segments segments_;
  const size_t rows_;
  const int heads_, lanes_;
};

}  // namespace

void bind_wkv(nb::module_& m) {
  // The child of a fork has none of the threads, and perhaps a mutex that nobody will open.
  pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
  nb::class_<Wkv>(m, "Wkv", "WKV recurrences with states of matrices, of rows in segments; see src/native/wkv.h.")
      .def(nb::init<std::string, int, Offsets, size_t, int, int>(), "table"_a, "threads"_a, "offsets"_a, "rows"_a,
           "heads"_a, "lanes"_a)
      .def("kept", &Wkv::kept, "operands"_a, "Floats that keep the states for the way back.")
      .def("forward", &Wkv::forward, "x"_a, "u"_a.none(), "state"_a, "y"_a, "final_state"_a, "kept"_a.none())
      .def("backward", &Wkv::backward, "x"_a, "u"_a.none(), "kept"_a, "dfinal"_a.none(), "dx"_a, "du"_a.none(),
           "dstate"_a.none());
}
