// Checksums of what lies in a native file: they find damage, not malice.  docs/native-file.md says every step.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rookery {

// Of one piece of data: a group of a packed matrix, or a row of numbers.
uint64_t piece_checksum(const uint8_t* data, size_t bytes);

// Of the pieces before, whose checksum is `before` (0 for none), and `count` more.
uint64_t fold_checksums(const uint64_t* pieces, size_t count, uint64_t before = 0);

}  // namespace rookery
