#include "check.h"

#include "isa.h"

namespace evolayer {
namespace {

constexpr int kTensor = 5;

/** Fields of instructions of fixed length, by opcode; `sweep` and `small` count for themselves. */
int fieldsOf(Instruction code) {
  switch (code) {
    case Instruction::Conv: return 3 * kTensor + 4;
    case Instruction::ConvInputGradient: return 2 * kTensor + 4;
    case Instruction::ConvWeightGradient: return 2 * kTensor + 3;
    case Instruction::Depthwise: return 2 * kTensor + 3;
    case Instruction::DepthwiseInputGradient: return 2 * kTensor + 4;
    case Instruction::DepthwiseWeightGradient: return 2 * kTensor + 3;
    case Instruction::Pool: return 2 * kTensor;
    case Instruction::PoolGradient: return 2 * kTensor + 1;
    case Instruction::Dense: return 2 * kTensor + 2;
    case Instruction::DenseGradient: return 3 * kTensor + 4;
    case Instruction::Silu:
    case Instruction::Sigmoid: return 2 * kTensor;
    case Instruction::SiluGradient:
    case Instruction::SigmoidGradient:
    case Instruction::Scale:
    case Instruction::ScaleFactorGradient: return 3 * kTensor;
    case Instruction::ScaleInputGradient: return 4 * kTensor + 1;
    case Instruction::Loss: return 2 * kTensor + 2;
    case Instruction::Sgd: return 6;
    case Instruction::Add: return 3 * kTensor;
    case Instruction::Copy: return 2 * kTensor;
    case Instruction::Zero: return 2;
    case Instruction::ZeroHalo: return kTensor;
    default: return -1;
  }
}

/** Goes through a program; the first fault stays in `fault`. */
class Checker {
 public:
  Checker(size_t floats, int images, int lanes, std::vector<Range>* touched)
      : floats_(int64_t(floats) - kSlack), images_(images), lanes_(lanes), touched_(touched) {}

  const char* fault = nullptr;

  void instruction(Instruction code, const int32_t* w, int64_t length) {
    if (code == Instruction::Sweep) return sweep(w, length);
    if (code == Instruction::Small) return small(w, length);
    if (length != fieldsOf(code)) return wrong("an instruction of the wrong length");
    switch (code) {
      case Instruction::Conv:
        tensor(w), tensor(w + 6);
        if (w[13] != 0) tensor(w + 14), sameShape(w + 6, w + 14);
        return convolution(w, w + 6, w + 11, w[5], w[4]);
      case Instruction::ConvInputGradient:
        tensor(w), tensor(w + 6);
        return convolution(w + 6, w, w + 11, w[5], w[4]);
      case Instruction::ConvWeightGradient:
        tensor(w), tensor(w + 5);
        return convolution(w, w + 5, w + 11, w[10], w[4]);
      case Instruction::Depthwise:
        tensor(w), tensor(w + 6);
        return depthwise(w, w + 6, w + 11, w[5], w[4]);
      case Instruction::DepthwiseInputGradient:
        tensor(w), tensor(w + 6);
        return depthwise(w + 6, w, w + 11, w[5], w[4]);
      case Instruction::DepthwiseWeightGradient:
        tensor(w), tensor(w + 5);
        return depthwise(w, w + 5, w + 11, w[10], w[4]);
      case Instruction::Pool:
      case Instruction::PoolGradient: {
        tensor(w), tensor(w + 5);
        const int32_t* pooled = code == Instruction::Pool ? w + 5 : w;
        pixel(pooled);
        if (w[3] != w[8]) wrong("a pool that changes the channels");
        return;
      }
      case Instruction::Dense:
        tensor(w), tensor(w + 7), pixel(w), pixel(w + 7);
        block(w[5], int64_t(w[3]) * w[10]), block(w[6], w[10]);
        return;
      case Instruction::DenseGradient:
        tensor(w), tensor(w + 6), tensor(w + 11), pixel(w), pixel(w + 6), pixel(w + 11);
        block(w[5], int64_t(w[3]) * w[9]), block(w[17], int64_t(w[3]) * w[9]), block(w[18], w[9]);
        sameShape(w, w + 11);
        return;
      case Instruction::Silu:
      case Instruction::Sigmoid: return alike(w, 2);
      case Instruction::SiluGradient:
      case Instruction::SigmoidGradient: return alike(w, 3);
      case Instruction::Scale:
        tensor(w), tensor(w + 5), tensor(w + 10);
        return sameShape(w, w + 10), factor(w + 5, w);
      case Instruction::ScaleFactorGradient:
        tensor(w), tensor(w + 5), tensor(w + 10);
        return sameShape(w, w + 5), factor(w + 10, w);
      case Instruction::ScaleInputGradient:
        tensor(w), tensor(w + 5), tensor(w + 10), tensor(w + 15);
        return sameShape(w, w + 15), factor(w + 5, w), factor(w + 10, w);
      case Instruction::Loss:
        tensor(w), pixel(w), block(w[5], images_), block(w[11], 4);
        if (w[11] % 2 != 0) wrong("a result at an odd offset");
        if (w[6] >= 0) tensor(w + 6), sameShape(w, w + 6);
        return;
      case Instruction::Sgd:
        for (int i = 0; i < 3; i++) block(w[i], w[3]);
        return block(w[4], 3);
      case Instruction::Add:
        tensor(w), tensor(w + 5), tensor(w + 10);
        sameShape(w, w + 10), sameShape(w + 5, w + 10);
        return;
      case Instruction::Copy:
        tensor(w), tensor(w + 5), sameShape(w, w + 5);
        return;
      case Instruction::Zero: return block(w[0], w[1]);
      default: return tensor(w);
    }
  }

