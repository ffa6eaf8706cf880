#include "program.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <stdexcept>

namespace rookery {
namespace {

using Clock = std::chrono::steady_clock;

int64_t since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
}

// Rows that go through a run of ops together: a whole number of any table's tiles.
constexpr int kRunRows = 24;

bool by_row(Code code) {
  return code != Code::Linear && code != Code::Take && code != Code::Wkv4 && code != Code::Wkv6 && code != Code::Wkv7;
}

}  // namespace

Code code_of(const std::string& name) {
  static const std::map<std::string, Code> codes = {
      {"embed", Code::Embed},     {"take", Code::Take},        {"linear", Code::Linear},  {"layer_norm", Code::LayerNorm},
      {"l2norm", Code::L2Norm},   {"group_norm", Code::GroupNorm}, {"shift", Code::Shift}, {"head_sum", Code::HeadSum},
      {"wkv4", Code::Wkv4},       {"wkv6", Code::Wkv6},        {"wkv7", Code::Wkv7},      {"add", Code::Add},
      {"sub", Code::Sub},         {"mul", Code::Mul},          {"exp", Code::Exp},        {"tanh", Code::Tanh},
      {"sigmoid", Code::Sigmoid}, {"silu", Code::Silu},        {"relu2", Code::Relu2}};
  auto found = codes.find(name);
  if (found == codes.end()) throw std::invalid_argument("op '" + name + "' is not in the native vocabulary");
  return found->second;
}

void Program::prepare(const Kernels* kernels, Threads* threads) {
  kernels_ = kernels;
  threads_ = threads;
  company_.emplace(threads->count());
  nanoseconds.assign(ops.size(), 0);
  after_take_.assign(widths.size(), 0);
  for (const Op& op : ops) {
    bool taken = op.code == Code::Take;
    for (int i : op.inputs) taken = taken || after_take_[i];
    after_take_[op.out] = taken;
  }
  for (size_t b = 0; b < buffer_widths.size(); ++b) {
    bool outside = static_cast<int>(b) == buffers[result];  // the result goes straight to the caller
    buffers_of_.emplace_back(outside ? 0 : size_t(buffer_widths[b]) * block_rows);
  }
  plan_runs();
  plan_rounding();
  int longest = embedding.cols;  // of the rows that are read into scratch; the logits, the widest value, never are
  for (const Op& op : ops)
    if (op.code == Code::Linear) longest = std::max(longest, widths[op.inputs[0]]);
  const size_t scratch = std::max<size_t>(linear_scratch(block_rows, longest), longest);
  for (int i = 0; i < threads->count(); ++i) scratch_.emplace_back(scratch);
}

// Consecutive ops of a stage that only look at own columns, row by row, form a run: a few rows go through all of it
// while they are in the cache.
void Program::plan_runs() {
  runs_.clear();
  for (size_t i = 0; i < ops.size(); ++i) {
    const bool joins = i > 0 && by_row(ops[i].code) && by_row(ops[i - 1].code) && ops[i].stage == ops[i - 1].stage &&
                       after_take_[ops[i].out] == after_take_[ops[i - 1].out];
    if (!joins) runs_.push_back(i);
  }
  runs_.push_back(ops.size());
}

// Who computes what an integer matrix reads rounds it too, each thread its own columns, once for all its readers.
void Program::plan_rounding() {
  rounded_.resize(buffer_widths.size());
  for (const Op& reader : ops) {
    if (reader.code != Code::Linear || reader.matrix->shape().pack() < Pack::Q8) continue;
    const int id = reader.inputs[0];
    for (Op& op : ops) op.rounded |= op.out == id;
    rounded_[buffers[id]] = AlignedFloats(rounded_size(block_rows, widths[id]));
  }
}

int Program::rows_of(int id) const { return rows_in(last_, id); }

float* Program::at(int id, int row) {
  return (id == asked_ ? out_ : buffers_of_[buffers[id]].data()) + size_t(row) * widths[id];
}

void Program::run(const Call& call) {
  int wanted = 0;
  asked_ = call.result;
  for (int begin = 0; begin < call.count; begin += block_rows) {
    Part part{begin, std::min(begin + block_rows, call.count), wanted, 0};
    while (wanted < call.wanted_count && call.wanted[wanted] < part.end) ++wanted;
    part.wanted = wanted - part.first_wanted;
    out_ = call.out + size_t(part.first_wanted) * widths[asked_];
    last_ = part;
    run_block(call, part);
  }
}

