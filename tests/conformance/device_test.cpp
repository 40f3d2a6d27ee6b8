// What every device must do. A new back end passes this unchanged: REPRISE_TEST_DEVICE names its device.
#include "device/device.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "device/fetch.h"
#include "reprise/error.h"

namespace reprise::device {
namespace {

/// Those of every machine, and the one that REPRISE_TEST_DEVICE names.
std::vector<std::string> devices() {
  std::vector<std::string> all = {"cpu:0", "cpu:1"};
  if (const char* named = std::getenv("REPRISE_TEST_DEVICE")) all.emplace_back(named);
  return all;
}

class Conformance : public testing::TestWithParam<std::string> {
 protected:
  DevicePtr device = open(Device::parse(GetParam()));

  /// The default stream, then an explicit one.
  template <class F>
  void on_each_stream(F&& body) {
    body(device->default_stream());
    const auto stream = device->make_stream();
    body(*stream);
  }

  template <class T>
  Allocation upload(const std::vector<T>& values) {
    Allocation memory(device, values.size() * sizeof(T));
    device->copy(memory.data(), values.data(), memory.size(), device->default_stream());
    device->default_stream().synchronize();
    return memory;
  }

  template <class T>
  std::vector<T> download(const void* data, std::size_t count) {
    std::vector<T> values(count);
    device->copy(values.data(), data, count * sizeof(T), device->default_stream());
    device->default_stream().synchronize();
    return values;
  }
};

/// A host step that calls a function. Back ends run host steps in stream order.
class FunctionStep final : public Step {
 public:
  using Function = std::function<void(void* const*, int scratch_slot)>;
  explicit FunctionStep(Function function, std::size_t scratch = 0) : function_(std::move(function)), scratch_(scratch) {}
  void run(void* const* bindings) const override { function_(bindings, scratch_slot()); }
  [[nodiscard]] std::size_t scratch_bytes() const override { return scratch_; }

