#include <gtest/gtest.h>

#include "device/device.h"
#include "reprise/error.h"

namespace reprise::device {
namespace {

std::string message_of(Device device) {
  try {
    (void)open(device);
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "";
}

TEST(Open, NamesTheDeviceThatIsNotThere) {
  // What is missing differs: the library, the driver, a GPU, or this many of them.
  EXPECT_TRUE(message_of(Device::cuda(99)).starts_with("[device/open] ")) << message_of(Device::cuda(99));
  EXPECT_NE(message_of(Device::cuda(99)).find("CUDA"), std::string::npos) << message_of(Device::cuda(99));
  EXPECT_EQ(message_of(Device::cpu(-1)), "[device/open] negative device index (got -1)");
}

TEST(Open, PresentsAnyNumberOfVirtualCpus) {
  for (const int index : {0, 1, 7}) EXPECT_EQ(open(Device::cpu(index))->id(), Device::cpu(index));
}

}  // namespace
}  // namespace reprise::device
