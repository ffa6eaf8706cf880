#include "trie.h"

#include <nanobind/ndarray.h>

#include "bindings.h"
#include "unlocked.h"

namespace nb = nanobind;
using namespace nb::literals;
using rookery::Bytes;
using rookery::Ids;
using rookery::Trie;

namespace {

using IdsIn = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using IdsOut = nb::ndarray<nb::numpy, int32_t, nb::ndim<1>>;

Bytes view(const nb::bytes& bytes) { return {static_cast<const uint8_t*>(bytes.data()), bytes.size()}; }
nb::bytes copy(Bytes bytes) { return nb::bytes(bytes.data(), bytes.size()); }

IdsOut encode(const Trie& trie, const nb::bytes& text) {
  const Bytes bytes = view(text);
  Ids ids = [&] {
    Unlocked unlocked;
    return trie.encode(bytes);
  }();
  const size_t size = ids.size();
  int32_t* data = ids.release();
  nb::capsule owner(data, [](void* p) noexcept { std::free(p); });
  return IdsOut(data, {size}, owner);
}

nb::bytes decode(const Trie& trie, const IdsIn& ids) {
  std::vector<uint8_t> text;
  {
    Unlocked unlocked;
    for (size_t i = 0; i < ids.shape(0); ++i) {
      const Bytes token = trie.token(ids.data()[i]);
      text.insert(text.end(), token.begin(), token.end());
    }
  }
  return copy(text);
}

}  // namespace

void bind_trie(nb::module_& m) {
  nb::class_<Trie>(m, "Trie", "Greedy longest match over bytes; see src/native/trie.h for the table and the packed form.")
      .def("__init__", [](Trie* trie, const nb::bytes& table) { new (trie) Trie(view(table)); }, "table"_a)
      .def_static("unpack", [](const nb::bytes& packed) { return Trie::unpack(view(packed)); }, "packed"_a)
      .def("pack", [](const Trie& trie) { return copy(trie.pack()); })
      .def("encode", encode, "text"_a, "Ids (int32) of bytes; ValueError where no token matches.")
      .def("decode", decode, "ids"_a, "The bytes of ids (int64); ValueError for a negative one.")
      .def("token", [](const Trie& trie, int64_t id) { return copy(trie.token(id)); }, "id"_a)
      .def_prop_ro("table", [](const Trie& trie) { return copy(trie.table()); })
      .def_prop_ro("size", &Trie::size, "Highest id + 1.")
      .def_ro_static("FORMAT", &Trie::kFormat)
      .def_ro_static("MOST_IDS", &Trie::kMostIds)
      .def_ro_static("LONGEST_TOKEN", &Trie::kLongestToken);
}