 private:
  Function function_;
  std::size_t scratch_;
};

template <class... F>
StepList steps(F... functions) {
  StepList list;
  (list.push_back(std::make_unique<FunctionStep>(std::move(functions))), ...);
  return list;
}

TEST_P(Conformance, IsWhatWasAskedFor) {
  EXPECT_EQ(device->id(), Device::parse(GetParam()));
  EXPECT_FALSE(device->description().empty());
}

TEST_P(Conformance, TwoHandlesOfOneDeviceShareItsMemory) {
  const Allocation memory = upload<int>({1, 2, 3});
  const auto other = open(Device::parse(GetParam()));
  std::array<int, 3> out{};
  other->copy(out.data(), memory.data(), sizeof out, other->default_stream());
  other->default_stream().synchronize();
  EXPECT_EQ(out, (std::array{1, 2, 3}));
}

// ---- memory ----

TEST_P(Conformance, AllocationsAreAlignedDistinctAndNeverNull) {
  std::vector<Allocation> all;
  for (const std::size_t bytes : {0u, 1u, 63u, 64u, 65u, 4097u, 1u << 20}) {
    all.emplace_back(device, bytes);
    ASSERT_NE(all.back().data(), nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(all.back().data()) % 64, 0u) << bytes;
    device->fill(all.back().data(), static_cast<std::uint32_t>(all.size()), 1, bytes, device->default_stream());
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    for (const auto byte : download<std::uint8_t>(all[i].data(), all[i].size())) ASSERT_EQ(byte, i + 1);
}

TEST_P(Conformance, ImpossibleAllocationThrowsAndLeavesTheDeviceUsable) {
  for (const std::size_t bytes : {std::size_t{1} << 60, std::numeric_limits<std::size_t>::max() - 10}) {
    EXPECT_THROW((void)device->allocate(bytes), OutOfMemory);
    EXPECT_THROW((void)device->reserve(bytes), OutOfMemory);
  }
  EXPECT_NO_THROW(Allocation(device, 100));
}

TEST_P(Conformance, PinnedMemoryIsHostMemory) {
  auto* pinned = static_cast<int*>(device->allocate(4 * sizeof(int), MemoryKind::pinned));
  std::iota(pinned, pinned + 4, 7);
  Allocation memory(device, 4 * sizeof(int));
  device->copy(memory.data(), pinned, memory.size(), device->default_stream());
  EXPECT_EQ(download<int>(memory.data(), 4), (std::vector{7, 8, 9, 10}));
  device->deallocate(pinned, MemoryKind::pinned);
  device->deallocate(nullptr);
}

TEST_P(Conformance, MovedAllocationsKeepTheirMemory) {
  Allocation a = upload<int>({1, 2});
  const auto* data = a.data();
  Allocation b = std::move(a);
  EXPECT_EQ(b.data(), data);
  a = Allocation(device, 8);
  a = std::move(b);
  EXPECT_EQ(a.data(), data);
  EXPECT_EQ(download<int>(a.data(), 2), (std::vector{1, 2}));
}

TEST_P(Conformance, ReservationGrowsInPlace) {
  const auto region = device->reserve(64u << 20);
  EXPECT_GE(region->reserved(), 64u << 20);
  EXPECT_EQ(region->committed(), 0u);
  region->commit(100);
  auto* const base = region->base();
  EXPECT_GE(region->committed(), 100u);
  device->fill(base, 0x5a, 1, 100, device->default_stream());
  region->commit(32u << 20);
  EXPECT_EQ(region->base(), base);
  device->fill(base + (32u << 20) - 4, 0x01020304, 4, 1, device->default_stream());
  for (const auto byte : download<std::uint8_t>(base, 100)) ASSERT_EQ(byte, 0x5a);
  EXPECT_EQ(download<std::uint32_t>(base + (32u << 20) - 4, 1)[0], 0x01020304u);
}

TEST_P(Conformance, ReservationRefusesMoreThanItReserved) {
  const auto region = device->reserve(1u << 20);
  region->commit(10);
  const std::size_t committed = region->committed();
  EXPECT_THROW(region->commit(region->reserved() + 1), OutOfMemory);
  EXPECT_EQ(region->committed(), committed);
  region->commit(5);  // less than there is: nothing happens
  EXPECT_EQ(region->committed(), committed);
}

TEST_P(Conformance, TrimmedMemoryCanBeCommittedAgain) {
  const auto region = device->reserve(32u << 20);
  region->commit(32u << 20);
  device->fill(region->base(), 7, 1, 32u << 20, device->default_stream());
  device->default_stream().synchronize();
  region->trim(1);
  EXPECT_LE(region->committed(), 4u << 20);  // a page, however large
  EXPECT_EQ(download<std::uint8_t>(region->base(), 1)[0], 7);
  region->commit(32u << 20);
  device->fill(region->base() + (16u << 20), 9, 1, 1, device->default_stream());
  EXPECT_EQ(download<std::uint8_t>(region->base() + (16u << 20), 1)[0], 9);
}

TEST_P(Conformance, ManyReservationsStand) {
  std::vector<std::unique_ptr<Reservation>> regions;
  for (int i = 0; i < 64; ++i) {
    regions.push_back(device->reserve(std::size_t{1} << 30));
    regions.back()->commit(1);
    device->fill(regions.back()->base(), static_cast<std::uint32_t>(i), 1, 1, device->default_stream());
  }
  for (int i = 0; i < 64; ++i) EXPECT_EQ(download<std::uint8_t>(regions[static_cast<std::size_t>(i)]->base(), 1)[0], i);
}

// ---- copy and fill ----

TEST_P(Conformance, CopiesInOrder) {
  on_each_stream([&](Stream& stream) {
    const std::vector<int> first(1000, 1), second(1000, 2);
    Allocation a(device, 4000), b(device, 4000);
    std::vector<int> out(1000);
    device->copy(a.data(), first.data(), 4000, stream);
    device->copy(b.data(), a.data(), 4000, stream);
    device->copy(a.data(), second.data(), 4000, stream);
    device->copy(out.data(), b.data(), 4000, stream);
    stream.synchronize();
    EXPECT_EQ(out, first);
    EXPECT_EQ(download<int>(a.data(), 1000), second);
  });
}

TEST_P(Conformance, FillsEveryWidth) {
  on_each_stream([&](Stream& stream) {
    Allocation memory(device, 64);
    device->fill(memory.data(), 0xffffffff, 4, 16, stream);
    device->fill(memory.data(), 0xab, 1, 3, stream);
    device->fill(memory.data() + 4, 0x11223344, 2, 2, stream);
    device->fill(memory.data() + 8, 0x11223344, 4, 2, stream);
    device->fill(memory.data() + 16, 0, 4, 0, stream);
    stream.synchronize();
    const auto words = download<std::uint32_t>(memory.data(), 16);
    EXPECT_EQ(words[0], 0xffabababu);
    EXPECT_EQ(words[1], 0x33443344u);
    EXPECT_EQ(words[2], 0x11223344u);
    EXPECT_EQ(words[3], 0x11223344u);
    EXPECT_EQ(words[4], 0xffffffffu);
    EXPECT_THROW(device->fill(memory.data(), 0, 3, 1, stream), InvalidArgument);
  });
}

TEST_P(Conformance, CopiesStridedViews) {
  on_each_stream([&](Stream& stream) {
    const Allocation source = upload<float>({0, 1, 2, 3, 4, 5});
    Allocation transposed(device, 24), spread(device, 24);
    device->fill(spread.data(), 0, 4, 6, stream);
    {
      // The lists may go as soon as the call returns.
      std::vector<std::int64_t> sizes = {3, 2}, to = {2, 1}, from = {1, 3};
      device->copy_strided(transposed.data(), to, source.data(), from, sizes, 4, stream);
      std::vector<std::int64_t> three = {3}, two = {2}, zero = {0};
      device->copy_strided(spread.data(), two, source.data() + 20, zero, three, 4, stream);
    }
    stream.synchronize();
    EXPECT_EQ(download<float>(transposed.data(), 6), (std::vector<float>{0, 3, 1, 4, 2, 5}));
    EXPECT_EQ(download<float>(spread.data(), 6), (std::vector<float>{5, 0, 5, 0, 5, 0}));
  });
}

TEST_P(Conformance, CopyOfNothingTouchesNothing) {
  on_each_stream([&](Stream& stream) {
    device->copy(nullptr, nullptr, 0, stream);
    stream.synchronize();
  });
}

// ---- streams and events ----

TEST_P(Conformance, DefaultStreamIsMarked) {
  EXPECT_TRUE(device->default_stream().is_default());
  EXPECT_FALSE(device->make_stream()->is_default());
}

TEST_P(Conformance, StreamIsIdleAfterSynchronize) {
  on_each_stream([&](Stream& stream) {
    EXPECT_TRUE(stream.query());
    std::atomic<bool> ran = false;
    const auto list = device->make_command_list(steps([&](void* const*, int) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      ran = true;
    }));
    list->enqueue(stream, nullptr);
    stream.synchronize();
    EXPECT_TRUE(ran);
    EXPECT_TRUE(stream.query());
  });
}

TEST_P(Conformance, ExplicitStreamDoesNotBlockItsCaller) {
  const auto stream = device->make_stream();
  std::atomic<bool> release = false;
  const auto list = device->make_command_list(steps([&](void* const*, int) {
    while (!release) std::this_thread::yield();
  }));
  list->enqueue(*stream, nullptr);
  EXPECT_FALSE(stream->query());
  const auto event = device->make_event();
  stream->record(*event);
  EXPECT_FALSE(event->query());
  release = true;
  event->synchronize();
  EXPECT_TRUE(event->query());
}

TEST_P(Conformance, DestroyingAStreamWaitsForItsWork) {
  std::atomic<int> ran = 0;
  const auto list = device->make_command_list(steps([&](void* const*, int) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    ++ran;
  }));
  {
    const auto stream = device->make_stream();
    for (int i = 0; i < 10; ++i) list->enqueue(*stream, nullptr);
  }
  EXPECT_EQ(ran, 10);
}

TEST_P(Conformance, EventsThatWereNeverRecordedHavePassed) {
  const auto event = device->make_event();
  EXPECT_TRUE(event->query());
  event->synchronize();
  on_each_stream([&](Stream& stream) {
    stream.wait(*event);
    stream.synchronize();
  });
  EXPECT_THROW((void)device->elapsed_ms(*event, *event), DeviceError);
}

TEST_P(Conformance, EventsOrderStreams) {
  const auto a = device->make_stream(), b = device->make_stream();
  int value = 0;
  std::vector<int> seen;
  const auto writer = device->make_command_list(steps([&](void* const*, int) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ++value;
  }));
  const auto reader = device->make_command_list(steps([&](void* const*, int) { seen.push_back(value); }));
  const auto written = device->make_event(), read = device->make_event();
  for (int i = 0; i < 20; ++i) {
    a->wait(*read);
    writer->enqueue(*a, nullptr);
    a->record(*written);
    b->wait(*written);
    reader->enqueue(*b, nullptr);
    b->record(*read);
  }
  b->synchronize();
  std::vector<int> want(20);
  std::iota(want.begin(), want.end(), 1);
  EXPECT_EQ(seen, want);
}