 private:
  void wrong(const char* what) {
    if (!fault) fault = what;
  }

  void block(int64_t offset, int64_t floats) {
    if (offset < 0 || floats < 0 || offset + floats > floats_) wrong("an address outside of the arena");
    if (touched_) touched_->push_back({offset, floats});
  }

  void tensor(const int32_t* t) {
    const int64_t height = t[1], width = t[2], channels = t[3], halo = t[4];
    constexpr int64_t kMost = 1 << 15;
    if (height < 1 || width < 1 || channels < 1 || halo < 0 || height > kMost || width > kMost || channels > kMost ||
        halo > kMost)
      return wrong("a tensor of impossible size");
    // Neither product overflows: the second has at most the floats of the arena as its first factor.
    const int64_t image = (height + 2 * halo) * (width + 2 * halo) * channels;
    if (image > floats_) return wrong("an address outside of the arena");
    block(t[0], images_ * image);
  }

  void pixel(const int32_t* t) {
    if (t[1] != 1 || t[2] != 1) wrong("a feature map where a vector is wanted");
  }

  void sameShape(const int32_t* a, const int32_t* b) {
    if (a[1] != b[1] || a[2] != b[2] || a[3] != b[3]) wrong("tensors of different shapes");
  }

  /** A convolution from x to y, of tensors that have been looked at; its kernel is [size, stride]. `halo`: of what is read. */
  void convolution(const int32_t* x, const int32_t* y, const int32_t* kernel, int32_t weights, int32_t halo) {
    const int64_t size = kernel[0], stride = kernel[1];
    if (fault) return;
    if (size < 1 || size > 31 || size % 2 == 0 || stride < 1 || stride > 2) return wrong("an impossible kernel");
    const auto out = [&](int64_t n) { return (n + stride - 1) / stride; };
    if (out(x[1]) != y[1] || out(x[2]) != y[2]) wrong("a convolution to the wrong size");
    if (halo < (size - 1) / 2) wrong("a tensor without the halo that its convolution wants");
    block(weights, size * size * x[3] * y[3]);
  }

