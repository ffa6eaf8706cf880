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
  int longest = embedding.cols;  // of the rows that are read into scratch; the logits, the widest value, never are
  for (const Op& op : ops)
    if (op.code == Code::Linear) longest = std::max(longest, widths[op.inputs[0]]);
  scratch_.assign(threads->count(), std::vector<float>(std::max<size_t>(linear_scratch(block_rows, longest), longest) + 16));
}

int Program::rows_of(int id) const { return after_take_[id] ? last_.wanted : last_.end - last_.begin; }

float* Program::at(int id) { return id == asked_ ? out_ : buffers_of_[buffers[id]].data(); }

void Program::run(const Call& call) {
  int wanted = 0;
  asked_ = call.result;
  for (int begin = 0; begin < call.count; begin += block_rows) {
    Part part{begin, std::min(begin + block_rows, call.count), wanted, 0};
    while (wanted < call.wanted_count && call.wanted[wanted] < part.end) ++wanted;
    part.wanted = wanted - part.first_wanted;
    out_ = call.out + size_t(part.first_wanted) * widths[asked_];
    last_ = part;
    if (!profile) {
      threads_->run([&](int thread) { walk(call, part, thread); });
      continue;
    }
    int64_t walked = 0;
    const auto start = Clock::now();
    threads_->run([&](int thread) {
      const auto begun = Clock::now();
      walk(call, part, thread);
      if (thread == 0) walked = since(begun);
    });
    joined += since(start) - walked;
  }
}

void Program::walk(const Call& call, const Part& part, int thread) {
  int stage = 0;
  for (size_t i = 0; i < ops.size(); ++i) {
    auto start = profile && thread == 0 ? Clock::now() : Clock::time_point();
    if (ops[i].stage != stage) {
      threads_->barrier().wait();
      stage = ops[i].stage;
      if (profile && thread == 0) {
        waited += since(start);
        start = Clock::now();
      }
    }
    step(ops[i], call, part, thread);
    if (profile && thread == 0) nanoseconds[i] += since(start);
    if (ops[i].out == asked_) return;
  }
}

void Program::step(const Op& op, const Call& call, const Part& part, int thread) {
  const int columns = widths[op.out], rows = after_take_[op.out] ? part.wanted : part.end - part.begin;
  const Range mine = own.of(columns, thread);
  if (mine.begin == mine.end || rows == 0) return;
  const float* x = op.inputs.empty() ? nullptr : at(op.inputs[0]);
  float* y = at(op.out);
  switch (op.code) {
    case Code::Embed: return embed(op, call, part, mine, scratch_[thread].data());
    case Code::Take:
      for (int i = 0; i < rows; ++i) {
        size_t row = call.wanted[part.first_wanted + i] - part.begin;
        std::copy(x + row * columns + mine.begin, x + row * columns + mine.end, y + size_t(i) * columns + mine.begin);
      }
      return;
    case Code::Linear: {
      float* scratch = scratch_[thread].data();
      scratch += (64 - reinterpret_cast<uintptr_t>(scratch) % 64) % 64 / sizeof(float);
      const int g1 = (mine.end + kGroup - 1) / kGroup;
      const Mat& w = op.matrix->mat(thread);
      return kernels_->linear(w, x, w.cols, y, columns, rows, mine.begin / kGroup, g1, scratch);
    }
    case Code::Shift: return shift(op, call, part, mine);
    case Code::Wkv4:
    case Code::Wkv6:
    case Code::Wkv7: return wkv(op, call, part, mine);
    default: break;
  }
  const int lanes = columns / op.heads, h0 = mine.begin / lanes, h1 = mine.end / lanes;
  for (int t = 0; t < rows; ++t, x += columns, y += columns) switch (op.code) {
      case Code::LayerNorm:
        kernels_->layer_norm(x, op.vectors[0], op.vectors[1], y, columns, mine.begin, mine.end, op.scalar);
        break;
      case Code::GroupNorm: kernels_->group_norm(x, op.vectors[0], op.vectors[1], y, lanes, h0, h1, op.scalar); break;
      case Code::L2Norm: kernels_->l2norm(x, y, lanes, h0, h1); break;
      case Code::HeadSum: kernels_->head_sum(x, y, lanes, h0, h1); break;
      default: return elementwise(op, rows, mine);
    }
}

void Program::embed(const Op& op, const Call& call, const Part& part, Range mine, float* row) {
  const Embedding& e = embedding;
  const size_t bytes = row_bytes(e.format, e.cols);
  float* y = at(op.out);
  for (int t = part.begin; t < part.end; ++t, y += e.cols) {
    decode_row(e.format, e.data + call.tokens[t] * bytes, row, e.cols);
    std::copy(row + mine.begin, row + mine.end, y + mine.begin);
  }
}

void Program::elementwise(const Op& op, int rows, Range mine) {
  const size_t columns = widths[op.out];
  const int n = mine.end - mine.begin;
  const float* a = at(op.inputs[0]) + mine.begin;
  float* y = at(op.out) + mine.begin;
  const float* b = op.inputs.size() > 1 ? at(op.inputs[1]) + mine.begin
                   : op.vectors.empty() ? nullptr
                                        : op.vectors[0] + mine.begin;
  const size_t b_step = op.inputs.size() > 1 ? columns : 0;
  for (int t = 0; t < rows; ++t, a += columns, y += columns, b = b ? b + b_step : nullptr) {
    if (op.code >= Code::Exp)
      kernels_->unary(static_cast<Unary>(static_cast<int>(op.code) - static_cast<int>(Code::Exp)), a, y, n);
    else if (Binary which = static_cast<Binary>(static_cast<int>(op.code) - static_cast<int>(Code::Add)); b)
      kernels_->binary(which, a, b, y, n);
    else
      kernels_->scalar(which, a, op.scalar, y, n);
  }
}

void Program::shift(const Op& op, const Call& call, const Part& part, Range mine) {
  const size_t columns = widths[op.out], bytes = (mine.end - mine.begin) * sizeof(float);
  const float* x = at(op.inputs[0]) + mine.begin;
  float* y = at(op.out) + mine.begin;
  for (const Segment& s : call.segments) {
    const int begin = std::max(s.begin, part.begin), end = std::min(s.end, part.end);
    if (begin >= end) continue;
    float* last = s.state + op.state + mine.begin;
    for (int t = begin; t < end; ++t)
      std::memcpy(y + (t - part.begin) * columns, t == begin ? last : x + (t - 1 - part.begin) * columns, bytes);
    std::memcpy(last, x + (end - 1 - part.begin) * columns, bytes);
  }
}

void Program::wkv(const Op& op, const Call& call, const Part& part, Range mine) {
  const size_t columns = widths[op.out];
  const int lanes = static_cast<int>(columns) / op.heads;
  auto in = [&](int i) -> const float* { return at(op.inputs[i]); };
  for (const Segment& s : call.segments) {
    const int begin = std::max(s.begin, part.begin), end = std::min(s.end, part.end);
    float* state = s.state + op.state;
    if (op.code == Code::Wkv4) {
      for (int t = begin; t < end; ++t) {
        size_t o = (t - part.begin) * columns;
        kernels_->wkv4(op.vectors[0], op.vectors[1], in(0) + o, in(1) + o, at(op.out) + o, state,
                       static_cast<int>(columns), mine.begin, mine.end);
      }
      continue;
    }
    for (int c = mine.begin; c < mine.end; c += lanes) {
      float* head = state + size_t(c) * lanes;
      for (int t = begin; t < end; ++t) {
        size_t o = (t - part.begin) * columns + c;
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