void Program::run_block(const Call& call, const Part& part) {
  const auto start = Clock::now();
  if (!profile && company_->alone()) {
    walk_alone(call, part);
    return company_->apart(since(start));
  }
  int64_t walked = 0, waits = 0;
  threads_->run([&](int thread) {
    const auto begun = Clock::now();
    const int64_t mine = walk(call, part, thread);
    if (thread == 0) walked = since(begun), waits = mine;
  });
  const int64_t total = since(start);
  company_->together(total, total - walked + waits);
  if (profile) waited += waits, joined += total - walked;
}

// Returns the nanoseconds that the thread waited for others.
int64_t Program::walk(const Call& call, const Part& part, int thread) {
  int stage = 0;
  int64_t waits = 0;
  for (size_t run = 0; run + 1 < runs_.size(); ++run) {
    const size_t first = runs_[run], last = runs_[run + 1];
    if (ops[first].stage != stage) {
      waits += meet();
      stage = ops[first].stage;
    }
    if (walk_run(first, last, call, part, thread)) break;
  }
  return waits;
}

int64_t Program::meet() {
  if (threads_->count() == 1) return 0;
  const auto start = Clock::now();
  threads_->barrier().wait();
  return since(start);
}

// The parts of all threads, one after another; ops of a run read nothing that others write in it.
void Program::walk_alone(const Call& call, const Part& part) {
  for (size_t run = 0; run + 1 < runs_.size(); ++run) {
    bool found = false;
    for (int thread = 0; thread < threads_->count(); ++thread)
      found = walk_run(runs_[run], runs_[run + 1], call, part, thread);
    if (found) return;
  }
}

// Whether the run computed what the call asks for.
bool Program::walk_run(size_t first, size_t last, const Call& call, const Part& part, int thread) {
  const int rows = rows_in(part, ops[first].out), some = last - first > 1 ? kRunRows : rows;
  size_t end = first;
  bool found = false;
  while (end < last && !found) found = ops[end++].out == asked_;
  for (int row = 0; row < rows; row += some)
    for (size_t i = first; i < end; ++i) {
      auto start = profile && thread == 0 ? Clock::now() : Clock::time_point();
      step(ops[i], {call, part, thread, {row, std::min(row + some, rows)}});
      if (profile && thread == 0) nanoseconds[i] += since(start);
    }
  return found;
}

void Program::step(const Op& op, const Task& task) {
  const Range mine = own.of(widths[op.out], task.thread);
  if (mine.begin == mine.end) return;
  switch (op.code) {
    case Code::Embed: embed(op, task, mine); break;
    case Code::Take: take(op, task, mine); break;
    case Code::Linear: linear(op, task, mine); break;
    case Code::Shift: shift(op, task, mine); break;
    case Code::Wkv4:
    case Code::Wkv6:
    case Code::Wkv7: wkv(op, task, mine); break;
    default: row_by_row(op, task, mine);
  }
  if (op.rounded) round(op, task, mine);
}

void Program::linear(const Op& op, const Task& task, Range mine) {
  float* scratch = scratch_[task.thread].data();
  const Mat& w = op.matrix->mat(task.thread);
  const int id = op.inputs[0], g0 = mine.begin / kGroup, g1 = (mine.end + kGroup - 1) / kGroup;
  const Tokens tokens{task.rows.end, at(op.out), size_t(widths[op.out])};
  if (w.pack < Pack::Q8) return kernels_->linear(w, at(id), w.cols, tokens, g0, g1, scratch);
  kernels_->linear_rounded(w, reinterpret_cast<const uint8_t*>(rounded_[buffers[id]].data()), tokens, g0, g1, scratch);
}

void Program::round(const Op& op, const Task& task, Range mine) {
  const int columns = widths[op.out], first = task.rows.begin;
  float* out = rounded_[buffers[op.out]].data() + size_t(first) * (columns / 32) * kRoundedBlock;
  kernels_->round(at(op.out, first), columns, task.rows.end - first, mine.begin / 32, mine.end / 32,
                  reinterpret_cast<uint8_t*>(out));
}

void Program::row_by_row(const Op& op, const Task& task, Range mine) {
  const int columns = widths[op.out], lanes = columns / op.heads, h0 = mine.begin / lanes, h1 = mine.end / lanes;
  const float* x = at(op.inputs[0], task.rows.begin);
  float* y = at(op.out, task.rows.begin);
  for (int t = task.rows.begin; t < task.rows.end; ++t, x += columns, y += columns) switch (op.code) {
      case Code::LayerNorm:
        kernels_->layer_norm(x, op.vectors[0], op.vectors[1], y, columns, mine.begin, mine.end, op.scalar);
        break;
      case Code::GroupNorm: kernels_->group_norm(x, op.vectors[0], op.vectors[1], y, lanes, h0, h1, op.scalar); break;
      case Code::L2Norm: kernels_->l2norm(x, y, lanes, h0, h1); break;
      case Code::HeadSum: kernels_->head_sum(x, y, lanes, h0, h1); break;
      default: return elementwise(op, task, mine);
    }
}

