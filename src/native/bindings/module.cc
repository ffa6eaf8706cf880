// The extension module.  Files in this folder are the only ones that know Python.
#include "bindings.h"
#include "unlocked.h"

NB_MODULE(_native, m) {
  m.doc() = "Rookery's native core: programs, weight formats, sampling, tokenising.";
  bind_ceilings(m);
  bind_fused(m);
  bind_packed(m);
  bind_program(m);
  bind_quant(m);
  bind_sampler(m);
  bind_trie(m);
  bind_unlocked(m);
  bind_wkv(m);
}
