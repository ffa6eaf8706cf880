#include "bindings.h"

void bind_sampler(nanobind::module_&) {}
