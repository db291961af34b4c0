// `sweep` and `small`: records over tiles of an image, and over slots.
#pragma once
#include "reduce.h"
#include "tensor.h"

namespace evolayer {
namespace {

/** Words of a record. */
struct RecordWords {
  Record code;
  Operand dstKind;
  int32_t dst;
  Operand aKind;
  int32_t a;
  Operand bKind;
  int32_t b;
  Operand cKind;
  int32_t c, p0, p1, p2;
};
static_assert(sizeof(RecordWords) == kRecordWords * sizeof(int32_t), "a record is twelve words");

/** An operand as an address. */
struct Place {
  float* base;
  /** Floats from one image, row of pixels, and pixel to the next; 0 where it does not move. */
  int32_t image, row, column;
  /** Floats from one period to the next: 0 for a slot. */
  int32_t step;
  bool tensor, halo;

  EVOLAYER_INLINE float* inImage(int i) const { return base + int64_t(i) * image; }
  /** Pixel p of image i: of a tensor without a halo. */
  EVOLAYER_INLINE float* pixel(int i, int p) const { return inImage(i) + int64_t(p) * column; }
  EVOLAYER_INLINE float* pixel(int i, int r, int c) const { return inImage(i) + int64_t(r) * row + c * column; }
};

struct DecodedRecord {
  /** Null for reductions and final records. */
  Elementwise elementwise;
  Place dst, a, b, c;
  /** Rows must be taken one by one, for an operand has a halo. */
  bool byRow;
  RecordWords words;
};

struct RecordList {
  const DecodedRecord* records;
  int count;
};
struct Pass {
  RecordList prelude, tile, epilogue;
};
/** `small` is a sweep over one image of no pixels: one pass with a prelude alone. */
struct Sweep {
  int height, width, channels, period, tilePixels;
  int passCount;
  const Pass* passes;
};

/** Hands out the memory of decoded programs; without memory it counts only. */
class Bump {
 public:
  explicit Bump(void* memory) : memory_(static_cast<char*>(memory)), used_(0) {}

  template <class T>
  T* take(size_t count) {
    const size_t at = (used_ + alignof(T) - 1) / alignof(T) * alignof(T);
    used_ = at + count * sizeof(T);
    return memory_ ? reinterpret_cast<T*>(memory_ + at) : nullptr;
  }
  size_t used() const { return used_; }

 private:
  char* memory_;
  size_t used_;
};

/** The fields of a `sweep`, from its words. */
struct SweepWords {
  int32_t height, width, channels, period, tilePixels, registers, registerFloats, registerBase, tensorCount;
};

/** Reads a sweep's words in order. */
class SweepDecoder {
 public:
  SweepDecoder(float* arena, const int32_t* words, Bump& bump) : arena_(arena), at_(words), bump_(bump) {}

  const Sweep* sweep() {
    fields_ = reinterpret_cast<const SweepWords*>(at_);
    at_ += sizeof(SweepWords) / sizeof(int32_t);
    tensors_ = at_;
    at_ += fields_->tensorCount * kTensorWords;
    const int passCount = *at_++;
    Sweep* sweep = bump_.take<Sweep>(1);
    Pass* passes = bump_.take<Pass>(passCount);
    period_ = fields_->period;
    for (int i = 0; i < passCount; i++) pass(passes ? passes + i : nullptr);
    if (sweep)
      *sweep = {fields_->height, fields_->width, fields_->channels, period_, fields_->tilePixels, passCount, passes};
    return sweep;
  }

  const Sweep* small() {
    const int channels = at_[0], count = at_[2];
    period_ = at_[1];
    at_ += 3;
    Sweep* sweep = bump_.take<Sweep>(1);
    Pass* pass = bump_.take<Pass>(1);
    const RecordList records = list(count);
    if (!sweep) return nullptr;
    *pass = {records, {nullptr, 0}, {nullptr, 0}};
    *sweep = {0, 0, channels, period_, 1, 1, pass};
    return sweep;
  }

