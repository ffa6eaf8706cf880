// Fused groups of ops, and the cross-entropy, on arrays of others through DLPack.
#include "fused.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings.h"
#include "cross_entropy.h"
#include "pool.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace rookery;

namespace {

using Any = nb::ndarray<nb::c_contig, nb::device::cpu>;  // float32 or bfloat16
using Floats = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Ints = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Maybe = std::vector<std::optional<Any>>;
using MaybeFloats = std::vector<std::optional<Floats>>;

constexpr std::pair<const char*, Fused> kNames[] = {
    {"add", Fused::Add},         {"sub", Fused::Sub},     {"mul", Fused::Mul},    {"offset", Fused::Offset},
    {"scale", Fused::Scale},     {"exp", Fused::Exp},     {"tanh", Fused::Tanh},  {"sigmoid", Fused::Sigmoid},
    {"silu", Fused::Silu},       {"relu2", Fused::Relu2}, {"norm", Fused::Norm},  {"l2norm", Fused::L2Norm},
    {"head_sum", Fused::HeadSum}};

Fused code_of(const std::string& name) {
  for (const auto& [known, code] : kNames)
    if (name == known) return code;
  throw std::invalid_argument("op '" + name + "' cannot be fused");
}

const FusedKernels& kernels_of(const std::string& table) {
  const FusedKernels* kernels = choose_fused(table.empty() ? nullptr : table.c_str());
  require(kernels != nullptr, "no such kernel table on this processor");
  return *kernels;
}

Numbers numbers_of(const Any& array, size_t size) {
  require(array.size() == size, "an array has the wrong size");
  const nb::dlpack::dtype half{static_cast<uint8_t>(nb::dlpack::dtype_code::Bfloat), 16, 1};
  const bool is_half = array.dtype() == half;
  require(is_half || array.dtype() == nb::dtype<float>(), "an array is neither float32 nor bfloat16");
  return {array.data(), is_half};
}

std::vector<Numbers> numbers_of(const Maybe& arrays, size_t count, size_t size) {
  require(arrays.size() == count, "the number of arrays is wrong");
  std::vector<Numbers> found;
  for (const auto& array : arrays) found.push_back(array ? numbers_of(*array, size) : Numbers{});
  return found;
}

template <class T>
std::vector<T*> floats_of(const MaybeFloats& arrays, size_t count, size_t size, bool all) {
  require(arrays.size() == count, "the number of arrays is wrong");
  std::vector<T*> found;
  for (const auto& array : arrays) {
    require(!all || array.has_value(), "an array is missing");
    require(!array || array->size() == size, "an array has the wrong size");
    found.push_back(array ? array->data() : nullptr);
  }
  return found;
}

std::vector<FusedOp> ops_of(const std::vector<std::tuple<std::string, std::vector<int>, float, int>>& ops) {
  std::vector<FusedOp> found;
  for (const auto& [name, operands, scalar, heads] : ops) found.push_back({code_of(name), operands, scalar, heads});
  return found;
}

std::vector<FusedInput> inputs_of(const std::vector<std::pair<int, int>>& inputs) {
  std::vector<FusedInput> found;
  for (const auto& [value, state] : inputs) found.push_back({value, state});
  return found;
}

class Group {
 public:
  Group(int columns, const std::vector<std::pair<int, int>>& inputs, int vectors,
        const std::vector<std::tuple<std::string, std::vector<int>, float, int>>& ops, std::vector<int> outputs)
      : shifted_(inputs), group_(columns, inputs_of(inputs), vectors, ops_of(ops), std::move(outputs)) {}

  // arrays: values, states, vectors.
  using Arrays = std::tuple<Maybe, MaybeFloats, MaybeFloats>;

  void forward(const std::string& table, int threads, Ints offsets, const Arrays& arrays, const Maybe& outputs) const {
    const FusedKernels& kernels = kernels_of(table);
    const FusedCall call = call_of(offsets, arrays);
    const std::vector<Numbers> to = numbers_of(outputs, group_.outputs(), size_t(call.rows) * group_.columns());
    for (const Numbers& output : to) require(output.data != nullptr || call.rows == 0, "an output is missing");
    require(threads > 0, "threads must be positive");
    Pool::with(threads, [&](Threads& pool) { group_.forward(kernels, call, to, pool); });
  }

