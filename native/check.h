// Is a program one that the kernels can run without leaving the arena? Asked once per program.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace evolayer {

/** Part of an arena, in floats. */
struct Range {
  int64_t offset, floats;
};

/** Null, or what is wrong with the program. What it may touch is added to `touched`, where that is not null. */
const char* check(const int32_t* words, size_t count, size_t arenaFloats, int images, int lanes,
                  std::vector<Range>* touched = nullptr);

}  // namespace evolayer
