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
  EXPECT_EQ(message_of(Device::cuda(1)), "[device/open] this build has no back end for the device (got cuda:1, want cpu)");
  EXPECT_EQ(message_of(Device::cpu(-1)), "[device/open] negative device index (got -1)");
}

TEST(Open, PresentsAnyNumberOfVirtualCpus) {
  for (const int index : {0, 1, 7}) EXPECT_EQ(open(Device::cpu(index))->id(), Device::cpu(index));
}

}  // namespace
}  // namespace reprise::device
