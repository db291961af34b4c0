// One kernel variant: programs decoded and run with the kernels of this instruction set. Compiled once per
// variant, with EVOLAYER_LANES, EVOLAYER_VARIANT and EVOLAYER_NAME set.
#include "kernels/depthwise-weights.h"
#include "kernels/excite.h"
#include "kernels/network.h"
#include "kernels/sweep.h"

namespace evolayer {
namespace {

/** An instruction, ready to run. */
struct Step {
  Instruction code;
  /** Its fields. */
  const int32_t* words;
  /** Of `sweep` and `small`. */
  const Sweep* sweep;
};

struct Program {
  const Step* steps;
  int count;
};

/** Calls f(instruction, fields) for each instruction. */
template <class F>
void forInstructions(const int32_t* words, size_t count, F&& f) {
  for (size_t at = 0; at < count; at += words[at + 1]) f(static_cast<Instruction>(words[at]), words + at + 2);
}

const Program* build(float* arena, const int32_t* words, size_t count, Bump& bump) {
  int instructions = 0;
  forInstructions(words, count, [&](Instruction, const int32_t*) { instructions++; });
  Program* program = bump.take<Program>(1);
  Step* steps = bump.take<Step>(instructions);
  if (program) *program = {steps, instructions};
  forInstructions(words, count, [&](Instruction code, const int32_t* fields) {
    const Sweep* sweep = nullptr;
    if (code == Instruction::Sweep) sweep = SweepDecoder(arena, fields, bump).sweep();
    if (code == Instruction::Small) sweep = SweepDecoder(arena, fields, bump).small();
    if (steps) *steps++ = {code, fields, sweep};
  });
  return program;
}

/** Floats of packed weights that an instruction needs. */
size_t scratchOf(Instruction code, const int32_t* w) {
  switch (code) {
    case Instruction::Conv: {
      const Tensor &x = tensorAt(w), &y = tensorAt(w + kTensorWords + 1);
      const int64_t size = w[2 * kTensorWords + 1];
      return size * size * x.channels * packedWidth(y.channels);
    }
    case Instruction::ConvInputGradient: {
      const Tensor &dy = tensorAt(w), &dx = tensorAt(w + kTensorWords + 1);
      const int64_t size = w[2 * kTensorWords + 1];
      return size * size * dy.channels * packedWidth(dx.channels);
    }
    case Instruction::Depthwise:
    case Instruction::DepthwiseInputGradient:
      return depthwiseScratch(w[2 * kTensorWords + 1], tensorAt(w).channels);
    case Instruction::Dense: {
      const Tensor &x = tensorAt(w), &y = tensorAt(w + kTensorWords + 2);
      return size_t(x.channels) * packedWidth(y.channels);
    }
    case Instruction::DenseGradient: {
      const Tensor &x = tensorAt(w), &dy = tensorAt(w + kTensorWords + 1);
      return size_t(dy.channels) * packedWidth(x.channels);
    }
    default: return 0;
  }
}

Needs measure(const int32_t* words, size_t count) {
  Bump bump(nullptr);
  build(nullptr, words, count, bump);
  size_t scratch = 0;
  forInstructions(words, count, [&](Instruction code, const int32_t* fields) {
    scratch = most(scratch, scratchOf(code, fields));
  });
  return {bump.used(), scratch + kSlack};
}

void decode(float* arena, const int32_t* words, size_t count, void* blob) {
  Bump bump(blob);
  build(arena, words, count, bump);
}

/** Runs an instruction that works image by image on some of the images; false where it does not. */
bool runImages(const Step& step, float* arena, float* scratch, Batch batch, Share share) {
  const int32_t* w = step.words;
  constexpr int T = kTensorWords;
  const int begin = beginOf(share, batch.images), n = endOf(share, batch.images) - begin;
  const auto tensor = [&](int at) { return fromImage(tensorAt(w + at), begin); };
  switch (step.code) {
    case Instruction::Conv: {
      const Tensor r = w[2 * T + 3] ? tensor(2 * T + 4) : Tensor{};
      convolve(tensor(0), arena + w[T], tensor(T + 1), {w[2 * T + 1], w[2 * T + 2]}, w[2 * T + 3] ? &r : nullptr, arena,
               scratch, n);
      return true;
    }
    case Instruction::ConvInputGradient:
      inputGradient(tensor(0), arena + w[T], tensor(T + 1), {w[2 * T + 1], w[2 * T + 2]}, w[2 * T + 3] != 0, arena,
                    scratch, n);
      return true;
    case Instruction::Depthwise:
      depthwise(tensor(0), arena + w[T], tensor(T + 1), {w[2 * T + 1], w[2 * T + 2]}, arena, scratch, n);
      return true;
    case Instruction::DepthwiseInputGradient:
      depthwiseInputGradient(tensor(0), arena + w[T], tensor(T + 1), {w[2 * T + 1], w[2 * T + 2]}, w[2 * T + 3] != 0,
                             arena, scratch, n);
      return true;
    case Instruction::Pool: return pool(tensor(0), tensor(T), arena, n), true;
    case Instruction::PoolGradient: return poolGradient(tensor(0), tensor(T), w[2 * T] != 0, arena, n), true;
    case Instruction::Silu: return silu(tensor(0), tensor(T), arena, n), true;
    case Instruction::SiluGradient: return siluGradient(tensor(0), tensor(T), tensor(2 * T), arena, n), true;
    case Instruction::Sigmoid: return sigmoid(tensor(0), tensor(T), arena, n), true;
    case Instruction::SigmoidGradient: return sigmoidGradient(tensor(0), tensor(T), tensor(2 * T), arena, n), true;
    case Instruction::Scale: return scale(tensor(0), tensor(T), tensor(2 * T), arena, n), true;
    case Instruction::ScaleFactorGradient:
      return scaleFactorGradient(tensor(0), tensor(T), tensor(2 * T), arena, n), true;
    case Instruction::ScaleInputGradient:
      scaleInputGradient(tensor(0), tensor(T), tensor(2 * T), tensor(3 * T), w[4 * T] != 0, arena, n);
      return true;
    case Instruction::Add: return addTensors(tensor(0), tensor(T), tensor(2 * T), arena, n), true;
    case Instruction::Copy: return copyTensor(tensor(0), tensor(T), arena, n), true;
    case Instruction::ZeroHalo: return zeroHalo(tensor(0), arena, n), true;
    case Instruction::Sweep: return runSweep(*step.sweep, begin, begin + n, batch), true;
    default: return false;
  }
}

/** Runs an instruction that sums over all images. */
Status runSums(const Step& step, float* arena, float* scratch, Batch batch, Share share) {
  const int32_t* w = step.words;
  constexpr int T = kTensorWords;
  const int images = batch.images;
  switch (step.code) {
    case Instruction::ConvWeightGradient:
      weightGradient(tensorAt(w), tensorAt(w + T), arena + w[2 * T], {w[2 * T + 1], w[2 * T + 2]}, arena, batch, share);
      return kDone;
    case Instruction::DepthwiseWeightGradient:
      depthwiseWeightGradient(tensorAt(w), tensorAt(w + T), arena + w[2 * T], {w[2 * T + 1], w[2 * T + 2]}, arena,
                              batch, share);
      return kDone;
    default: break;
  }
  if (share.index > 0) return kDone;
  switch (step.code) {
    case Instruction::Dense:
      dense(tensorAt(w), arena + w[T], arena + w[T + 1], tensorAt(w + T + 2), arena, scratch, images);
      break;
    case Instruction::DenseGradient: {
      const Tensor &x = tensorAt(w), &dy = tensorAt(w + T + 1), &dx = tensorAt(w + 2 * T + 1);
      denseWeightGradient(x, dy, arena + w[3 * T + 2], arena + w[3 * T + 3], arena, batch);
      denseInputGradient(dy, arena + w[T], dx, w[3 * T + 1] != 0, arena, scratch, images);
      break;
    }
    case Instruction::Loss:
      return loss(tensorAt(w), reinterpret_cast<const int32_t*>(arena + w[T]), tensorAt(w + T + 1),
                  reinterpret_cast<double*>(arena + w[2 * T + 1]), arena, batch);
    case Instruction::Sgd: sgd(arena + w[0], arena + w[1], arena + w[2], w[3], arena + w[4], w[5] != 0); break;
    case Instruction::Zero: std::memset(arena + w[0], 0, sizeof(float) * w[1]); break;
    case Instruction::Small: runSmall(*step.sweep, batch); break;
    default: break;
  }
  return kDone;
}

/** Denormal numbers count as 0 while a program runs; they would cost a hundred times as much as others. */
class FlushDenormals {
 public:
  FlushDenormals() : before_(get()) { set(before_ | kFlush); }
  ~FlushDenormals() { set(before_); }
  FlushDenormals(const FlushDenormals&) = delete;