TEST_P(Conformance, DefaultStreamWaitsForExplicitOnes) {
  const auto stream = device->make_stream();
  std::atomic<bool> ran = false;
  const auto slow = device->make_command_list(steps([&](void* const*, int) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ran = true;
  }));
  slow->enqueue(*stream, nullptr);
  const auto event = device->make_event();
  stream->record(*event);
  device->default_stream().wait(*event);
  device->default_stream().synchronize();
  EXPECT_TRUE(ran);
}

TEST_P(Conformance, RecordingAnEventAgainMovesItForLaterWaitsOnly) {
  const auto slow = device->make_stream(), waiter = device->make_stream();
  std::atomic<bool> release = false;
  const auto blocked = device->make_command_list(steps([&](void* const*, int) {
    while (!release) std::this_thread::yield();
  }));
  const auto event = device->make_event();
  device->default_stream().record(*event);
  waiter->wait(*event);  // the point that has passed
  blocked->enqueue(*slow, nullptr);
  slow->record(*event);
  waiter->synchronize();
  EXPECT_FALSE(event->query());
  release = true;
  slow->synchronize();
  EXPECT_TRUE(event->query());
}

TEST_P(Conformance, EventsMayGoBeforeTheStreamsThatUseThem) {
  const auto a = device->make_stream(), b = device->make_stream();
  const auto slow = device->make_command_list(steps([](void* const*, int) { std::this_thread::sleep_for(std::chrono::milliseconds(10)); }));
  slow->enqueue(*a, nullptr);
  {
    const auto event = device->make_event();
    a->record(*event);
    b->wait(*event);
  }
  b->synchronize();
  a->synchronize();
}

