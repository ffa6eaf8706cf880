#include "bindings.h"

void bind_trie(nanobind::module_&) {}
