// The Node-API addon: machines, each with an arena of its own. Nothing is shared between machines, so any number
// of threads may use one each.
#include <node_api.h>
#include <sys/mman.h>
#ifdef EVOLAYER_SANITIZE
#include <sanitizer/asan_interface.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "isa.h"
#include "machine.h"

namespace {

using namespace evolayer;

struct Free {
  void operator()(void* p) const { std::free(p); }
};
template <class T>
using Block = std::unique_ptr<T, Free>;

/** Memory on a cache line; null where there is not enough. */
void* allocate(size_t bytes) {
  void* p = nullptr;
  return posix_memalign(&p, 64, bytes + 64) == 0 ? p : nullptr;
}

/** Zeroed pages, in huge ones where the system has them: an arena is larger than what small ones can be looked up for. */
class Pages {
 public:
  Pages() = default;
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() { free(); }

  bool allocate(size_t bytes) {
    free();
#ifdef EVOLAYER_SANITIZE
    // What comes from the allocator has an end that the sanitizer watches.
    mapped_ = (bytes + 63) / 64 * 64;
    base_ = std::aligned_alloc(64, mapped_);
    if (!base_) return false;
    std::memset(base_, 0, mapped_);
    floats_ = static_cast<float*>(base_);
#else
    mapped_ = bytes + kHuge;
    base_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base_ == MAP_FAILED) {
      base_ = nullptr;
      return false;
    }
    const uintptr_t start = (reinterpret_cast<uintptr_t>(base_) + kHuge - 1) / kHuge * kHuge;
    floats_ = reinterpret_cast<float*>(start);
#ifdef MADV_HUGEPAGE
    // A wish; where it is not granted nothing is lost.
    if (bytes >= kHuge) madvise(floats_, bytes / kHuge * kHuge, MADV_HUGEPAGE);
#endif
#endif
    return true;
  }

  void free() {
#ifdef EVOLAYER_SANITIZE
    std::free(base_);
#else
    if (base_) munmap(base_, mapped_);
#endif
    base_ = nullptr;
    floats_ = nullptr;
  }

  float* floats() const { return floats_; }

 private:
  static constexpr size_t kHuge = size_t(1) << 21;
  void* base_ = nullptr;
  size_t mapped_ = 0;
  float* floats_ = nullptr;
};

/** Instructions that run in one go, decoded. */
struct Piece {
  Block<void> blob;
  std::vector<Range> touched;
};

struct Program {
  std::vector<int32_t> words;
  std::vector<Piece> pieces;
};

/** Words of a piece that starts with `words`: all, or a single instruction where its accesses are watched. */
size_t pieceLength([[maybe_unused]] const int32_t* words, size_t left) {
#ifdef EVOLAYER_SANITIZE
  return left == 0 ? 0 : words[1];
#else
  return left;
#endif
}

/** While it lives, the sanitizer allows no access to an arena but to some ranges, and a vector behind each to read. */
class Watch {
 public:
#ifdef EVOLAYER_SANITIZE
  Watch(const float* arena, size_t floats, const std::vector<Range>& touched) : arena_(arena), floats_(floats) {
    ASAN_POISON_MEMORY_REGION(arena, floats * sizeof(float));
    for (const Range& range : touched) {
      const int64_t end = std::min(range.offset + range.floats + kVector, int64_t(floats));
      ASAN_UNPOISON_MEMORY_REGION(arena + range.offset, (end - range.offset) * sizeof(float));
    }
  }
  ~Watch() { ASAN_UNPOISON_MEMORY_REGION(arena_, floats_ * sizeof(float)); }

 private:
  static constexpr int64_t kVector = 16;
  const float* arena_;
  size_t floats_;
#else
  Watch(const float*, size_t, const std::vector<Range>&) {}
#endif
};

struct Machine {
  const Variant* variant = nullptr;
  size_t floats = 0;
  int images = 0;
  Pages arena;
  Block<float> scratch;
  size_t scratchFloats = 0;
  std::vector<Program> programs;
};

/** Best first; only those that this CPU runs. */
std::vector<const Variant*> runnable() {
  std::vector<const Variant*> list;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma"))
    list.push_back(&kAvx512);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) list.push_back(&kAvx2);
#endif
  list.push_back(&kBase);
  return list;
}

napi_value fail(napi_env env, const char* message) {
  napi_throw_error(env, nullptr, message);
  return nullptr;
}

/** The arguments of a call, as many as are wanted. */
template <size_t N>
struct Arguments {
  napi_value values[N];
  bool complete;

  Arguments(napi_env env, napi_callback_info info) {
    size_t count = N;
    complete = napi_get_cb_info(env, info, &count, values, nullptr, nullptr) == napi_ok && count == N;
  }
};

Machine* machineOf(napi_env env, napi_value value) {
  void* machine = nullptr;
  if (napi_get_value_external(env, value, &machine) != napi_ok) return nullptr;
  return static_cast<Machine*>(machine);
}