TEST_P(Conformance, ElapsedTimeIsMeasuredBetweenEvents) {
  on_each_stream([&](Stream& stream) {
    const auto from = device->make_event(), to = device->make_event();
    const auto slow = device->make_command_list(steps([](void* const*, int) { std::this_thread::sleep_for(std::chrono::milliseconds(15)); }));
    stream.record(*from);
    slow->enqueue(stream, nullptr);
    stream.record(*to);
    to->synchronize();
    EXPECT_GE(device->elapsed_ms(*from, *to), 14.0);
    EXPECT_LT(device->elapsed_ms(*from, *to), 10000.0);
  });
}

// ---- command lists ----

TEST_P(Conformance, CommandListRunsItsStepsInOrder) {
  on_each_stream([&](Stream& stream) {
    std::vector<int> order;
    const auto list = device->make_command_list(
        steps([&](void* const*, int) { order.push_back(1); }, [&](void* const*, int) { order.push_back(2); }, [&](void* const*, int) { order.push_back(3); }));
    EXPECT_EQ(list->size(), 3u);
    list->enqueue(stream, nullptr);
    list->enqueue(stream, nullptr);
    stream.synchronize();
    EXPECT_EQ(order, (std::vector{1, 2, 3, 1, 2, 3}));
  });
}

TEST_P(Conformance, EmptyCommandListIsFine) {
  on_each_stream([&](Stream& stream) {
    const auto list = device->make_command_list({});
    EXPECT_EQ(list->size(), 0u);
    EXPECT_EQ(list->scratch_bytes(), 0u);
    list->enqueue(stream, nullptr);
    stream.synchronize();
  });
}

