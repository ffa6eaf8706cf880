#include "fused.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "fused_plan.h"
#include "fused_walk.h"
#include "kernels/table.h"

namespace rookery {
namespace {

constexpr int kMostBlock = 256;  // columns of a tile that need not be whole rows

size_t operands_of(Fused code) {
  switch (code) {
    case Fused::Add:
    case Fused::Sub:
    case Fused::Mul: return 2;
    case Fused::Norm: return 3;
    default: return 1;
  }
}

bool by_heads(Fused code) { return code == Fused::Norm || code == Fused::L2Norm || code == Fused::HeadSum; }

}  // namespace

const FusedKernels* choose_fused(const char* name) {
  const Kernels* table = choose_kernels(name);
  const FusedKernels* all[] = {
#if defined(__x86_64__)
      &kFusedAvx512,
      &kFusedAvx2,
#elif defined(__aarch64__)
      &kFusedNeon,
#endif
      &kFusedPortable,
  };
  for (const FusedKernels* kernels : all)
    if (table != nullptr && std::strcmp(table->name, kernels->name) == 0) return kernels;
  return nullptr;
}

FusedGroup::FusedGroup(int columns, std::vector<FusedInput> inputs, int vectors, std::vector<FusedOp> ops,
                       std::vector<int> outputs)
    : columns_(columns), vectors_(vectors), inputs_(std::move(inputs)), ops_(std::move(ops)),
      outputs_(std::move(outputs)) {
  for (const FusedInput& input : inputs_) {
    values_ = std::max(values_, input.value + 1);
    states_ = std::max(states_, input.state + 1);
  }
  check();
  choose_block();
}

void FusedGroup::check() const {
  const auto require = [](bool holds, const char* message) {
    if (!holds) throw std::invalid_argument(message);
  };
  require(columns_ > 0 && vectors_ >= 0 && !inputs_.empty(), "a group needs columns and inputs");
  for (const FusedInput& input : inputs_) require(input.value >= 0 && input.state >= -1, "an input is not there");
  int slot = first_op();
  for (const FusedOp& op : ops_) {
    require(op.operands.size() == operands_of(op.code), "an op has the wrong number of operands");
    require(op.heads > 0 && columns_ % op.heads == 0, "the heads do not divide the columns");
    for (int operand : op.operands) require(operand >= 0 && operand < slot, "an op reads what is not there yet");
    ++slot;
  }
  for (int output : outputs_) require(output >= first_op() && output < slot, "an output is no op's result");
}

// As many columns as are whole heads of every op.
void FusedGroup::choose_block() {
  int64_t unit = 1;
  for (const FusedOp& op : ops_)
    if (by_heads(op.code)) unit = std::lcm<int64_t>(unit, columns_ / op.heads);
  block_ = columns_;
  if (columns_ > kMostBlock) block_ = static_cast<int>(std::max(unit, kMostBlock / unit * unit));
}

void FusedGroup::forward(const FusedKernels& kernels, const FusedCall& call, const std::vector<Numbers>& outputs,
                         Threads& threads) const {
  const FusedPlan plan(*this);
  FusedWalk(*this, plan, kernels, call).forward(outputs, threads);
}

void FusedGroup::backward(const FusedKernels& kernels, const FusedCall& call, const Gradients& to,
                          Threads& threads) const {
  const FusedPlan plan(*this, to);
  FusedWalk(*this, plan, kernels, call).backward(to, threads);
}

}  // namespace rookery