/** variants(): [{name, lanes}] */
napi_value variants(napi_env env, napi_callback_info) {
  napi_value list;
  napi_create_array(env, &list);
  uint32_t i = 0;
  for (const Variant* variant : runnable()) {
    napi_value entry, name, lanes;
    napi_create_object(env, &entry);
    napi_create_string_utf8(env, variant->name, NAPI_AUTO_LENGTH, &name);
    napi_create_int32(env, variant->lanes, &lanes);
    napi_set_named_property(env, entry, "name", name);
    napi_set_named_property(env, entry, "lanes", lanes);
    napi_set_element(env, list, i++, entry);
  }
  return list;
}

/** create(index of the variant, floats, images): [machine, arena] */
napi_value create(napi_env env, napi_callback_info info) {
  const Arguments<3> args(env, info);
  uint32_t index;
  double floats;
  int32_t images;
  const auto list = runnable();
  if (!args.complete || napi_get_value_uint32(env, args.values[0], &index) != napi_ok || index >= list.size() ||
      napi_get_value_double(env, args.values[1], &floats) != napi_ok || !(floats >= kSlack && floats < 2147483648.0) ||
      napi_get_value_int32(env, args.values[2], &images) != napi_ok || images < 1)
    return fail(env, "internal: create(variant, floats, images)");
  std::unique_ptr<Machine> machine(new Machine);
  machine->variant = list[index];
  machine->floats = static_cast<size_t>(floats);
  machine->images = images;
  const size_t bytes = machine->floats * sizeof(float);
  if (!machine->arena.allocate(bytes)) return fail(env, "not enough memory");

  napi_value handle, arena, pair;
  void* data = machine->arena.floats();
  napi_create_external(
      env, machine.release(),
      [](napi_env env, void* data, void*) {
        Machine* machine = static_cast<Machine*>(data);
        int64_t ignored;
        napi_adjust_external_memory(env, -int64_t(machine->floats * sizeof(float)), &ignored);
        delete machine;
      },
      nullptr, &handle);
  int64_t ignored;
  napi_adjust_external_memory(env, int64_t(bytes), &ignored);
  // The arena must not outlive its machine, nor the machine its arena: the buffer keeps the machine alive.
  napi_ref keeper;
  napi_create_reference(env, handle, 1, &keeper);
  const napi_status status = napi_create_external_arraybuffer(
      env, data, bytes,
      [](napi_env env, void*, void* keeper) { napi_delete_reference(env, static_cast<napi_ref>(keeper)); }, keeper,
      &arena);
  if (status != napi_ok) {
    napi_delete_reference(env, keeper);
    return fail(env, "this JavaScript engine allows no memory from outside");
  }
  napi_create_array_with_length(env, 2, &pair);
  napi_set_element(env, pair, 0, handle);
  napi_set_element(env, pair, 1, arena);
  return pair;
}

/** Whether there is enough memory. */
bool growScratch(Machine& machine, size_t floats) {
  if (floats <= machine.scratchFloats) return true;
  machine.scratch.reset(static_cast<float*>(allocate(floats * sizeof(float))));
  machine.scratchFloats = machine.scratch ? floats : 0;
  return machine.scratch != nullptr;
}