  /** Likewise, of every channel on its own. */
  void depthwise(const int32_t* x, const int32_t* y, const int32_t* kernel, int32_t weights, int32_t halo) {
    if (fault) return;
    if (x[3] != y[3]) return wrong("tensors of different channels");
    const int32_t channel[] = {x[0], x[1], x[2], 1, x[4]}, result[] = {y[0], y[1], y[2], 1, y[4]};
    convolution(channel, result, kernel, weights, halo);
    if (!fault) block(weights, int64_t(kernel[0]) * kernel[0] * x[3]);
  }

  /** `count` tensors of one shape. */
  void alike(const int32_t* w, int count) {
    for (int i = 0; i < count; i++) tensor(w + i * kTensor), sameShape(w, w + i * kTensor);
  }

  /** One number per image and channel of t. */
  void factor(const int32_t* f, const int32_t* t) {
    pixel(f);
    if (f[3] != t[3]) wrong("tensors of different channels");
  }

  void sweep(const int32_t* w, int64_t length) {
    if (length < 10) return wrong("a sweep that ends early");
    const int64_t pixels = int64_t(w[0]) * w[1];
    channels_ = w[2], period_ = w[3], registers_ = w[5], tensors_ = w + 9, tensorCount_ = w[8];
    if (w[0] < 1 || w[1] < 1 || pixels > (1 << 30) || w[4] < 1 || registers_ < 0 || w[6] < 0 || tensorCount_ < 0)
      return wrong("a sweep of impossible size");
    shape();
    if (fault) return;
    const int64_t tileFloats = (int64_t(w[4]) * channels_ + lanes_ - 1) / lanes_ * lanes_;
    constexpr int64_t kMostFloats = 1 << 26;
    if (tileFloats > kMostFloats || pixels * channels_ > kMostFloats) return wrong("a sweep of impossible size");
    if (registers_ > 0 && w[6] < tileFloats) return wrong("registers smaller than a tile");
    block(w[7], int64_t(registers_) * w[6]);
    const int32_t *at = w + 9, *end = w + length;
    if (tensorCount_ > (end - at) / kTensor) return wrong("a sweep that ends early");
    for (int i = 0; i < tensorCount_; i++, at += kTensor) {
      tensor(at);
      if (at[1] != w[0] || at[2] != w[1] || at[3] != w[2]) wrong("a tensor that is not of its sweep's shape");
    }
    if (at == end) return wrong("a sweep that ends early");
    const int passes = *at++;
    if (passes < 0) return wrong("a sweep that ends early");
    for (int i = 0; i < passes && !fault; i++) {
      if (end - at < 3) return wrong("a sweep that ends early");
      const int32_t* counts = at;
      at += 3;
      for (int part = 0; part < 3 && !fault; part++) at = records(at, end, counts[part], part == 1);
    }
    if (at != end) wrong("words left over in a sweep");
  }

  void small(const int32_t* w, int64_t length) {
    if (length < 3) return wrong("a small that ends early");
    channels_ = w[0], period_ = w[1], registers_ = tensorCount_ = 0;
    shape();
    if (fault) return;
    if (records(w + 3, w + length, w[2], false) != w + length) wrong("words left over in a small");
  }

  void shape() {
    if (channels_ < 1 || period_ < 1 || period_ > (1 << 24) || period_ % channels_ != 0 || period_ % lanes_ != 0)
      wrong("a period that is no multiple of channels and lanes");
  }

  const int32_t* records(const int32_t* at, const int32_t* end, int64_t count, bool tile) {
    if (count < 0 || count > (end - at) / kRecordWords) {
      wrong("records that end early");
      return at;
    }
    for (; count > 0; count--, at += kRecordWords) record(at, tile);
    return at;
  }