  void backward(const std::string& table, int threads, Ints offsets, const Arrays& arrays, const Maybe& doutputs,
                const Arrays& gradients) const {
    const FusedKernels& kernels = kernels_of(table);
    const FusedCall call = call_of(offsets, arrays);
    const size_t columns = group_.columns(), size = size_t(call.rows) * columns;
    const auto& [dvalues, dstates, dvectors] = gradients;
    const FusedGroup::Gradients to{
        numbers_of(doutputs, group_.outputs(), size), numbers_of(dvalues, group_.values(), size),
        floats_of<float>(dstates, group_.states(), (call.offsets.size() - 1) * columns, false),
        floats_of<float>(dvectors, group_.vectors(), columns, false)};
    for (const auto& [value, state] : shifted_)
      require(state < 0 || !to.values[value].half, "gradients of shifted rows must be float32");
    require(threads > 0, "threads must be positive");
    Pool::with(threads, [&](Threads& pool) { group_.backward(kernels, call, to, pool); });
  }

 private:
  FusedCall call_of(const Ints& offsets, const Arrays& arrays) const {
    require(offsets.size() > 0 && offsets(0) == 0, "offsets must begin with 0");
    for (size_t i = 1; i < offsets.size(); ++i) require(offsets(i - 1) <= offsets(i), "offsets must not fall");
    FusedCall call{offsets(offsets.size() - 1), {offsets.data(), offsets.data() + offsets.size()}, {}, {}, {}};
    const size_t columns = group_.columns(), segments = offsets.size() - 1;
    const auto& [values, states, vectors] = arrays;
    call.values = numbers_of(values, group_.values(), size_t(call.rows) * columns);
    for (const Numbers& value : call.values) require(value.data != nullptr || call.rows == 0, "an array is missing");
    for (const auto& [value, state] : shifted_)
      require(state < 0 || !call.values[value].half, "shifted rows must be float32");
    call.states = floats_of<const float>(states, group_.states(), segments * columns, true);
    call.vectors = floats_of<const float>(vectors, group_.vectors(), columns, true);
    return call;
  }

  std::vector<std::pair<int, int>> shifted_;
  FusedGroup group_;
};

double cross_entropy(const std::string& table, int threads, Any logits, Ints targets, Floats weights, float flatten) {
  require(logits.ndim() == 2, "logits must have two dimensions");
  const FusedKernels& kernels = kernels_of(table);
  const int64_t rows = static_cast<int64_t>(logits.shape(0)), vocab = static_cast<int64_t>(logits.shape(1));
  require(static_cast<int64_t>(targets.size()) == rows && static_cast<int64_t>(weights.size()) == rows,
          "targets and weights must be as many as rows of logits");
  for (int64_t i = 0; i < rows; ++i) require(targets(i) >= 0 && targets(i) < vocab, "a target is outside the vocabulary");
  require(threads > 0, "threads must be positive");
  const CrossEntropy call{rows, vocab, numbers_of(logits, logits.size()), targets.data(), weights.data(), flatten};
  double loss = 0;
  Pool::with(threads, [&](Threads& pool) { loss = call.run(kernels, pool); });
  return loss;
}

}  // namespace

void bind_fused(nb::module_& m) {
  nb::class_<Group>(m, "FusedGroup", "Row-wise ops run as one, forward and backward; see src/native/fused.h.")
      .def(nb::init<int, const std::vector<std::pair<int, int>>&, int,
                    const std::vector<std::tuple<std::string, std::vector<int>, float, int>>&, std::vector<int>>(),
           "columns"_a, "inputs"_a, "vectors"_a, "ops"_a, "outputs"_a)
      .def("forward", &Group::forward, "table"_a, "threads"_a, "offsets"_a, "arrays"_a, "outputs"_a)
      .def("backward", &Group::backward, "table"_a, "threads"_a, "offsets"_a, "arrays"_a, "doutputs"_a, "gradients"_a);
  m.def("cross_entropy", &cross_entropy, "table"_a, "threads"_a, "logits"_a, "targets"_a, "weights"_a, "flatten"_a,
        "The weighted loss of logits (float32 or bfloat16), which become their gradient; see src/native/cross_entropy.h.");
}
