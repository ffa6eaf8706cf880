#include "fused_plan.h"

#include <algorithm>

namespace rookery {
namespace {

using Kind = FusedPlan::Kind;

// Whether the derivative of an op by some operand reads the value of operand i; `carries` tells which are asked for.
bool derivative_reads(Fused code, int i, const bool* carries) {
  switch (code) {
    case Fused::Mul: return carries[1 - i];
    case Fused::Silu:
    case Fused::Relu2:
    case Fused::L2Norm: return true;
    case Fused::Norm: return i == 0 ? carries[0] || carries[1] : i == 1 && carries[0];
    default: return false;
  }
}

bool derivative_reads_result(Fused code) {
  return code == Fused::Exp || code == Fused::Tanh || code == Fused::Sigmoid;
}

// Whether the gradient of operand i is that of the result.
bool passes_on(Fused code, int i) {
  return code == Fused::Add || code == Fused::Offset || (code == Fused::Sub && i == 0);
}

}  // namespace

FusedPlan::FusedPlan(const FusedGroup& group) : group_(group) {
  gradient_cell_.assign(group.slots(), -1);
  plan_values(std::vector<char>(group.slots(), 1), true);
  place();
}

FusedPlan::FusedPlan(const FusedGroup& group, const FusedGroup::Gradients& to) : group_(group) {
  for (int slot = 0; slot < group.slots(); ++slot) gradient_cell_.push_back(group.slots() + slot);
  plan_carriers(to);
  plan_derivatives(to);
  std::vector<Step> derivatives;
  std::vector<std::vector<int>> touched;
  derivatives.swap(steps_), touched.swap(touches_);
  const int first = group.first_op();
  std::vector<char> needed(group.slots());
  for (const Step& step : derivatives) {
    if (step.kind != Kind::Derive) continue;
    const FusedOp& op = group.ops_[step.index];
    needed[first + step.index] |= derivative_reads_result(op.code);
    for (size_t i = 0; i < op.operands.size(); ++i)
      needed[op.operands[i]] |= derivative_reads(op.code, static_cast<int>(i), step.wanted);
  }
  for (int op = static_cast<int>(group.ops_.size()) - 1; op >= 0; --op)
    if (needed[first + op])
      for (int operand : group.ops_[op].operands) needed[operand] = 1;
  plan_values(needed, false);
  steps_.insert(steps_.end(), derivatives.begin(), derivatives.end());
  touches_.insert(touches_.end(), touched.begin(), touched.end());
  place();
}

// Inputs are loaded when first read, results stored as soon as they are there.
void FusedPlan::plan_values(const std::vector<char>& needed, bool store) {
  std::vector<char> loaded(group_.inputs_.size());
  for (size_t op = 0; op < group_.ops_.size(); ++op) {
    const int out = group_.first_op() + static_cast<int>(op);
    if (!needed[out]) continue;
    for (int operand : group_.ops_[op].operands) {
      if (operand >= static_cast<int>(loaded.size()) || loaded[operand]) continue;
      steps_.push_back({Kind::Load, operand});
      touches_.push_back({operand});
      loaded[operand] = 1;
    }
    steps_.push_back({Kind::Compute, static_cast<int>(op)});
    touches_.push_back(group_.ops_[op].operands);
    touches_.back().push_back(out);
    for (size_t i = 0; store && i < group_.outputs_.size(); ++i)
      if (group_.outputs_[i] == out) {
        steps_.push_back({Kind::Store, static_cast<int>(i)});
        touches_.push_back({out});
      }
  }
  for (size_t input = 0; input < loaded.size(); ++input)  // those that only derivatives read
    if (needed[input] && !loaded[input] && !store) {
      steps_.push_back({Kind::Load, static_cast<int>(input)});
      touches_.push_back({static_cast<int>(input)});
    }
}

void FusedPlan::plan_carriers(const FusedGroup::Gradients& to) {
  carries_.assign(group_.slots(), 0);
  begun_.assign(group_.slots(), 0);
  for (size_t i = 0; i < group_.inputs_.size(); ++i) {
    const FusedInput& input = group_.inputs_[i];
    carries_[i] = to.values[input.value].data != nullptr || (input.state >= 0 && to.states[input.state] != nullptr);
  }
  for (int v = 0; v < group_.vectors_; ++v) carries_[group_.inputs_.size() + v] = to.vectors[v] != nullptr;
  for (size_t op = 0; op < group_.ops_.size(); ++op)
    for (int operand : group_.ops_[op].operands) carries_[group_.first_op() + op] |= carries_[operand];
  for (int v = 0; v < group_.vectors_; ++v) begun_[group_.inputs_.size() + v] = 1;  // their sums begin with zero
}

void FusedPlan::plan_derivatives(const FusedGroup::Gradients& to) {
  for (int op = static_cast<int>(group_.ops_.size()) - 1; op >= 0; --op) {
    const int out = group_.first_op() + op;
    if (!carries_[out]) continue;
    for (size_t i = 0; i < group_.outputs_.size(); ++i) {
      if (group_.outputs_[i] != out || to.outputs[i].data == nullptr) continue;
      Step load{Kind::LoadGradient, static_cast<int>(i)};
      load.add[0] = begun_[out];
      steps_.push_back(load);
      touches_.push_back({gradient_cell_[out]});
      begun_[out] = 1;
    }
    if (begun_[out]) plan_derivative(op);
  }
  for (int shifted = 0; shifted < 2; ++shifted)  // gradients of shifted rows are added to what is there
    for (size_t i = 0; i < group_.inputs_.size(); ++i)
      if (stores(static_cast<int>(i)) && (group_.inputs_[i].state >= 0) == shifted) {
        steps_.push_back({Kind::StoreGradient, static_cast<int>(i)});
        touches_.push_back({gradient_cell_[i]});
      }
}

void FusedPlan::plan_derivative(int index) {
  const FusedOp& op = group_.ops_[index];
  const int out = group_.first_op() + index;
  Step step{Kind::Derive, index};
  std::vector<int> touched = {out, gradient_cell_[out]};
  bool works = false, given = false;
  for (size_t i = 0; i < op.operands.size(); ++i) step.wanted[i] = carries_[op.operands[i]];
  for (size_t i = 0; i < op.operands.size(); ++i) {
    const int operand = op.operands[i];
    if (!step.wanted[i]) continue;
    if (!begun_[operand] && !given && passes_on(op.code, static_cast<int>(i))) {
      gradient_cell_[operand] = gradient_cell_[out];  // no copy: nobody else asks for it any more
      given = true;
      step.wanted[i] = false;
    } else {
      step.add[i] = begun_[operand];
      touched.push_back(gradient_cell_[operand]);
      works = true;
    }
    begun_[operand] = 1;
  }
  if (!works) return;
  for (size_t i = 0; i < op.operands.size(); ++i)
    if (derivative_reads(op.code, static_cast<int>(i), step.wanted)) touched.push_back(op.operands[i]);
  if (!derivative_reads_result(op.code)) touched.erase(touched.begin());
  steps_.push_back(step);
  touches_.push_back(touched);
}

// A buffer is free again after the last step that touches its cell.
void FusedPlan::place() {
  buffer_.assign(2 * group_.slots(), -1);
  std::vector<int> last(buffer_.size(), -1), free;
  for (size_t step = 0; step < touches_.size(); ++step)
    for (int cell : touches_[step]) last[cell] = static_cast<int>(step);
  const int first = static_cast<int>(group_.inputs_.size());
  for (int v = first; v < group_.first_op(); ++v) {
    buffer_[v] = buffers_++;
    buffer_[group_.slots() + v] = buffers_++;
  }
  for (size_t step = 0; step < touches_.size(); ++step) {
    for (int cell : touches_[step]) {
      if (buffer_[cell] >= 0) continue;
      if (free.empty()) free.push_back(buffers_++);
      buffer_[cell] = free.back();
      free.pop_back();
    }
    for (int cell : touches_[step]) {
      const int slot = cell % group_.slots();
      const bool vector = slot >= first && slot < group_.first_op();
      if (vector || last[cell] != static_cast<int>(step)) continue;
      if (std::find(free.begin(), free.end(), buffer_[cell]) == free.end()) free.push_back(buffer_[cell]);
    }
  }
}

}  // namespace rookery
