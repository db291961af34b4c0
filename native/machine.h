// What the addon and the kernel variants share: plain data alone. The variants are compiled with different
// instruction sets, so that an inline function here would be linked from any one of them.
#pragma once
#include <cstddef>
#include <cstdint>

namespace evolayer {

/** What a program needs besides its arena. */
struct Needs {
  /** The decoded program. */
  size_t blobBytes;
  /** Memory that instructions use while they run, in floats. */
  size_t scratchFloats;
};

/** Codes that `run` returns. */
enum Status : int { kDone = 0, kLabelOutOfRange = 1 };

/** One of `count` about equal parts of the work of an instruction. */
struct Share {
  int index, count;
};

/** The images of one run: `images` of a batch of `total`, after `before` others that earlier runs had. */
struct Batch {
  int images, before, total;

  /** Whether sums over the batch go on from what earlier runs left. */
  constexpr bool continues() const { return before > 0; }
};

/** The kernels, compiled for one instruction set. Programs that come here have passed `check`. */
struct Variant {
  const char* name;
  int lanes;
  Needs (*measure)(const int32_t* words, size_t count);
  /** Writes `blobBytes` to `blob`, which is aligned to 64 bytes. It points into the arena and into `words`. */
  void (*decode)(float* arena, const int32_t* words, size_t count, void* blob);
  /** A share of every instruction; instructions that cannot be divided run with the first. */
  int (*run)(float* arena, const void* blob, float* scratch, Batch batch, Share share);
  /** `iterations` of independent multiply-adds; returns how many operations (two each) that were. */
  double (*exercise)(int64_t iterations);
#ifdef EVOLAYER_SANITIZE
  /** Does what a sanitizer must stop: writes behind an array of n floats, or overflows. */
  void (*trespass)(float* array, int n, bool overflow);
#endif
};

extern const Variant kBase;
#if defined(__x86_64__)
extern const Variant kAvx2;
extern const Variant kAvx512;
#endif

}  // namespace evolayer