 private:
  void pass(Pass* pass) {
    const int32_t* counts = at_;
    at_ += 3;
    const RecordList prelude = list(counts[0]), tile = list(counts[1]), epilogue = list(counts[2]);
    if (pass) *pass = {prelude, tile, epilogue};
  }

  RecordList list(int count) {
    DecodedRecord* records = bump_.take<DecodedRecord>(count);
    for (int i = 0; i < count; i++, at_ += kRecordWords)
      if (records) records[i] = record(*reinterpret_cast<const RecordWords*>(at_));
    return {records, count};
  }

  DecodedRecord record(const RecordWords& w) const {
    DecodedRecord r;
    const int slots = isSlot(w.aKind) | isSlot(w.bKind) << 1 | isSlot(w.cKind) << 2;
    r.elementwise = elementwiseOf(w.code, slots, period_ / kLanes);
    r.dst = place(w.dstKind, w.dst);
    r.a = place(w.aKind, w.a);
    r.b = place(w.bKind, w.b);
    r.c = place(w.cKind, w.c);
    r.byRow = r.dst.halo || r.a.halo;
    r.words = w;
    return r;
  }

  static int isSlot(Operand kind) { return kind == Operand::Slot || kind == Operand::ImageSlot; }

  Place place(Operand kind, int32_t value) const {
    switch (kind) {
      case Operand::None: return {arena_, 0, 0, 0, 0, false, false};
      case Operand::Register: return inRegister(value);
      case Operand::Tensor: return inTensor(tensorAt(tensors_ + value * kTensorWords));
      case Operand::ImageSlot: return {arena_ + value, period_, 0, 0, 0, false, false};
      case Operand::Slot: return {arena_ + value, 0, 0, 0, 0, false, false};
    }
    return {arena_, 0, 0, 0, 0, false, false};
  }

  Place inRegister(int32_t number) const {
    float* base = arena_ + fields_->registerBase + int64_t(number) * fields_->registerFloats;
    return {base, 0, 0, 0, period_, false, false};
  }

  Place inTensor(const Tensor& t) const {
    const Grid<float> g = gridOf(arena_, t);
    return {g.base, int32_t(g.image), int32_t(g.row), int32_t(g.column), period_, true, t.halo > 0};
  }