TEST_P(Conformance, StepsSeeTheBindingsOfEachEnqueue) {
  on_each_stream([&](Stream& stream) {
    std::vector<void*> seen;
    const auto list = device->make_command_list(steps([&](void* const* bindings, int) { seen.push_back(bindings[1]); }));
    int x = 0, y = 0;
    std::array<void*, 2> first = {nullptr, &x}, second = {nullptr, &y};
    list->enqueue(stream, first.data());
    list->enqueue(stream, second.data());
    stream.synchronize();
    EXPECT_EQ(seen, (std::vector<void*>{&x, &y}));
  });
}

TEST_P(Conformance, ScratchOfAListIsTheLargestOfItsSteps) {
  StepList list;
  for (const std::size_t scratch : {100u, 4000u, 0u}) list.push_back(std::make_unique<FunctionStep>([](void* const*, int) {}, scratch));
  EXPECT_EQ(device->make_command_list(std::move(list))->scratch_bytes(), 4000u);
}

TEST_P(Conformance, ErrorsOfStepsReachTheCallerAndStopTheList) {
  on_each_stream([&](Stream& stream) {
    std::atomic<int> ran = 0;
    const auto list = device->make_command_list(
        steps([&](void* const*, int) { ++ran; }, [&](void* const*, int) { throw ShapeError("[test/step] wrong"); }, [&](void* const*, int) { ran += 100; }));
    const auto event = device->make_event();
    try {
      list->enqueue(stream, nullptr);
      stream.record(*event);
      stream.synchronize();
      ADD_FAILURE() << "no error";
    } catch (const ShapeError& error) {
      EXPECT_STREQ(error.what(), "[test/step] wrong");
    }
    event->synchronize();
    EXPECT_EQ(ran, 1);
    stream.synchronize();  // told once
    const auto good = device->make_command_list(steps([&](void* const*, int) { ++ran; }));
    good->enqueue(stream, nullptr);
    stream.synchronize();
    EXPECT_EQ(ran, 2);
  });
}

TEST_P(Conformance, OneListServesManyStreamsAtOnce) {
  const auto list = device->make_command_list(steps([](void* const* bindings, int) { ++*static_cast<int*>(bindings[0]); }));
  constexpr int kThreads = 4, kTimes = 200;
  std::array<int, kThreads> counts{};
  std::vector<std::thread> threads;
  for (int& count : counts)
    threads.emplace_back([&] {
      const auto stream = device->make_stream();
      std::array<void*, 1> bindings = {&count};
      for (int i = 0; i < kTimes; ++i) list->enqueue(*stream, bindings.data());
      stream->synchronize();
    });
  for (auto& thread : threads) thread.join();
  for (const int count : counts) EXPECT_EQ(count, kTimes);
}

// ---- recordings ----

class AddStep final : public Step {
 public:
  void run(void* const* bindings) const override { *static_cast<int*>(bindings[1]) += *static_cast<int*>(bindings[0]); }
};

TEST_P(Conformance, RecordingExecutesNothing) {
  int ran = 0;
  const std::shared_ptr<const CommandList> list = device->make_command_list(steps([&](void* const*, int) { ++ran; }));
  std::array<void*, 1> bindings = {nullptr};
  const auto recording = device->record(list, bindings);
  device->default_stream().synchronize();
  EXPECT_EQ(ran, 0);
  EXPECT_GT(recording->size_bytes(), 0u);
}

TEST_P(Conformance, ReplayDoesWhatTheListDoes) {
  on_each_stream([&](Stream& stream) {
    StepList list;
    list.push_back(std::make_unique<AddStep>());
    int step = 3, sum = 0;
    std::vector<void*> bindings = {&step, &sum};
    const auto recording = device->record(device->make_command_list(std::move(list)), bindings);  // the recording owns the list now
    for (int i = 0; i < 4; ++i) recording->replay(stream, bindings);
    stream.synchronize();
    EXPECT_EQ(sum, 12);
    EXPECT_EQ(recording->patched_slots(), 0u);
  });
}

