// Programs and matrices, for Python.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <mutex>

#include "bindings.h"
#include "program.h"
#include "unlocked.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace rookery;

namespace {

using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Vector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Ints = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using State = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

size_t bytes_of(Format format, int rows, int cols) {
  require(known_format(static_cast<int>(format)), "no such weight format");
  require(cols % block_size(format) == 0, "the columns are not a whole number of blocks");
  return rows * row_bytes(format, cols);
}

// A program with everything it refers to, one call at a time.
class Runner {
 public:
  Runner(std::string table, int threads) : threads_(std::max(threads, 1)) {
    kernels_ = choose_kernels(table.empty() ? nullptr : table.c_str());
    require(kernels_ != nullptr, "no such kernel table on this processor");
  }

  void vector(Vector v) { vectors_.push_back(v); }

  // Makes room for matrices, given as (format, rows, cols, whether the input is sparse) in the order in which a step
  // reads them.
  void reserve(const std::vector<std::tuple<int, int, int, bool>>& shapes, int width, int head_size) {
    require(!arena_, "the matrices have been reserved already");
    program_.own = {threads_.count(), width, head_size};
    std::vector<size_t> bytes(threads_.count());
    std::vector<Shape> known;
    for (auto [format, rows, cols, sparse] : shapes) {
      require(rows > 0 && cols > 0, "a matrix is empty");
      bytes_of(static_cast<Format>(format), rows, cols);
      known.push_back({static_cast<Format>(format), rows, cols, sparse});
      for (int thread = 0; thread < threads_.count(); ++thread)
        bytes[thread] += known.back().bytes_of(known.back().groups_of(program_.own, thread));
    }
    arena_ = std::make_unique<Arena>(bytes);
    for (const Shape& shape : known) matrices_.push_back(std::make_unique<Matrix>(shape, program_.own, *arena_));
  }

  void matrix(int index, Bytes data) {
    Matrix& m = *matrices_.at(index);
    const Shape& shape = m.shape();
    require(data.size() == bytes_of(shape.format, shape.rows, shape.cols), "the matrix data has the wrong size");
    Unlocked unlocked;
    m.pack(data.data());
  }

  // The same for a matrix that is packed already, such as one of a native file.  Returns its checksum.
  uint64_t packed(int index, Bytes data) {
    Matrix& m = *matrices_.at(index);
    require(data.size() == m.shape().groups() * m.shape().group_bytes(), "the packed matrix has the wrong size");
    Unlocked unlocked;
    return m.take(data.data(), threads_);
  }

  void embedding(int format, int rows, int cols, Bytes data) {
    Format f = static_cast<Format>(format);
    require(data.size() == bytes_of(f, rows, cols), "the embedding data has the wrong size");
    embedding_ = data;
    program_.embedding = {f, rows, cols, data.data()};
  }

  void op(const std::string& name, int out, std::vector<int> inputs, std::vector<int> vectors, int matrix,
          float scalar, int heads, int64_t state, int stage) {
    Op op;
    op.code = code_of(name);
    op.out = out;
    op.inputs = std::move(inputs);
    for (int i : vectors) op.vectors.push_back(vectors_.at(i).data());
    if (op.code == Code::Linear) op.matrix = matrices_.at(matrix).get();
    op.scalar = scalar;
    op.heads = heads;
    op.state = state;
    op.stage = stage;
    program_.ops.push_back(std::move(op));
  }

  void finish(std::vector<int> widths, std::vector<int> buffers, std::vector<int> buffer_widths, int result,
              int64_t state_size, int block_rows) {
    program_.widths = std::move(widths);
    program_.buffers = std::move(buffers);
    program_.buffer_widths = std::move(buffer_widths);
    program_.result = result;
    program_.block_rows = block_rows;
    state_size_ = state_size;
    program_.prepare(kernels_, &threads_);
  }