  float* arena_;
  const int32_t* at_;
  Bump& bump_;
  const SweepWords* fields_ = nullptr;
  const int32_t* tensors_ = nullptr;
  int period_ = 0;
};

/** A tile: `count` pixels from `first` on. */
struct Tile {
  int image, first, count;
};

/** A record with halos: the part of each row that lies in the tile. */
inline void elementwiseByRow(const DecodedRecord& r, const Sweep& sweep, const Tile& tile) {
  for (int p = tile.first; p < tile.first + tile.count;) {
    const int row = p / sweep.width, column = p % sweep.width;
    const int n = least(sweep.width - column, tile.first + tile.count - p);
    const int64_t done = int64_t(p - tile.first) * sweep.channels;
    const auto at = [&](const Place& place) {
      if (place.tensor) return place.pixel(tile.image, row, column);
      return place.inImage(tile.image) + (place.step == 0 ? 0 : done);
    };
    // Even in a register: the vector behind a row is that of the next row, perhaps already read.
    r.elementwise({at(r.dst), at(r.a), at(r.b), at(r.c), n * sweep.channels, sweep.period, true});
    p += n;
  }
}

inline void runReduction(const DecodedRecord& r, const Reduction& run, int channels) {
  if (r.words.code == Record::Sum) return sumOf(run);
  if (r.words.code == Record::Dot) return dotOf(run);
  statsOf(run, channels);
}

EVOLAYER_INLINE void runTileRecord(const DecodedRecord& r, const Sweep& sweep, const Tile& tile) {
  if (r.byRow) return elementwiseByRow(r, sweep, tile);
  float* dst = r.dst.pixel(tile.image, tile.first);
  const float *a = r.a.pixel(tile.image, tile.first), *b = r.b.pixel(tile.image, tile.first);
  const int count = tile.count * sweep.channels;
  if (r.elementwise)
    return r.elementwise({dst, a, b, r.c.pixel(tile.image, tile.first), count, sweep.period, r.dst.tensor});
  const bool fresh = tile.first == 0 && (r.words.p0 == 0 || tile.image == 0);
  runReduction(r, {dst, a, b, r.a.step, r.b.step, count, sweep.period, fresh}, sweep.channels);
}

inline void finish(const DecodedRecord& r, const Sweep& sweep, int image, Batch batch) {
  float* dst = r.dst.inImage(image);
  const float* a = r.a.inImage(image);
  const int channels = sweep.channels, period = sweep.period, size = r.words.p1;
  switch (r.words.code) {
    case Record::Moment: {
      const double share = 1.0 / (double(r.words.p2) * (r.words.c == 1 ? batch.images : 1));
      return moments(dst, a, channels, period, size, share, static_cast<MomentKind>(r.words.p0));
    }
    case Record::Fold:
      return perGroup(dst, channels, period, size, [&](int first) {
        double sum = 0;
        for (int c = first; c < first + size; c++) sum += sumOfRepeats(a, c, channels, period);
        return sum;
      });
    case Record::Spread:
      return perGroup(dst, channels, period, 1, [&](int channel) { return a[channel]; });
    default:  // gather
      for (int c = 0; c < channels; c++) dst[c] = batch.continues() ? dst[c] + a[c] : a[c];
  }
}

EVOLAYER_INLINE bool isReduction(Record code) {
  return code == Record::Sum || code == Record::Dot || code == Record::Stats;
}

/** A record on slots alone. */
inline void runSlotRecord(const DecodedRecord& r, const Sweep& sweep, int image, Batch batch) {
  float* dst = r.dst.inImage(image);
  const float *a = r.a.inImage(image), *b = r.b.inImage(image);
  if (r.elementwise) return r.elementwise({dst, a, b, r.c.inImage(image), sweep.period, sweep.period, false});
  if (!isReduction(r.words.code)) return finish(r, sweep, image, batch);
  const bool fresh = r.words.p0 == 0 || image == 0;
  runReduction(r, {dst, a, b, 0, 0, sweep.channels, sweep.period, fresh}, sweep.channels);
}

EVOLAYER_INLINE void runSlotRecords(const RecordList& list, const Sweep& sweep, int image, Batch batch) {
  for (int i = 0; i < list.count; i++) runSlotRecord(list.records[i], sweep, image, batch);
}

inline void runPass(const Pass& pass, const Sweep& sweep, int image, Batch batch) {
  const int pixels = sweep.height * sweep.width;
  runSlotRecords(pass.prelude, sweep, image, batch);
  if (pass.tile.count > 0)
    for (int first = 0; first < pixels; first += sweep.tilePixels) {
      const Tile tile{image, first, least(sweep.tilePixels, pixels - first)};
      for (int i = 0; i < pass.tile.count; i++) runTileRecord(pass.tile.records[i], sweep, tile);
    }
  runSlotRecords(pass.epilogue, sweep, image, batch);
}

/** Images `begin` to `end` of all. */
inline void runSweep(const Sweep& sweep, int begin, int end, Batch batch) {
  for (int image = begin; image < end; image++)
    for (int p = 0; p < sweep.passCount; p++) runPass(sweep.passes[p], sweep, image, batch);
}

/** Once; the number of images matters to moments over the batch alone. */
inline void runSmall(const Sweep& sweep, Batch batch) {
  runSlotRecords(sweep.passes[0].prelude, sweep, 0, batch);
}

}  // namespace
}  // namespace evolayer
