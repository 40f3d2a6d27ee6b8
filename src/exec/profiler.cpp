#include "exec/profiler.h"

#include <algorithm>
#include <utility>

namespace reprise::exec {
namespace {

constexpr int kCopies = 20;

}  // namespace

Profiler::Profiler(device::DevicePtr device)
    : device_(std::move(device)), copies_(device_->host_visible() ? 1 : kCopies), begin_(device_->make_event()), end_(device_->make_event()) {}

double Profiler::Times::median() const {
  std::vector<double> sorted = microseconds;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return sorted.empty() ? 0 : *middle;
}

std::vector<Profiler::Times> Profiler::times() const {
  std::vector<Times> all;
  for (const auto& [position, times] : times_) all.push_back(times);
  return all;
}

void Profiler::begin_call() {
  for (auto& [position, times] : times_) {
    times.runs = 0;
    times.microseconds.push_back(0);
  }
}

void Profiler::forget() { times_.clear(); }

void Profiler::run(const plan::Command& command, const std::shared_ptr<const device::CommandList>& copies, const device::CommandList& once,
                   std::span<const Bytes> in_place, device::Stream& stream, std::span<void* const> bindings) {
  std::vector<device::Allocation> saved;
  const bool again = copies_ > 1 && !in_place.empty();
  for (const Bytes& bytes : again ? in_place : std::span<const Bytes>()) {
    saved.emplace_back(device_, bytes.size);
    device_->copy(saved.back().data(), bytes.data, bytes.size, stream);
  }
  const auto recording = device_->record(copies, bindings);
  if (copies_ > 1) recording->replay(stream, bindings);  // the first launch takes longer
  stream.synchronize();
  stream.record(*begin_);
  recording->replay(stream, bindings);
  stream.record(*end_);
  stream.synchronize();
  for (std::size_t i = 0; i < saved.size(); ++i) device_->copy(in_place[i].data, saved[i].data(), saved[i].size(), stream);
  if (again) once.enqueue(stream, bindings.data());
  stream.synchronize();
  auto [entry, fresh] = times_.try_emplace(command.position, Times{.command = &command, .runs = 0, .microseconds = {0}});
  ++entry->second.runs;
  entry->second.microseconds.back() += device_->elapsed_ms(*begin_, *end_) * 1e3 / copies_;
}

}  // namespace reprise::exec