TEST_P(Conformance, ReplayPatchesChangedAddresses) {
  on_each_stream([&](Stream& stream) {
    StepList list;
    list.push_back(std::make_unique<AddStep>());
    int one = 1, ten = 10, a = 0, b = 0;
    std::unique_ptr<Recording> recording;
    {
      std::vector<void*> bindings = {&one, &a};
      recording = device->record(device->make_command_list(std::move(list)), bindings);
      recording->replay(stream, bindings);
      bindings = {&ten, &a};
      recording->replay(stream, bindings);
      bindings = {&one, &b};
      recording->replay(stream, bindings);
      recording->replay(stream, bindings);
    }
    stream.synchronize();
    EXPECT_EQ(a, 11);
    EXPECT_EQ(b, 2);
    EXPECT_EQ(recording->patched_slots(), 3u);
    std::array<void*, 1> short_table = {&one};
    EXPECT_THROW(recording->replay(stream, short_table), InvalidArgument);
  });
}

// ---- memory of the host brought to a list ----

StepList fetches(std::initializer_list<std::array<int, 2>> slots, std::size_t bytes) {
  StepList list;
  for (const auto& [to, from] : slots) list.push_back(std::make_unique<FetchStep>(to, from, bytes));
  return list;
}

TEST_P(Conformance, FetchesFollowWhatStandsBeforeThem) {
  constexpr std::size_t kCount = 1 << 18;
  const auto pinned = [&](int value) {
    Allocation memory(device, kCount * sizeof(int), MemoryKind::pinned);
    std::fill_n(reinterpret_cast<int*>(memory.data()), kCount, value);
    return memory;
  };
  const Allocation one = pinned(1), two = pinned(2), slot(device, one.size()), first(device, one.size()), second(device, one.size());
  std::vector<void*> bindings = {slot.data(), one.data(), two.data()};
  on_each_stream([&](Stream& stream) {
    const auto from_one = device->make_command_list(fetches({{0, 1}}, one.size())), from_two = device->make_command_list(fetches({{0, 1}, {0, 2}}, one.size()));
    for (int i = 0; i < 3; ++i) {
      from_one->enqueue(stream, bindings.data());
      device->copy(first.data(), slot.data(), slot.size(), stream);
      from_two->enqueue(stream, bindings.data());
      device->copy(second.data(), slot.data(), slot.size(), stream);
    }
    stream.synchronize();
    EXPECT_EQ(download<int>(first.data(), kCount), std::vector<int>(kCount, 1));
    EXPECT_EQ(download<int>(second.data(), kCount), std::vector<int>(kCount, 2));
  });
}

TEST_P(Conformance, RecordedFetchesArePatched) {
  Allocation one(device, 8, MemoryKind::pinned), two(device, 8, MemoryKind::pinned);
  std::memcpy(one.data(), std::array<int, 2>{1, 11}.data(), 8);
  std::memcpy(two.data(), std::array<int, 2>{2, 22}.data(), 8);
  on_each_stream([&](Stream& stream) {
    const Allocation a = upload(std::vector<int>{0, 0}), b = upload(std::vector<int>{0, 0});
    std::vector<void*> bindings = {a.data(), one.data()};
    const auto recording = device->record(device->make_command_list(fetches({{0, 1}}, 8)), bindings);
    recording->replay(stream, bindings);
    bindings = {b.data(), two.data()};
    recording->replay(stream, bindings);
    stream.synchronize();
    EXPECT_EQ(download<int>(a.data(), 2), (std::vector<int>{1, 11}));
    EXPECT_EQ(download<int>(b.data(), 2), (std::vector<int>{2, 22}));
    EXPECT_EQ(recording->patched_slots(), 2u);
  });
}

TEST_P(Conformance, TellsHowMuchMemoryThereIs) {
  const MemorySize before = device->memory_size();
  EXPECT_GT(before.total_bytes, 0u);
  EXPECT_LE(before.free_bytes, before.total_bytes);
  { const Allocation memory(device, 1 << 20); }
  device->trim();
  EXPECT_EQ(device->memory_size().total_bytes, before.total_bytes);
}

INSTANTIATE_TEST_SUITE_P(Devices, Conformance, testing::ValuesIn(devices()), [](const auto& tested) {
  std::string label = tested.param;
  label[label.find(':')] = '_';
  return label;
});

}  // namespace
}  // namespace reprise::device
