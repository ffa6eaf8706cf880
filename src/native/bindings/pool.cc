#include "pool.h"

#include <pthread.h>

namespace {

Pool* pool = nullptr;  // never destroyed: daemon threads may outlive static variables

}  // namespace

Pool& Pool::shared() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
  static const bool made = (pool = new Pool, true);
  (void)registered, (void)made;
  return *pool;
}