  void run(Ints tokens, const std::vector<int>& lengths, const std::vector<State>& states, Ints wanted,
           Floats out, int value) {
    require(lengths.size() == states.size(), "one state per segment is needed");
    require(value < 0 || (value < static_cast<int>(program_.widths.size()) && program_.rows_are_wanted(value)),
            "the value asked for does not have the wanted rows");
    const int result = value < 0 ? program_.result : value;
    Call call{tokens.data(), static_cast<int>(tokens.size()), {}, wanted.data(), static_cast<int>(wanted.size()),
              result, out.data()};
    int begin = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      require(lengths[i] > 0 && states[i].size() == size_t(state_size_), "a segment is empty or its state too short");
      require(lengths[i] <= call.count - begin, "the segment lengths do not add up to the tokens");
      call.segments.push_back({begin, begin + lengths[i], states[i].data()});
      begin += lengths[i];
    }
    require(begin == call.count, "the segment lengths do not add up to the tokens");
    for (int i = 0; i < call.count; ++i)
      require(tokens.data()[i] >= 0 && tokens.data()[i] < program_.embedding.rows, "a token is outside the vocabulary");
    for (int i = 0; i < call.wanted_count; ++i)
      require(wanted.data()[i] >= (i ? wanted.data()[i - 1] + 1 : 0) && wanted.data()[i] < call.count,
              "wanted rows must ascend and lie inside the call");
    require(out.shape(0) == wanted.size() && out.shape(1) == size_t(program_.widths[result]),
            "the array for the result has the wrong shape");
    if (threads_.revive()) {  // a thread that is gone may hold the lock
      (void)mutex_.release();
      mutex_ = std::make_unique<std::mutex>();
    }
    Unlocked unlocked;
    std::lock_guard<std::mutex> lock(*mutex_);
    program_.run(call);
  }

  nb::object value(int id) {
    require(id >= 0 && id < static_cast<int>(program_.widths.size()) && id != program_.result, "no such value");
    size_t shape[2] = {size_t(program_.rows_of(id)), size_t(program_.widths[id])};
    return nb::cast(nb::ndarray<nb::numpy, const float>(program_.value(id), 2, shape), nb::rv_policy::copy);
  }

  void profile(bool on) {
    std::lock_guard<std::mutex> lock(*mutex_);
    program_.profile = on;
    std::fill(program_.nanoseconds.begin(), program_.nanoseconds.end(), 0);
    program_.waited = program_.joined = 0;
  }

  std::vector<int64_t> nanoseconds() const { return program_.nanoseconds; }
  std::pair<int64_t, int64_t> waiting() const { return {program_.waited, program_.joined}; }
  // Bytes of a thread's part of a packed matrix, by its place in `reserve`.
  size_t matrix_bytes(int index, int thread) const {
    require(thread >= 0 && thread < threads_.count(), "no such thread");
    const Shape& shape = matrices_.at(index)->shape();
    return shape.bytes_of(shape.groups_of(program_.own, thread));
  }
  int threads() const { return threads_.count(); }
  const char* table() const { return kernels_->name; }
  size_t bytes() const { return arena_ ? arena_->size() : 0; }

 private:
  const Kernels* kernels_;
  Threads threads_;
  std::vector<Vector> vectors_;
  std::unique_ptr<Arena> arena_;
  std::vector<std::unique_ptr<Matrix>> matrices_;
  Bytes embedding_;
  int64_t state_size_ = 0;
  Program program_;
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();
};

}  // namespace

void bind_program(nb::module_& m) {
  m.def("usable_processors", &usable_processors);
  m.def("kernel_tables", [] {
    std::vector<std::string> names;
    for (const char* name : kTableNames)
      if (choose_kernels(name)) names.push_back(name);
    return names;
  });
  nb::class_<Runner>(m, "Runner", "A recorded program, ready to run.")
      .def(nb::init<std::string, int>(), "table"_a, "threads"_a)
      .def("vector", &Runner::vector)
      .def("reserve", &Runner::reserve)
      .def("matrix", &Runner::matrix)
      .def("packed", &Runner::packed)
      .def("embedding", &Runner::embedding)
      .def("op", &Runner::op)
      .def("finish", &Runner::finish)
      // states and logits are written to, so a converted copy would lose them
      .def("run", &Runner::run, "tokens"_a, "lengths"_a, "states"_a.noconvert(), "wanted"_a, "out"_a.noconvert(),
           "value"_a = -1)  // the logits; or the value to stop at
      .def("value", &Runner::value)
      .def("profile", &Runner::profile)
      .def_prop_ro("nanoseconds", &Runner::nanoseconds)
      .def_prop_ro("waiting", &Runner::waiting)  // nanoseconds at barriers between stages; for waking and the end
      .def("matrix_bytes", &Runner::matrix_bytes)
      .def_prop_ro("threads", &Runner::threads)
      .def_prop_ro("table", &Runner::table)
      .def_prop_ro("nbytes", &Runner::bytes);
}