 private:
#if defined(__x86_64__)
  using Word = unsigned;
  static constexpr Word kFlush = 0x8040;
  static Word get() { return _mm_getcsr(); }
  static void set(Word word) { _mm_setcsr(word); }
#elif defined(__aarch64__)
  using Word = uint64_t;
  static constexpr Word kFlush = Word(1) << 24;
  static Word get() {
    Word word;
    __asm__ volatile("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void set(Word word) { __asm__ volatile("msr fpcr, %0" : : "r"(word)); }
#else
  using Word = int;
  static constexpr Word kFlush = 0;
  static Word get() { return 0; }
  static void set(Word) {}
#endif

  Word before_;
};

int run(float* arena, const void* blob, float* scratch, Batch batch, Share share) {
  const FlushDenormals flush;
  const Program& program = *static_cast<const Program*>(blob);
  for (int i = 0; i < program.count; i++) {
    const Step& step = program.steps[i];
    if (runImages(step, arena, scratch, batch, share)) continue;
    if (const Status status = runSums(step, arena, scratch, batch, share)) return status;
  }
  return kDone;
}

/** Chains of multiply-adds that start apart, lest the compiler merges them. */
double exercise(int64_t iterations) {
  constexpr int kChains = 12, kTurns = 8;
  Float<kLanes> sums[kChains];
  repeat<kChains>([&](auto i) EVOLAYER_LAMBDA { sums[i] = splat<kLanes>(2.0f + i); });
  const Float<kLanes> factor = splat<kLanes>(0.999f), term = splat<kLanes>(1e-3f);
  for (int64_t n = 0; n < iterations; n++)
    repeat<kTurns>([&](auto) EVOLAYER_LAMBDA {
      repeat<kChains>([&](auto i) EVOLAYER_LAMBDA { sums[i] = sums[i] * factor + term; });
    });
  float sink = 0;
  repeat<kChains>([&](auto i) EVOLAYER_LAMBDA { sink += sums[i][0]; });
  // The result is used, so that the loop is not removed.
  return double(iterations) * kTurns * kChains * kLanes + (sink == 0 ? 1 : 0);
}

#ifdef EVOLAYER_SANITIZE
void trespass(float* array, int n, bool overflow) {
  if (overflow)
    array[0] = static_cast<float>(INT32_MAX + n);
  else
    store<kLanes>(array + n, splat<kLanes>(1));
}
#endif

}  // namespace

extern const Variant EVOLAYER_VARIANT = {EVOLAYER_NAME, kLanes, measure, decode, run, exercise,
#ifdef EVOLAYER_SANITIZE
                                         trespass
#endif
};

}  // namespace evolayer
