#include "device/cuda/recording.h"

#include <numeric>
#include <thread>

#include "cuda/support.h"
#include "device/cuda/command_list.h"

namespace reprise::device::cuda::test {
namespace {

constexpr std::int64_t kCount = 1000;

std::vector<int> constant(int value) { return std::vector<int>(kCount, value); }

using RecordingTest = OnGpu;

/// d = (a + b) * 3 by two branches, all in slots 0 to 4.
StepList diamond(const std::function<std::unique_ptr<Step>(const char*, int, int, int)>& step) {
  StepList list;
  list.push_back(step("c[i] = a[i] + b[i];", 0, 1, 2));
  list.push_back(step("c[i] = 2 * a[i];", 2, 2, 3));
  list.push_back(step("c[i] = a[i] + b[i];", 2, 3, 4));
  return list;
}

TEST_F(RecordingTest, ReplaysKernelsAndPatchesAddresses) {
  for (const bool programmatic : {false, true}) {
    const auto memory = upload(constant(7));
    const auto a = upload(constant(1)), b = upload(constant(10)), other = upload(constant(100));
    const Allocation sum(device, kCount * 4), twice(device, kCount * 4), first(device, kCount * 4), second(device, kCount * 4);
    auto list = diamond([&](const char* body, int x, int y, int z) { return step(body, x, y, z, kCount, programmatic); });
    std::vector<void*> bindings = {a.data(), b.data(), sum.data(), twice.data(), first.data()};
    const auto recording = device->record(device->make_command_list(std::move(list)), bindings);
    auto& stream = device->default_stream();
    recording->replay(stream, bindings);
    EXPECT_EQ(download(first.data(), kCount), constant(33));
    bindings[0] = other.data();
    recording->replay(stream, bindings);
    bindings[4] = second.data();
    bindings[0] = a.data();
    recording->replay(stream, bindings);
    recording->replay(stream, bindings);
    EXPECT_EQ(download(first.data(), kCount), constant(330));
    EXPECT_EQ(download(second.data(), kCount), constant(33));
    EXPECT_EQ(recording->patched_slots(), 3u);
  }
}

TEST_F(RecordingTest, CopiesAndFillsArePatchedToo) {
  StepList list;
  list.push_back(kernels::cuda::make_step(0, [](Operations& operations, int) {
    operations.add(MemoryFill{.to = {1, 0}, .value = 5, .width = 4, .count = kCount}, {{1, 0, kCount * 4, true}});
    operations.add(MemoryCopy{.to = {1, 0}, .from = {0, 0}, .bytes = kCount * 2}, {{0, 0, kCount * 2, false}, {1, 0, kCount * 2, true}});
  }));
  const auto a = upload(constant(1)), b = upload(constant(2));
  const Allocation first(device, kCount * 4), second(device, kCount * 4);
  std::vector<void*> bindings = {a.data(), first.data()};
  const auto recording = device->record(device->make_command_list(std::move(list)), bindings);
  auto& stream = device->default_stream();
  recording->replay(stream, bindings);
  bindings = {b.data(), second.data()};
  recording->replay(stream, bindings);
  const auto expected = [](int value) {
    auto values = constant(value);
    std::fill(values.begin() + kCount / 2, values.end(), 5);
    return values;
  };
  EXPECT_EQ(download(first.data(), kCount), expected(1));
  EXPECT_EQ(download(second.data(), kCount), expected(2));
}

TEST_F(RecordingTest, LibraryCallsAreCapturedAndCapturedAnew) {
  const auto make_list = [&] {
    StepList list;
    list.push_back(step("c[i] = a[i] + b[i];", 0, 0, 1, kCount));
    list.push_back(kernels::cuda::make_step(0, [](Operations& operations, int) {
      operations.add(LibraryCall{[](CUstream stream, void* const* bindings) {
                       check(driver().cuMemcpyAsync(reinterpret_cast<CUdeviceptr>(bindings[2]), reinterpret_cast<CUdeviceptr>(bindings[1]), kCount * 4, stream),
                             "test");
                     }},
                     {{1, 0, kCount * 4, false}, {2, 0, kCount * 4, true}});
    }));
    list.push_back(step("c[i] = a[i] * b[i];", 2, 2, 3, kCount));
    return list;
  };
  const auto a = upload(constant(3));
  const Allocation twice(device, kCount * 4), copy(device, kCount * 4), other(device, kCount * 4), result(device, kCount * 4);
  std::vector<void*> bindings = {a.data(), twice.data(), copy.data(), result.data()};
  const std::shared_ptr<const CommandList> list = device->make_command_list(make_list());
  list->enqueue(device->default_stream(), bindings.data());
  EXPECT_EQ(download(result.data(), kCount), constant(36));
  const auto recording = device->record(list, bindings);
  device->fill(result.data(), 0, 4, kCount, device->default_stream());
  recording->replay(device->default_stream(), bindings);
  EXPECT_EQ(download(result.data(), kCount), constant(36));
  device->fill(result.data(), 0, 4, kCount, device->default_stream());
  bindings[2] = other.data();
  recording->replay(device->default_stream(), bindings);
  EXPECT_EQ(download(result.data(), kCount), constant(36));
  EXPECT_EQ(download(other.data(), kCount), constant(6));
}

TEST_F(RecordingTest, KernelsOfALibraryStartEarlyAndInOrder) {
  constexpr std::int64_t kMany = 1 << 20, kBytes = kMany * 4;
  const Kernel add = kernel("c[i] = a[i] + b[i];");
  const auto call = [add](int x, int y, bool may_start_early) {  // y = (x + x) + x, by two kernels that are launched programmatically
    return kernels::cuda::make_step(0, [=](Operations& operations, int) {
      operations.add(LibraryCall{[=](CUstream stream, void* const* bindings) {
                                   std::int64_t count = kMany;
                                   void *from = bindings[x], *to = bindings[y], *twice[] = {&from, &from, &to, &count}, *thrice[] = {&to, &from, &to, &count};
                                   CUlaunchAttribute early{};
                                   early.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
                                   early.value.programmaticStreamSerializationAllowed = 1;
                                   CUlaunchConfig config{};
                                   config.gridDimX = kMany / 128;
                                   config.blockDimX = 128;
                                   config.gridDimY = config.gridDimZ = config.blockDimY = config.blockDimZ = 1;
                                   config.hStream = stream;
                                   config.attrs = &early;
                                   config.numAttrs = 1;
                                   for (void** arguments : {twice, thrice}) check(driver().cuLaunchKernelEx(&config, add.get(), arguments, nullptr), "test");
                                 },
                                 may_start_early},
                     {{x, 0, kBytes, false}, {y, 0, kBytes, true}});
    });
  };
  const auto a = upload(std::vector<int>(kMany, 1)), b = upload(std::vector<int>(kMany, 2));
  std::vector<Allocation> memory;
  std::vector<void*> bindings = {a.data()};
  for (int i = 0; i < 4; ++i) bindings.push_back(memory.emplace_back(device, kBytes).data());
  StepList list;
  list.push_back(step("c[i] = a[i] + b[i];", 0, 0, 1, kMany, true));
  list.push_back(call(1, 2, true));
  list.push_back(call(2, 3, false));
  list.push_back(step("c[i] = a[i] - b[i];", 3, 2, 4, kMany, true));
  const auto recording = device->record(device->make_command_list(std::move(list)), bindings);
  auto& stream = device->default_stream();
  for (int round = 0; round < 20; ++round) {
    bindings[0] = round % 2 == 0 ? a.data() : b.data();
    std::swap(bindings[2], bindings[3]);
    recording->replay(stream, bindings);
    EXPECT_EQ(download(bindings[4], kMany), std::vector<int>(kMany, round % 2 == 0 ? 12 : 24)) << round;
  }
}

TEST_F(RecordingTest, AFailedLibraryCallLeavesTheDeviceUsable) {
  StepList list;
  list.push_back(kernels::cuda::make_step(0, [](Operations& operations, int) {
    operations.add(LibraryCall{[](CUstream, void* const*) { throw DeviceError("[test/library] no"); }}, {{0, 0, 4, true}});
  }));
  const auto a = upload({1});
  std::vector<void*> bindings = {a.data()};
  EXPECT_THROW((void)device->record(device->make_command_list(std::move(list)), bindings), CaptureFailed);
  EXPECT_EQ(download(a.data(), 1), (std::vector{1}));
}

TEST_F(RecordingTest, GrowthUnderARecordingMovesNothing) {
  const auto region = device->reserve(64u << 20);
  region->commit(1u << 20);
  auto* const base = region->base();
  StepList list;
  list.push_back(step("c[i] = a[i] + 1;", 0, 0, 0, kCount));
  std::vector<void*> bindings = {base};
  const auto recording = device->record(device->make_command_list(std::move(list)), bindings);
  device->fill(base, 0, 4, kCount, device->default_stream());
  recording->replay(device->default_stream(), bindings);
  device->default_stream().synchronize();
  region->commit(64u << 20);
  recording->replay(device->default_stream(), bindings);
  EXPECT_EQ(download(base, kCount), constant(2));
}

TEST_F(RecordingTest, WorkOfOtherThreadsDoesNotBreakACapture) {
  std::atomic<bool> done = false;
  std::thread noise([&] {
    while (!done) {
      void* memory = device->allocate(1 << 16, MemoryKind::device);
      device->fill(memory, 1, 1, 1 << 16, device->default_stream());
      device->default_stream().synchronize();
      device->deallocate(memory, MemoryKind::device);
    }
  });
  const auto a = upload(constant(1));
  std::vector<void*> bindings = {a.data()};
  for (int i = 0; i < 50; ++i) {
    StepList list;
    list.push_back(kernels::cuda::make_step(0, [](Operations& operations, int) {
      operations.add(LibraryCall{[](CUstream stream, void* const* table) { fill_memory(reinterpret_cast<CUdeviceptr>(table[0]), 4, 4, kCount, stream); }},
                     {{0, 0, kCount * 4, true}});
    }));
    const auto recording = device->record(device->make_command_list(std::move(list)), bindings);
    const auto stream = device->make_stream();
    recording->replay(*stream, bindings);
    stream->synchronize();
  }
  done = true;
  noise.join();
  EXPECT_EQ(download(a.data(), kCount), constant(4));
}

using FaultTest = OnGpu;

TEST_F(FaultTest, ErrorsInTheDataReachTheCallerOnce) {
  const Kernel compiled = gpu->programs().request(
      {.text = "#include \"prelude.cuh\"\nextern \"C\" __global__ void run(const i32_t* a, u64_t* fault) { if (*a < 0) *fault = 40 - *a; }\n", .entry = "run"});
  StepList steps;
  steps.push_back(kernels::cuda::make_step(0, [&](Operations& operations, int) {
    auto* word = operations.fault([](std::uint64_t value) { throw ShapeError("[test/step] " + std::to_string(value)); });
    kernels::cuda::launch(operations, compiled, {}, Arguments().pointer({0, 0}, {0, 0, 4, false}).fixed(word));
  }));
  const auto good = upload({5}), bad = upload({-2});
  const std::shared_ptr<const CommandList> list = device->make_command_list(std::move(steps));
  std::vector<void*> bindings = {bad.data()};
  auto& stream = device->default_stream();
  const auto recording = device->record(list, bindings);
  for (const bool recorded : {false, true}) {
    const auto enqueue = [&](void* data) {
      bindings[0] = data;
      recorded ? recording->replay(stream, bindings) : list->enqueue(stream, bindings.data());
    };
    enqueue(bad.data());
    try {
      stream.synchronize();
      ADD_FAILURE() << "no error";
    } catch (const ShapeError& error) {
      EXPECT_STREQ(error.what(), "[test/step] 42");
    }
    stream.synchronize();
    enqueue(good.data());
    stream.synchronize();
  }
}

using ContextTest = OnGpu;

TEST_F(ContextTest, TheCallersCurrentContextStays) {
  const auto current = [] {
    CUcontext context = nullptr;
    check(driver().cuCtxGetCurrent(&context), "test");
    return context;
  };
  EXPECT_EQ(current(), nullptr);
  const auto memory = upload({1, 2, 3});
  EXPECT_EQ(download(memory.data(), 3), (std::vector{1, 2, 3}));
  const auto stream = device->make_stream();
  const auto event = device->make_event();
  stream->record(*event);
  event->synchronize();
  EXPECT_EQ(current(), nullptr);
}

TEST_F(ContextTest, OutOfMemoryIsAnErrorAndPasses) {
  std::vector<Allocation> all;
  EXPECT_THROW(
      {
        while (true) all.emplace_back(device, std::size_t{8} << 30);
      },
      OutOfMemory);
  EXPECT_FALSE(all.empty());
  const auto region = device->reserve(gpu->info().memory_bytes);
  EXPECT_THROW(region->commit(std::size_t{32} << 30), OutOfMemory);
  EXPECT_EQ(region->committed(), 0u);
  all.clear();
  region->commit(std::size_t{1} << 30);  // what the pool kept is given back for it
  EXPECT_EQ(download(upload({4}).data(), 1), (std::vector{4}));
}

TEST_F(ContextTest, KernelsThatDoNotCompileSayWhy) {
  const auto broken = kernel("this is no code;");
  try {
    (void)broken.get();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("error"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace reprise::device::cuda::test
