// A recorded model and its execution: every thread walks the flat list of ops and meets the others between stages.
//
// Each thread owns a range of columns of every value (`own`).  Ops read their inputs in those columns, or whole rows
// of values that an earlier stage finished; the recorder has put a stage boundary wherever that is needed.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aligned.h"
#include "company.h"
#include "matrix.h"
#include "ownership.h"
#include "threads.h"

namespace rookery {

enum class Code : int {
  Embed, Take, Linear, LayerNorm, GroupNorm, L2Norm, HeadSum, Shift, Wkv4, Wkv6, Wkv7,
  Add, Sub, Mul, Exp, Tanh, Sigmoid, Silu, Relu2
};

// The code of an op's name; throws std::invalid_argument for a name that is not in the vocabulary.
Code code_of(const std::string& name);

struct Op {
  Code code;
  int out;                           // value ids
  std::vector<int> inputs;
  std::vector<const float*> vectors;  // parameters, one number per column
  const Matrix* matrix = nullptr;
  float scalar = 0;
  int heads = 1;
  int64_t state = -1;  // offset into a state, in floats
  int stage = 0;
  bool rounded = false;  // set by `prepare`: some integer matrix reads what this op computes
};

// The rows of the embedding table as the file stores them; only rows that are used are touched.
struct Embedding {
  Format format;
  int rows, cols;
  const uint8_t* data;
};

// The rows of one sequence in a call.
struct Segment {
  int begin, end;
  float* state;
};

struct Call {
  const int32_t* tokens;
  int count;
  std::vector<Segment> segments;
  const int32_t* wanted;  // rows whose logits are asked for, ascending
  int wanted_count;
  int result;     // the value asked for; what the program computes after it is left out
  float* out;     // (wanted_count, widths[result])
};

class Program {
 public:
  std::vector<Op> ops;
  std::vector<int> widths;         // of each value
  std::vector<int> buffers;        // of each value
  std::vector<int> buffer_widths;  // of each buffer
  Embedding embedding{};
  int result = -1;  // the logits
  Ownership own;
  int block_rows = 132;

  // Call once after filling in the fields above.
  void prepare(const Kernels* kernels, Threads* threads);
  void run(const Call& call);

  // The last block's rows of a value; only meaningful when the program was recorded without packing.
  const float* value(int id) const { return buffers_of_[buffers[id]].data(); }
  int rows_of(int id) const;
  bool rows_are_wanted(int id) const { return after_take_[id]; }

  bool profile = false;
  std::vector<int64_t> nanoseconds;  // per op, on thread 0, summed while `profile` is set
  int64_t waited = 0;                // of thread 0 at the barriers between stages, likewise
  int64_t joined = 0;                // of thread 0 for waking the others, and for them at the end

 private:
  struct Part {  // of a call: rows [begin, end) of it, and which wanted rows lie there
    int begin, end, first_wanted, wanted;
  };
  // What one thread is about: rows of a part, as they lie in the buffers.
  struct Task {
    const Call& call;
    const Part& part;
    int thread;
    Range rows;
  };
  float* at(int id, int row = 0);
  static Range rows_of(const Segment& segment, const Task& task);
  void plan_runs();
  void plan_rounding();
  int rows_in(const Part& part, int id) const { return after_take_[id] ? part.wanted : part.end - part.begin; }
  void run_block(const Call& call, const Part& part);
  int64_t walk(const Call& call, const Part& part, int thread);
  void walk_alone(const Call& call, const Part& part);
  int64_t meet();
  bool walk_run(size_t first, size_t last, const Call& call, const Part& part, int thread);
  void step(const Op& op, const Task& task);
  void row_by_row(const Op& op, const Task& task, Range own);
  void linear(const Op& op, const Task& task, Range own);
  void round(const Op& op, const Task& task, Range own);
  void embed(const Op& op, const Task& task, Range own);
  void take(const Op& op, const Task& task, Range own);
  void elementwise(const Op& op, const Task& task, Range own);
  void shift(const Op& op, const Task& task, Range own);
  void wkv(const Op& op, const Task& task, Range own);

  const Kernels* kernels_ = nullptr;
  Threads* threads_ = nullptr;
  std::optional<Company> company_;
  std::vector<AlignedFloats> buffers_of_;
  std::vector<AlignedFloats> rounded_;  // per buffer: what it holds rounded for integer matrices, where they read it
  std::vector<size_t> runs_;                 // the first op of each run: ops of a stage that go through together, row by row
  std::vector<AlignedFloats> scratch_;  // per thread
  std::vector<char> after_take_;             // per value: has only the wanted rows
  float* out_ = nullptr;                     // where this block's result goes
  int asked_ = -1;                           // the value that is this call's result
  Part last_{};
};

}  // namespace rookery
