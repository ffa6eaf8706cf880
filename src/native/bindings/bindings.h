// One binding function per part of the native core.
#pragma once
#include <nanobind/nanobind.h>

#include <stdexcept>

// ValueError in Python.
inline void require(bool holds, const char* message) {
  if (!holds) throw std::invalid_argument(message);
}

void bind_ceilings(nanobind::module_& m);
void bind_fused(nanobind::module_& m);
void bind_packed(nanobind::module_& m);
void bind_program(nanobind::module_& m);
void bind_quant(nanobind::module_& m);
void bind_sampler(nanobind::module_& m);
void bind_trie(nanobind::module_& m);
void bind_wkv(nanobind::module_& m);
