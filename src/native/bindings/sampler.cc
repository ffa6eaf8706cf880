#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <exception>
#include <memory>
#include <mutex>
#include <optional>

#include "bindings.h"
#include "sampler.h"
#include "unlocked.h"

namespace nb = nanobind;
using namespace rookery;

namespace {

using Row = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Mask = nb::ndarray<const uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// A sampler that several Python threads may touch: the interpreter lock is not held while it works.
class SharedSampler {
 public:
  SharedSampler(const SamplerSettings& settings, int vocab, uint64_t seed)
      : sampler_(std::make_shared<const SamplerSettings>(settings), vocab, seed) {}
  explicit SharedSampler(const Sampler& sampler) : sampler_(sampler) {}

  int sample(Row logits, std::optional<Mask> allowed) {
    const uint32_t* mask = checked(logits, allowed);
    Unlocked unlocked;
    std::lock_guard lock(mutex_);
    return sampler_.sample(logits.data(), mask);
  }

  void distribution(Row logits, std::optional<Mask> allowed, Out out) {
    const uint32_t* mask = checked(logits, allowed);
    require(out.size());
    Unlocked unlocked;
    std::lock_guard lock(mutex_);
    sampler_.distribution(logits.data(), mask, out.data());
  }

  nb::tuple score(Row logits, int id, int top) {
    require(logits.size());
    if (id < 0 || id >= sampler_.vocab()) throw nb::index_error("token id outside the vocabulary");
    Logprobs found;
    {
      Unlocked unlocked;
      found = sampler_.score(logits.data(), id, top);
    }
    return nb::make_tuple(found.chosen, found.top);
  }

  nb::object logprobs() {
    std::lock_guard lock(mutex_);
    const auto& found = sampler_.logprobs();
    return found ? nb::object(nb::make_tuple(found->chosen, found->top)) : nb::none();
  }

  void accept(int id) {
    if (id < 0 || id >= sampler_.vocab()) throw nb::index_error("token id outside the vocabulary");
    std::lock_guard lock(mutex_);
    sampler_.accept(id);
  }

  SharedSampler* clone() {
    std::lock_guard lock(mutex_);
    return new SharedSampler(sampler_);
  }

  void reset(uint64_t seed) {
    std::lock_guard lock(mutex_);
    sampler_.reset(seed);
  }

  void reseed(uint64_t seed) {
    std::lock_guard lock(mutex_);
    sampler_.reseed(seed);
  }

  uint64_t seed() {
    std::lock_guard lock(mutex_);
    return sampler_.seed();
  }

 private:
  void require(size_t size) const {
    if (size != static_cast<size_t>(sampler_.vocab())) throw nb::value_error("array does not have one number per token");
  }

  const uint32_t* checked(const Row& logits, const std::optional<Mask>& allowed) const {
    require(logits.size());
    if (!allowed) return nullptr;
    if (allowed->size() != (static_cast<size_t>(sampler_.vocab()) + 31) / 32)
      throw nb::value_error("mask does not have one bit per token");
    return allowed->data();
  }

  Sampler sampler_;
  std::mutex mutex_;
};

void raise(const char* name, const std::exception& error) {
  nb::object type = nb::module_::import_("rookery.errors").attr(name);
  PyErr_SetString(type.ptr(), error.what());
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const BadLogits& error) {
    raise("NumericError", error);
  } catch (const NothingAllowed& error) {
    raise("SettingsError", error);
  }
}

void bind_settings(nb::module_& m) {
  nb::enum_<Order>(m, "Order").value("rwkv", Order::kRwkv).value("usual", Order::kUsual);
  using S = SamplerSettings;
  nb::class_<S>(m, "SamplerSettings", "Private: filled in and validated by rookery.sampling.")
      .def(nb::init<>())
      .def_rw("order", &S::order)
      .def_rw("temperature", &S::temperature)
      .def_rw("top_p", &S::top_p)
      .def_rw("min_p", &S::min_p)
      .def_rw("typical_p", &S::typical_p)
      .def_rw("top_k", &S::top_k)
      .def_rw("presence_penalty", &S::presence_penalty)
      .def_rw("frequency_penalty", &S::frequency_penalty)
      .def_rw("penalty_decay", &S::penalty_decay)
      .def_rw("repetition_penalty", &S::repetition_penalty)
      .def_rw("repeat_last_n", &S::repeat_last_n)
      .def_rw("logit_bias", &S::logit_bias)
      .def_rw("ban", &S::ban)
      .def_rw("penalty_free", &S::penalty_free)
      .def_rw("logprobs", &S::logprobs);
}

}  // namespace

void bind_sampler(nb::module_& m) {
  nb::register_exception_translator(translate);
  bind_settings(m);
  using S = SharedSampler;
  nb::class_<S>(m, "Sampler", "Private: wrapped by rookery.sampling.Draw.")
      .def(nb::init<const SamplerSettings&, int, uint64_t>(), nb::arg("settings"), nb::arg("vocab"), nb::arg("seed"))
      .def("sample", &S::sample, nb::arg("logits").noconvert(), nb::arg("allowed").noconvert().none())
      .def("distribution", &S::distribution, nb::arg("logits").noconvert(), nb::arg("allowed").noconvert().none(),
           nb::arg("out").noconvert())
      .def("score", &S::score, nb::arg("logits").noconvert(), nb::arg("token"), nb::arg("top"))
      .def("accept", &S::accept, nb::arg("token"))
      .def("clone", &S::clone, nb::rv_policy::take_ownership)
      .def("reset", &S::reset, nb::arg("seed"))
      .def("reseed", &S::reseed, nb::arg("seed"))
      .def_prop_ro("seed", &S::seed)
      .def_prop_ro("logprobs", &S::logprobs);
}
