// Is a program one that the kernels can run without leaving the arena? Asked once per program.
#pragma once
#include <cstddef>
#include <cstdint>

namespace evolayer {

/** Null, or what is wrong with the program. */
const char* check(const int32_t* words, size_t count, size_t arenaFloats, int images, int lanes);

}  // namespace evolayer
