#include "kernels/cuda/row_sort.h"

#include <algorithm>

#include "device/cuda/driver.h"
#include "kernels/cuda/radix_sort.h"

namespace reprise::kernels::cuda {
namespace {

constexpr std::int64_t kPerThread = 8, kMostThreads = 256, kTile = kPerThread * kMostThreads;  // kPerThread as text/sort.cuh has it
constexpr std::int64_t kTournamentKept = 512;
constexpr std::int64_t kDigitsLength = 1 << 17;

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
  else if (job.length >= kDigitsLength && job.element.key_bytes != 0 && job.element.position_bytes == 4 && gpu.context() != nullptr)
    add_digits(gpu, scratch, job);
  else
    add_merges(gpu, scratch, job);
}

void RowSort::add_tiles(Gpu& gpu, const SortJob& job, unsigned threads) {
  const std::int64_t tiles = tiles_of(job.length, threads);
  TextKernel kernel =
      request(gpu, job.text, fmt::format("sort_tiles<{}, {}, {}, {}, {}>", job.element.type, threads, job.source.type, job.sink.type, job.less.type));
  rounds_.emplace_back([=](Operations& ops, int slot) {
    Arguments a;
    for (const TextObject* object : {&job.source, &job.sink, &job.less}) object->put(a, slot);
    launch(ops, kernel, {.grid = {blocks_for(job.rows * tiles, 1)}, .block = {threads}}, a.value(job.length).value(tiles).value(job.kept));
  });
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
    TextKernel kernel =
        request(gpu, job.text, fmt::format("merge_runs<{}, {}, {}, {}, {}>", job.element.type, kMostThreads, source.type, sink.type, job.less.type));
    rounds_.emplace_back([=, less = job.less, length = job.length, rows = job.rows](Operations& ops, int slot) {
      Arguments a;
      for (const TextObject* object : {&source, &sink, &less}) object->put(a, slot);
      a.value(length).value(tiles).value(last ? kept : length).value(run);
      launch(ops, kernel, {.grid = {blocks_for(rows * tiles, 1)}, .block = {kMostThreads}}, a);
    });
  }
}

// Keys and positions are written out, sorted row by row, and put where they belong.
void RowSort::add_digits(Gpu& gpu, Scratch& scratch, const SortJob& job) {
  const SortElement& element = job.element;
  const std::int64_t all = job.rows * job.length;
  const SortBuffer before = SortBuffer::take(scratch, element, all), after = SortBuffer::take(scratch, element, all);
  const int key_bytes = static_cast<int>(element.key_bytes);
  const RadixSort radix{job.length, key_bytes, job.first_bit, std::min(job.last_bit, key_bytes * 8)};
  const device::cuda::CurrentContext current(gpu.context());
  const auto temporary = scratch.take(static_cast<std::int64_t>(radix.temporary_bytes()));
  const auto add_copy = [&](const TextObject& source, const TextObject& sink, std::int64_t kept) {
    TextKernel kernel = request(gpu, job.text, fmt::format("copy_elements<{}, {}>", source.type, sink.type));
    rounds_.emplace_back([=, rows = job.rows](Operations& ops, int slot) {
      Arguments a;
      source.put(a, slot);
      sink.put(a, slot);
      launch_each(ops, kernel, rows * kept, a.value(rows).value(kept));
    });
  };
  add_copy(job.source, sorted_sink(element, before, job.length), job.length);
  rounds_.emplace_back([=, rows = job.rows](Operations& ops, int slot) {
    const auto access = [slot](Scratch::Part part, bool write) { return Access{slot, part.begin, part.begin + part.bytes, write}; };
    const auto enqueue = [=](CUstream stream, void* const* bindings) {
      auto* memory = static_cast<std::byte*>(bindings[slot]);
      for (std::int64_t r = 0; r < rows; ++r) {
        const auto keys = [&](const SortBuffer& b) { return memory + b.keys.begin + r * radix.count * radix.key_bytes; };
        const auto positions = [&](const SortBuffer& b) { return reinterpret_cast<std::uint32_t*>(memory + b.positions.begin) + r * radix.count; };
        radix.enqueue(memory + temporary.begin, static_cast<std::size_t>(temporary.bytes), keys(before), keys(after), positions(before), positions(after),
                      stream);
      }
    };
    ops.add(device::cuda::LibraryCall{enqueue},
            {access(before.keys, false), access(before.positions, false), access(after.keys, true), access(after.positions, true), access(temporary, true)});
  });
  add_copy(sorted_source(element, after, job.length), job.sink, job.kept);
}

void RowSort::describe(Operations& operations, int slot) const {
  for (const auto& round : rounds_) round(operations, slot);
}

bool has_wide_keys(DType dtype) { return item_size(dtype) == 8; }
int first_key_bit(DType dtype) { return dtype == DType::f16 ? 13 : dtype == DType::bf16 ? 16 : 0; }

}  // namespace reprise::kernels::cuda
