// Formats that GGUF does not have: rows with a scale of their own, and blocks with a codebook.
#pragma once
#include <cstdint>

#include "encode_blocks.h"

namespace rookery {

// A row of a format with a head.  head: the row's scale if it is given already, else null: the best one is searched.
void encode_headed(Format format, const float* row, const float* importance, const uint8_t* head, uint8_t* out, int n);

void encode_nf4(const Block& block, uint8_t* out);

}  // namespace rookery
