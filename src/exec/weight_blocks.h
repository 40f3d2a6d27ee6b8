// Device memory of the weights that stay there: blocks, filled from the front, each of which goes back to the device when nothing is left in it.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "device/device.h"

namespace reprise::exec {

/// One block: address space, of which as many pages are memory as what was added needs. Nothing is added where something was before. What lies in it shares its
/// ownership; nothing may be in flight in it when the last owner lets go. Changed by one thread at a time.
class WeightBlock {
 public:
  static constexpr std::size_t kBytes = std::size_t{32} << 20;

  /// Throws OutOfMemory.
  WeightBlock(device::DevicePtr device, std::size_t bytes);

  /// Behind everything else. Null when there is no room. Throws OutOfMemory; the block is then as before.
  [[nodiscard]] std::byte* add(std::size_t bytes);
  /// Forgets what was added since `used` was `used()`. Nothing may be in flight in it.
  void take_back(std::size_t used);

  /// Bytes of everything that was added.
  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::size_t committed() const { return region_->committed(); }
  /// When what is left in it takes `live` bytes: moving that elsewhere saves at least a page, or the block has room that is more than what is left and cannot
  /// be used any more. Never for a block without holes.
  [[nodiscard]] bool is_worth_emptying(std::size_t live) const;

 private:
  device::DevicePtr device_;  // goes after the region
  std::unique_ptr<device::Reservation> region_;
  std::size_t page_, used_ = 0;
};

/// Adds weights to blocks. What one filler added goes again with it, unless all of it is kept.
class BlockFiller {
 public:
  /// `open`: blocks without holes, which are filled first.
  BlockFiller(device::DevicePtr device, const std::vector<std::shared_ptr<WeightBlock>>& open);
  BlockFiller(const BlockFiller&) = delete;
  BlockFiller& operator=(const BlockFiller&) = delete;
  ~BlockFiller();

  struct Place {
    std::shared_ptr<WeightBlock> block;
    std::byte* address = nullptr;
  };
  /// Throws OutOfMemory.
  [[nodiscard]] Place add(std::size_t bytes);
  void keep() { filled_.clear(); }

 private:
  struct Filled {
    std::shared_ptr<WeightBlock> block;
    std::size_t used_before = 0;
  };

  device::DevicePtr device_;
  std::vector<Filled> filled_;
};

}  // namespace reprise::exec
