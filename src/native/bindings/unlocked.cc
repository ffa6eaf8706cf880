#include "unlocked.h"

#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace nb = nanobind;

namespace {

// All under the interpreter lock.
int working = 0;
bool leaving = false;
std::thread::id last;  // the thread that ends the interpreter; it may still work

void leave() {
  leaving = true;
  last = std::this_thread::get_id();
  while (working > 0) {
    {
      nb::gil_scoped_release released;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
  }
}

}  // namespace

Unlocked::Unlocked() {
  if (leaving && std::this_thread::get_id() != last) {
    nb::gil_scoped_release released;
    for (;;) pause();
  }
  ++working;
  released_.emplace();
}

Unlocked::~Unlocked() {
  released_.reset();
  --working;
}

void bind_unlocked(nb::module_&) {
  pthread_atfork(nullptr, nullptr, [] { working = 0; });  // the child has none of the threads that work
  nb::module_::import_("atexit").attr("register")(nb::cpp_function(leave));
#ifdef NDEBUG
  nb::set_leak_warnings(false);  // daemon threads keep what they use until the process ends
#endif
}