void Program::embed(const Op& op, const Task& task, Range mine) {
  const Embedding& e = embedding;
  const size_t bytes = row_bytes(e.format, e.cols);
  float *y = at(op.out, task.rows.begin), *row = scratch_[task.thread].data();
  for (int t = task.rows.begin; t < task.rows.end; ++t, y += e.cols) {
    decode_row(e.format, e.data + task.call.tokens[task.part.begin + t] * bytes, row, e.cols);
    std::copy(row + mine.begin, row + mine.end, y + mine.begin);
  }
}

void Program::take(const Op& op, const Task& task, Range mine) {
  const size_t columns = widths[op.out];
  for (int i = task.rows.begin; i < task.rows.end; ++i) {
    const float* x = at(op.inputs[0], task.call.wanted[task.part.first_wanted + i] - task.part.begin);
    std::copy(x + mine.begin, x + mine.end, at(op.out) + i * columns + mine.begin);
  }
}

void Program::elementwise(const Op& op, const Task& task, Range mine) {
  const size_t columns = widths[op.out];
  const int n = mine.end - mine.begin, row = task.rows.begin;
  const float* a = at(op.inputs[0], row) + mine.begin;
  float* y = at(op.out, row) + mine.begin;
  const float* b = op.inputs.size() > 1 ? at(op.inputs[1], row) + mine.begin
                   : op.vectors.empty() ? nullptr
                                        : op.vectors[0] + mine.begin;
  const size_t b_step = op.inputs.size() > 1 ? columns : 0;
  for (int t = row; t < task.rows.end; ++t, a += columns, y += columns, b = b ? b + b_step : nullptr) {
    if (op.code >= Code::Exp)
      kernels_->unary(static_cast<Unary>(static_cast<int>(op.code) - static_cast<int>(Code::Exp)), a, y, n);
    else if (Binary which = static_cast<Binary>(static_cast<int>(op.code) - static_cast<int>(Code::Add)); b)
      kernels_->binary(which, a, b, y, n);
    else
      kernels_->scalar(which, a, op.scalar, y, n);
  }
}

// The rows of the task that belong to a segment.
Range Program::rows_of(const Segment& s, const Task& task) {
  return {std::max(s.begin - task.part.begin, task.rows.begin), std::min(s.end - task.part.begin, task.rows.end)};
}

void Program::shift(const Op& op, const Task& task, Range mine) {
  const size_t columns = widths[op.out], bytes = (mine.end - mine.begin) * sizeof(float);
  const float* x = at(op.inputs[0]) + mine.begin;
  float* y = at(op.out) + mine.begin;
  for (const Segment& s : task.call.segments) {
    const Range rows = rows_of(s, task);
    if (rows.begin >= rows.end) continue;
    float* last = s.state + op.state + mine.begin;
    for (int t = rows.begin; t < rows.end; ++t)
      std::memcpy(y + t * columns, t == rows.begin ? last : x + (t - 1) * columns, bytes);
    std::memcpy(last, x + (rows.end - 1) * columns, bytes);
  }
}

void Program::wkv(const Op& op, const Task& task, Range mine) {
  const size_t columns = widths[op.out];
  const int lanes = static_cast<int>(columns) / op.heads;
  auto in = [&](int i) -> const float* { return at(op.inputs[i]); };
  for (const Segment& s : task.call.segments) {
    const auto [begin, end] = rows_of(s, task);
    float* state = s.state + op.state;
    if (op.code == Code::Wkv4) {
      for (int t = begin; t < end; ++t) {
        const size_t o = t * columns;
        kernels_->wkv4(op.vectors[0], op.vectors[1], in(0) + o, in(1) + o, at(op.out) + o, state,
                       static_cast<int>(columns), mine.begin, mine.end);
      }
      continue;
    }
    for (int c = mine.begin; c < mine.end; c += lanes) {
      float* head = state + size_t(c) * lanes;
      for (int t = begin; t < end; ++t) {
        const size_t o = t * columns + c;
        float* y = at(op.out) + o;
        if (op.code == Code::Wkv7) {
          kernels_->wkv7(in(0) + o, in(1) + o, in(2) + o, in(3) + o, in(4) + o, in(5) + o, y, head, lanes);
        } else {
          const float* w = op.inputs.size() > 3 ? in(3) + o : op.vectors[1] + c;
          kernels_->wkv6(in(0) + o, w, in(1) + o, in(2) + o, op.vectors[0] + c, y, head, lanes);
        }
      }
    }
  }
}

}  // namespace rookery
