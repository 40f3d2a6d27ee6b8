#include "kernels/cuda/row_sort.h"

#include <algorithm>

namespace reprise::kernels::cuda {
namespace {

constexpr std::int64_t kPerThread = 8, kMostThreads = 256, kTile = kPerThread * kMostThreads;  // kPerThread as text/sort.cuh has it
constexpr std::int64_t kTournamentKept = 512;

unsigned threads_for(std::int64_t length) {
  unsigned threads = 32;
  while (threads < kMostThreads && threads * kPerThread < length) threads *= 2;
  return threads;
}

std::int64_t tiles_of(std::int64_t length, unsigned threads) {
  const std::int64_t tile = threads * kPerThread;
  return (length + tile - 1) / tile;
}

}  // namespace

SortElement SortElement::keyed(bool wide_keys, bool wide_positions) {
  SortElement element{"", wide_keys ? 8 : 4, wide_positions ? 8 : 4};
  element.type = fmt::format("Keyed<{}, {}>", element.key_type(), element.position_type());
  return element;
}

SortBuffer SortBuffer::take(Scratch& scratch, const SortElement& element, std::int64_t count) {
  return {scratch.take(count * element.key_bytes), scratch.take(count * element.position_bytes)};
}

TextObject sorted_source(const SortElement& element, const SortBuffer& buffer, std::int64_t pitch) {
  if (element.key_bytes == 0) return {"SortedSlices", [=](Arguments& a, int slot) { put_scratch(a, buffer.positions, slot, false); }};
  return {fmt::format("Sorted<{}>", element.type), [=](Arguments& a, int slot) {
            put_scratch(a, buffer.keys, slot, false);
            put_scratch(a, buffer.positions, slot, false).value(pitch);
          }};
}

TextObject sorted_sink(const SortElement& element, const SortBuffer& buffer, std::int64_t pitch) {
  if (element.key_bytes == 0) return {"SortedSlices", [=](Arguments& a, int slot) { put_scratch(a, buffer.positions, slot, true); }};
  return {fmt::format("ToSorted<{}>", element.type), [=](Arguments& a, int slot) {
            put_scratch(a, buffer.keys, slot, true);
            put_scratch(a, buffer.positions, slot, true).value(pitch);
          }};
}

TextObject keys_source(const SortElement& element, Scratch::Part keys, std::int64_t pitch) {
  return {fmt::format("Keys<{}>", element.type), [=](Arguments& a, int slot) { put_scratch(a, keys, slot, false).value(pitch); }};
}

TextObject values_source(const SortElement& element, const OperandRef& x, std::span<const int> around, std::span<const int> line, bool descending) {
  const bool wide = needs_wide({&x});
  return {fmt::format("Values<{}, {}, {}>", type_name(x.dtype), element.type, index_type(wide)),
          [=, rows = Dims({&x}, around), within = Dims({&x}, line)](Arguments& a, int) {
            a.in(x).value(descending ? ~std::uint64_t{0} : std::uint64_t{0});
            rows.put(a, wide);
            within.put(a, wide);
          }};
}

TextObject by_key() {
  return {"ByKey", [](Arguments& a, int) { a.value(std::uint64_t{0}); }};
}

RowSort::RowSort(Gpu& gpu, Scratch& scratch, const SortJob& job) {
  const unsigned threads = threads_for(job.length);
  if (tiles_of(job.length, threads) == 1)
    add_tiles(gpu, job, threads);
  else if (job.kept <= kTournamentKept)
    add_tournament(gpu, scratch, job);
  else
    add_merges(gpu, scratch, job);
}

void RowSort::add_tiles(Gpu& gpu, const SortJob& job, unsigned threads) {
  const std::int64_t tiles = tiles_of(job.length, threads);
  Kernel kernel =
      request(gpu, job.text, fmt::format("sort_tiles<{}, {}, {}, {}, {}>", job.element.type, threads, job.source.type, job.sink.type, job.less.type));
  rounds_.push_back({kernel, job.rows * tiles, threads, [job, tiles](Arguments& a, int slot) {
                       job.source.put(a, slot);
                       job.sink.put(a, slot);
                       job.less.put(a, slot);
                       a.value(job.length).value(tiles).value(job.kept);
                     }});
}

// The first of every tile, then the first of those, …
void RowSort::add_tournament(Gpu& gpu, Scratch& scratch, SortJob job) {
  const TextObject last_sink = job.sink;
  const auto left = [&job](std::int64_t length) { return length / kTile * job.kept + std::min(job.kept, length % kTile); };
  SortBuffer buffers[2] = {SortBuffer::take(scratch, job.element, job.rows * left(job.length)), {}};
  buffers[1] = SortBuffer::take(scratch, job.element, job.rows * left(left(job.length)));
  for (int round = 0; job.length > kTile; round ^= 1) {
    const std::int64_t pitch = left(job.length);
    job.sink = sorted_sink(job.element, buffers[round], pitch);
    add_tiles(gpu, job, kMostThreads);
    job.source = sorted_source(job.element, buffers[round], pitch);
    job.length = pitch;
  }
  job.sink = last_sink;
  add_tiles(gpu, job, threads_for(job.length));
}

void RowSort::add_merges(Gpu& gpu, Scratch& scratch, SortJob job) {
  const TextObject last_sink = job.sink;
  const std::int64_t kept = job.kept, tiles = tiles_of(job.length, kMostThreads);
  const SortBuffer buffers[2] = {SortBuffer::take(scratch, job.element, job.rows * job.length), SortBuffer::take(scratch, job.element, job.rows * job.length)};
  job.kept = job.length;
  job.sink = sorted_sink(job.element, buffers[0], job.length);
  // Every tile keeps all of its elements, so that tile t begins at t * kTile.
  SortJob first = job;
  first.kept = kTile;
  add_tiles(gpu, first, kMostThreads);
  int from = 0;
  for (std::int64_t run = kTile; run < job.length; run *= 2, from ^= 1) {
    const bool last = run * 2 >= job.length;
    const TextObject source = sorted_source(job.element, buffers[from], job.length);
    const TextObject sink = last ? last_sink : sorted_sink(job.element, buffers[from ^ 1], job.length);
    Kernel kernel =
        request(gpu, job.text, fmt::format("merge_runs<{}, {}, {}, {}, {}>", job.element.type, kMostThreads, source.type, sink.type, job.less.type));
    rounds_.push_back({kernel, job.rows * tiles, kMostThreads, [=, less = job.less, length = job.length](Arguments& a, int slot) {
                         source.put(a, slot);
                         sink.put(a, slot);
                         less.put(a, slot);
                         a.value(length).value(tiles).value(last ? kept : length).value(run);
                       }});
  }
}

void RowSort::describe(Operations& operations, int slot) const {
  for (const Round& round : rounds_) {
    Arguments arguments;
    round.put(arguments, slot);
    launch(operations, round.kernel, {.grid = {blocks_for(round.blocks, 1)}, .block = {round.threads}}, arguments);
  }
}

bool has_wide_keys(DType dtype) { return item_size(dtype) == 8; }

}  // namespace reprise::kernels::cuda
