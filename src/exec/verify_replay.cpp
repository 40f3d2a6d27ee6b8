#include "exec/verify_replay.h"

#include <exception>
#include <utility>
#include <vector>

namespace reprise::exec {
namespace {

using Contents = std::vector<std::vector<std::byte>>;

Contents save(device::DeviceHandle& device, device::Stream& stream, std::span<const WrittenRange> ranges) {
  Contents all;
  for (const auto& range : ranges) {
    all.emplace_back(range.bytes);
    device.copy(all.back().data(), range.address, range.bytes, stream);
  }
  stream.synchronize();
  return all;
}

void restore(device::DeviceHandle& device, device::Stream& stream, std::span<const WrittenRange> ranges, const Contents& contents) {
  for (std::size_t i = 0; i < ranges.size(); ++i) device.copy(ranges[i].address, contents[i].data(), ranges[i].bytes, stream);
  stream.synchronize();
}

}  // namespace

Snapshot::Snapshot(const device::DevicePtr& device, device::Stream& stream, std::vector<WrittenRange> ranges) : device_(device), ranges_(std::move(ranges)) {
  for (const auto& range : ranges_) {
    copies_.emplace_back(device_, range.bytes);
    device_->copy(copies_.back().data(), range.address, range.bytes, stream);
  }
  stream.synchronize();
}

void Snapshot::restore(device::Stream& stream) const {
  std::exception_ptr earlier;
  try {
    stream.synchronize();  // behind a step that failed the copies would be skipped
  } catch (...) {
    earlier = std::current_exception();
  }
  copy_back(stream);
  stream.synchronize();
  if (earlier != nullptr) std::rethrow_exception(earlier);
}

void Snapshot::copy_back(device::Stream& stream) const {
  for (std::size_t i = 0; i < ranges_.size(); ++i) device_->copy(ranges_[i].address, copies_[i].data(), ranges_[i].bytes, stream);
}

Verdict verify_replay(device::DeviceHandle& device, device::Stream& stream, const device::CommandList& list, device::Recording& recording,
                      std::span<void* const> bindings, std::span<const WrittenRange> kept, std::span<const WrittenRange> results) {
  const Contents before = save(device, stream, kept);
  list.enqueue(stream, bindings.data());
  const Contents plain = save(device, stream, results);
  restore(device, stream, kept, before);
  recording.replay(stream, bindings);
  if (save(device, stream, results) == plain) return Verdict::same;
  restore(device, stream, kept, before);
  list.enqueue(stream, bindings.data());
  return save(device, stream, results) == plain ? Verdict::differs : Verdict::not_reproducible;
}

}  // namespace reprise::exec
