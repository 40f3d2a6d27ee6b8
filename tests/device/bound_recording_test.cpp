// Recordings of the CPU: addresses are filled in when they are recorded or change, and at no other time.
#include <gtest/gtest.h>

#include <vector>

#include "device/bindable_step.h"
#include "device/device.h"

namespace reprise::device {
namespace {

struct Counts {
  int made = 0, bound = 0, runs = 0, plain = 0;
};

/// *bindings[1] = *bindings[0] + 1
class AddOne final : public BindableStep {
 public:
  explicit AddOne(Counts& counts) : counts_(counts) {}
  void run(void* const* bindings) const override {
    ++counts_.plain;
    *static_cast<int*>(bindings[1]) = *static_cast<int*>(bindings[0]) + 1;
  }
  [[nodiscard]] std::unique_ptr<BoundStep> make_bound() const override {
    ++counts_.made;
    return std::make_unique<Bound>(counts_);
  }

 private:
  class Bound final : public BoundStep {
   public:
    explicit Bound(Counts& counts) : counts_(counts) {}
    void bind(void* const* bindings) override {
      ++counts_.bound;
      from_ = static_cast<int*>(bindings[0]);
      to_ = static_cast<int*>(bindings[1]);
    }
    void run() override {
      ++counts_.runs;
      *to_ = *from_ + 1;
    }

   private:
    Counts& counts_;
    int *from_ = nullptr, *to_ = nullptr;
  };
  Counts& counts_;
};

TEST(BoundRecording, BindsOnceAndWhenAnAddressChanges) {
  for (const bool queued : {false, true}) {
    const auto device = open(Device::cpu());
    const auto own = device->make_stream();
    Stream& stream = queued ? *own : device->default_stream();
    Counts counts;
    StepList steps;
    steps.push_back(std::make_unique<AddOne>(counts));
    const std::shared_ptr<const CommandList> list = device->make_command_list(std::move(steps));
    int a = 1, b = 0, c = 10;
    std::vector<void*> bindings = {&a, &b};
    const auto recording = device->record(list, bindings);
    EXPECT_EQ(counts.made, 1);
    EXPECT_EQ(counts.bound, 1);
    for (int i = 0; i < 5; ++i) {
      a = i;
      recording->replay(stream, bindings);
      stream.synchronize();
      EXPECT_EQ(b, i + 1);
    }
    EXPECT_EQ(counts.bound, 1);
    bindings[0] = &c;
    recording->replay(stream, bindings);
    stream.synchronize();
    EXPECT_EQ(b, 11);
    EXPECT_EQ(counts.made, 1);
    EXPECT_EQ(counts.bound, 2);
    EXPECT_EQ(counts.runs, 6);
    EXPECT_EQ(counts.plain, 0);
    EXPECT_EQ(recording->patched_slots(), 1u);
  }
}

}  // namespace
}  // namespace reprise::device