/** prepare(machine, program): number of the program */
napi_value prepare(napi_env env, napi_callback_info info) {
  const Arguments<2> args(env, info);
  Machine* machine = args.complete ? machineOf(env, args.values[0]) : nullptr;
  napi_typedarray_type type;
  size_t length;
  void* data;
  if (!machine || napi_get_typedarray_info(env, args.values[1], &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_int32_array)
    return fail(env, "internal: prepare(machine, program)");
  Program program;
  program.words.assign(static_cast<int32_t*>(data), static_cast<int32_t*>(data) + length);
  const Variant& variant = *machine->variant;
  const int32_t* words = program.words.data();
  if (const char* fault = check(words, length, machine->floats, machine->images, variant.lanes)) {
    std::string message = std::string("internal: the program has ") + fault;
    return fail(env, message.c_str());
  }
  for (size_t at = 0, size; at < length || program.pieces.empty(); at += size) {
    size = pieceLength(words + at, length - at);
    Piece piece;
#ifdef EVOLAYER_SANITIZE
    check(words + at, size, machine->floats, machine->images, variant.lanes, &piece.touched);
#endif
    const Needs needs = variant.measure(words + at, size);
    piece.blob.reset(allocate(needs.blobBytes));
    if (!piece.blob || !growScratch(*machine, needs.scratchFloats)) return fail(env, "not enough memory");
    variant.decode(machine->arena.floats(), words + at, size, piece.blob.get());
    program.pieces.push_back(std::move(piece));
  }
  machine->programs.push_back(std::move(program));
  napi_value number;
  napi_create_uint32(env, static_cast<uint32_t>(machine->programs.size() - 1), &number);
  return number;
}

/** run(machine, number of the program, images, share, shares, before, total): a share of its work; of several instructions only all */
napi_value run(napi_env env, napi_callback_info info) {
  const Arguments<7> args(env, info);
  Machine* machine = args.complete ? machineOf(env, args.values[0]) : nullptr;
  uint32_t number;
  Batch batch;
  Share share;
  if (!machine || napi_get_value_uint32(env, args.values[1], &number) != napi_ok ||
      number >= machine->programs.size() || napi_get_value_int32(env, args.values[2], &batch.images) != napi_ok ||
      batch.images < 1 || batch.images > machine->images || napi_get_value_int32(env, args.values[3], &share.index) != napi_ok ||
      napi_get_value_int32(env, args.values[4], &share.count) != napi_ok || share.index < 0 ||
      share.index >= share.count || napi_get_value_int32(env, args.values[5], &batch.before) != napi_ok ||
      napi_get_value_int32(env, args.values[6], &batch.total) != napi_ok || batch.before < 0 ||
      batch.before > batch.total - batch.images)
    return fail(env, "internal: run(machine, program, images, share, shares, before, total)");
  const std::vector<int32_t>& words = machine->programs[number].words;
  if (share.count > 1 && (words.empty() || size_t(words[1]) != words.size()))
    return fail(env, "internal: a share of several instructions");
  share.count = std::min(share.count, batch.images);
  if (share.index >= share.count) return nullptr;
  float* arena = machine->arena.floats();
  for (const Piece& piece : machine->programs[number].pieces) {
    const Watch watch(arena, machine->floats, piece.touched);
    const int status = machine->variant->run(arena, piece.blob.get(), machine->scratch.get(), batch, share);
    if (status == kLabelOutOfRange) return fail(env, "internal: a label that is no class of the network");
  }
  return nullptr;
}

/** close(machine, arena): frees the memory now; the arena has length 0 afterwards. */
napi_value close(napi_env env, napi_callback_info info) {
  const Arguments<2> args(env, info);
  Machine* machine = args.complete ? machineOf(env, args.values[0]) : nullptr;
  if (!machine || napi_detach_arraybuffer(env, args.values[1]) != napi_ok)
    return fail(env, "internal: close(machine, arena)");
  int64_t ignored;
  napi_adjust_external_memory(env, -int64_t(machine->floats * sizeof(float)), &ignored);
  machine->programs.clear();
  machine->arena.free();
  machine->scratch.reset();
  machine->floats = 0;
  return nullptr;
}

/** exercise(index of the variant, iterations): multiply-adds done, for measuring the core's peak */
napi_value exercise(napi_env env, napi_callback_info info) {
  const Arguments<2> args(env, info);
  uint32_t index;
  int64_t iterations;
  const auto list = runnable();
  if (!args.complete || napi_get_value_uint32(env, args.values[0], &index) != napi_ok || index >= list.size() ||
      napi_get_value_int64(env, args.values[1], &iterations) != napi_ok)
    return fail(env, "internal: exercise(variant, iterations)");
  napi_value done;
  napi_create_double(env, list[index]->exercise(iterations), &done);
  return done;
}

#ifdef EVOLAYER_SANITIZE
/** trespass(index of the variant, fault): does one of three things, each of which a sanitizer ends the process for */
napi_value trespass(napi_env env, napi_callback_info info) {
  const Arguments<2> args(env, info);
  enum { kBehindArena, kBehindRange, kOverflow };
  constexpr int kFloats = 1 << 12;
  uint32_t index, fault;
  const auto list = runnable();
  Pages pages;
  if (!args.complete || napi_get_value_uint32(env, args.values[0], &index) != napi_ok || index >= list.size() ||
      napi_get_value_uint32(env, args.values[1], &fault) != napi_ok || fault > kOverflow ||
      !pages.allocate(kFloats * sizeof(float)))
    return fail(env, "internal: trespass(variant, fault)");
  const int floats = fault == kBehindArena ? kFloats : kFloats / 2;
  const Watch watch(pages.floats(), kFloats, {{0, floats - (fault == kBehindRange ? 16 : 0)}});
  list[index]->trespass(pages.floats(), floats, fault == kOverflow);
  return nullptr;
}
#endif

}  // namespace

NAPI_MODULE_INIT() {
  const struct {
    const char* name;
    napi_callback call;
  } functions[] = {{"variants", variants}, {"create", create}, {"prepare", prepare},
                   {"run", run},           {"close", close},   {"exercise", exercise},
#ifdef EVOLAYER_SANITIZE
                   {"trespass", trespass},
#endif
  };
  for (const auto& function : functions) {
    napi_value value;
    napi_create_function(env, function.name, NAPI_AUTO_LENGTH, function.call, nullptr, &value);
    napi_set_named_property(env, exports, function.name, value);
  }
  return exports;
}
