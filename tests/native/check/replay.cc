// A recorded model, run here: the program, its threads and the packed matrices with the kernels of a table.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "check.h"
#include "program.h"

namespace check {
namespace {

using namespace rookery;

constexpr int kThreads = 2;

// One line and the bytes after it; tests/native/recording.py has the layout.
struct Record {
  std::string name;
  Doubles numbers;
  std::vector<uint8_t> bytes;

  int integer(size_t i) const { return static_cast<int>(numbers.at(i)); }
  std::vector<int> integers(size_t begin, size_t count) const {
    if (begin + count > numbers.size()) throw std::runtime_error(name + " has too few numbers");
    return {numbers.begin() + begin, numbers.begin() + begin + count};
  }
  Floats floats() const {
    Floats x(bytes.size() / sizeof(float));
    std::memcpy(x.data(), bytes.data(), x.size() * sizeof(float));
    return x;
  }
};

bool read(std::istream& in, Record& r) {
  std::string line;
  if (!std::getline(in, line)) return false;
  std::istringstream words(line);
  size_t count = 0, bytes = 0;
  words >> r.name >> count;
  r.numbers.resize(count);
  for (double& n : r.numbers) words >> n;
  words >> bytes;
  r.bytes.resize(bytes);
  in.read(reinterpret_cast<char*>(r.bytes.data()), static_cast<std::streamsize>(bytes));
  if (!words || !in) throw std::runtime_error("the recording is damaged at " + r.name);
  return true;
}

class Model {
 public:
  explicit Model(const Kernels& table) : table_(table) {}

  void follow(const Record& r) {
    if (r.name == "vector") return vectors_.push_back(r.floats());
    if (r.name == "embedding") return embed(r);
    if (r.name == "reserve") return reserve(r);
    if (r.name == "matrix") return matrices_.at(r.integer(0))->pack(r.bytes.data());
    if (r.name == "finish") return finish(r);
    if (r.name == "expect") return expect_logits(r);
    op(r);
  }

 private:
  void embed(const Record& r) {
    embedding_ = r.bytes;
    program_.embedding = {static_cast<Format>(r.integer(0)), r.integer(1), r.integer(2), embedding_.data()};
  }

  void reserve(const Record& r) {
    program_.own = {kThreads, r.integer(0), r.integer(1)};
    std::vector<size_t> bytes(kThreads);
    std::vector<Shape> shapes;
    for (size_t i = 2; i < r.numbers.size(); i += 4) {
      shapes.push_back({static_cast<Format>(r.integer(i)), r.integer(i + 1), r.integer(i + 2), r.integer(i + 3) != 0});
      for (int t = 0; t < kThreads; ++t) bytes[t] += shapes.back().bytes_of(shapes.back().groups_of(program_.own, t));
    }
    arena_ = std::make_unique<Arena>(bytes);
    for (const Shape& s : shapes) matrices_.push_back(std::make_unique<Matrix>(s, program_.own, *arena_));
  }

  void op(const Record& r) {
    Op op;
    op.code = code_of(r.name);
    op.out = r.integer(0);
    if (r.integer(1) >= 0) op.matrix = matrices_.at(r.integer(1)).get();
    op.scalar = static_cast<float>(r.numbers.at(2));
    op.heads = r.integer(3);
    op.state = r.integer(4);
    op.stage = r.integer(5);
    const size_t inputs = r.integer(6);
    op.inputs = r.integers(7, inputs);
    for (int v : r.integers(7 + inputs, r.numbers.size() - 7 - inputs)) op.vectors.push_back(vectors_.at(v).data());
    program_.ops.push_back(op);
  }

  void finish(const Record& r) {
    const size_t values = r.integer(3);
    program_.result = r.integer(0);
    state_size_ = r.integer(1);
    program_.block_rows = r.integer(2);
    program_.widths = r.integers(4, values);
    program_.buffers = r.integers(4 + values, values);
    program_.buffer_widths = r.integers(4 + 2 * values, r.numbers.size() - 4 - 2 * values);
    program_.prepare(&table_, &threads_);
  }

  // The logits of all rows, in calls of `piece` tokens.
  Floats run(const std::vector<int>& tokens, int piece, Floats& state) {
    const int count = static_cast<int>(tokens.size()), vocab = program_.widths[program_.result];
    Floats out(size_t(count) * vocab);
    std::vector<int> wanted(piece);
    for (int i = 0; i < piece; ++i) wanted[i] = i;
    for (int t = 0; t < count; t += piece) {
      const int n = std::min(piece, count - t);
      program_.run({&tokens[t], n, {{0, n, state.data()}}, wanted.data(), n, program_.result, &out[size_t(t) * vocab]});
    }
    return out;
  }

  void expect_logits(const Record& r) {
    const std::vector<int> tokens = r.integers(1, r.numbers.size() - 1);
    const Floats want = r.floats();
    Floats state(state_size_), other;
    const Floats got = run(tokens, static_cast<int>(tokens.size()), state);
    const double tolerance = r.numbers.at(0);
    Doubles bound;
    for (float w : want) bound.push_back(tolerance * (1 + std::fabs(w)));
    expect(got.size() == want.size(), "as many logits as recorded");
    expect_close(got, Doubles(want.begin(), want.end()), bound, std::string(table_.name) + " logits");
    for (int piece : {1, 3, 16}) {
      other.assign(state_size_, 0);
      const Floats pieces = run(tokens, piece, other);
      expect_same_bits(pieces.data(), got.data(), got.size(), "logits in pieces");
      expect_same_bits(other.data(), state.data(), state.size(), "the state after pieces");
    }
  }

  const Kernels& table_;
  Threads threads_{kThreads};
  std::vector<Floats> vectors_;
  std::unique_ptr<Arena> arena_;
  std::vector<std::unique_ptr<Matrix>> matrices_;
  std::vector<uint8_t> embedding_;
  Program program_;
  int64_t state_size_ = 0;
};

}  // namespace

void replay(const Kernels& table, const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  Model model(table);
  Record record;
  bool complete = false;
  for (; read(in, record); complete = record.name == "expect") model.follow(record);
  expect(complete, path + " holds a whole recording");
}

}  // namespace check