  void record(const int32_t* w, bool tile) {
    if (w[0] < 0 || w[0] > static_cast<int32_t>(Record::Gather)) return wrong("an unknown record");
    const Record code = static_cast<Record>(w[0]);
    const bool reduction = code == Record::Sum || code == Record::Dot || code == Record::Stats;
    const bool final = code >= Record::Moment;
    if (final && tile) return wrong("the end of a reduction inside a tile");
    if (reduction && kind(w[1]) != Operand::Slot) return wrong("a reduction into something else than a slot");
    if (code == Record::Moment && kind(w[3]) != Operand::Slot) return wrong("a moment of something else than a slot");
    if ((code == Record::Moment || code == Record::Fold) && (w[10] < 1 || channels_ % w[10] != 0))
      return wrong("groups that do not divide the channels");
    const bool slot = kind(w[1]) == Operand::Slot || kind(w[1]) == Operand::ImageSlot;
    if (tile && !reduction && slot) return wrong("a tile that is written into a slot");
    for (int i = 0; i <= argumentsOf(code); i++)
      if (kind(w[1 + 2 * i]) == Operand::None) return wrong("a record without an operand");
    // What `spread` reads and `gather` writes is one pixel.
    operand(w[1], w[2], tile, code == Record::Gather ? channels_ : code == Record::Stats ? 3 * period_ : period_);
    operand(w[3], w[4], tile, code == Record::Spread ? channels_ : code == Record::Moment ? 3 * period_ : period_);
    operand(w[5], w[6], tile, period_);
    if (code != Record::Moment) operand(w[7], w[8], tile, period_);
    const int32_t* a = tensorOf(w[3], w[4]);
    const int32_t* others[] = {tensorOf(w[5], w[6]), tensorOf(w[7], w[8])};
    if (a && a[4] > 0 && code != Record::Copy) wrong("an argument with a halo");
    for (const int32_t* t : others)
      if (t && t[4] > 0) wrong("an argument with a halo");
  }

  static Operand kind(int32_t word) { return static_cast<Operand>(word); }

  static int argumentsOf(Record code) {
    switch (code) {
      case Record::Fma:
      case Record::Fnma:
      case Record::Fms:
      case Record::Gate: return 3;
      case Record::Add:
      case Record::Mul:
      case Record::Div:
      case Record::Max:
      case Record::Step:
      case Record::Sub:
      case Record::Complement:
      case Record::TanhGradient:
      case Record::Dot: return 2;
      default: return 1;
    }
  }

  const int32_t* tensorOf(int32_t kind, int32_t at) const {
    const bool named = static_cast<Operand>(kind) == Operand::Tensor && at >= 0 && at < tensorCount_;
    return named ? tensors_ + at * kTensor : nullptr;
  }

  /** `floats`: how many a slot has. */
  void operand(int32_t kind, int32_t at, bool tile, int64_t floats) {
    switch (static_cast<Operand>(kind)) {
      case Operand::None: return;
      case Operand::Register:
        if (!tile || at < 0 || at >= registers_) wrong("an unknown register");
        return;
      case Operand::Tensor:
        if (!tile || at < 0 || at >= tensorCount_) wrong("an unknown tensor");
        return;
      case Operand::ImageSlot: return block(at, (images_ - 1) * period_ + floats);
      case Operand::Slot: return block(at, floats);
    }
    wrong("an unknown kind of operand");
  }

  int64_t floats_;
  int64_t images_;
  int lanes_;
  std::vector<Range>* touched_;
  int channels_ = 0, period_ = 0, registers_ = 0, tensorCount_ = 0;
  const int32_t* tensors_ = nullptr;
};

}  // namespace

const char* check(const int32_t* words, size_t count, size_t arenaFloats, int images, int lanes,
                  std::vector<Range>* touched) {
  Checker checker(arenaFloats, images, lanes, touched);
  for (size_t at = 0; at < count && !checker.fault;) {
    if (count - at < 2 || words[at + 1] < 2 || size_t(words[at + 1]) > count - at) return "an instruction that ends early";
    if (words[at] < 0 || words[at] > static_cast<int32_t>(Instruction::Small)) return "an unknown instruction";
    checker.instruction(static_cast<Instruction>(words[at]), words + at + 2, words[at + 1] - 2);
    at += words[at + 1];
  }
  return checker.fault;
}

}  // namespace evolayer
