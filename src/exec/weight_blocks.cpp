#include "exec/weight_blocks.h"

#include <algorithm>
#include <utility>

#include "exec/residency.h"

namespace reprise::exec {

WeightBlock::WeightBlock(device::DevicePtr device, std::size_t bytes) : device_(std::move(device)), region_(device_->reserve(bytes)) {
  region_->commit(1);
  page_ = region_->committed();
}

std::byte* WeightBlock::add(std::size_t bytes) {
  const std::size_t room = room_for_weight(bytes);
  if (room > region_->reserved() - used_) return nullptr;
  region_->commit(used_ + room);
  std::byte* address = region_->base() + used_;
  used_ += room;
  return address;
}

void WeightBlock::take_back(std::size_t used) {
  used_ = used;
  region_->trim(used);
}

bool WeightBlock::is_worth_emptying(std::size_t live) const { return live < used_ && (live + page_ <= region_->committed() || live < region_->reserved() / 2); }

BlockFiller::BlockFiller(device::DevicePtr device, const std::vector<std::shared_ptr<WeightBlock>>& open) : device_(std::move(device)) {
  for (const auto& block : open) filled_.push_back({block, block->used()});
}

BlockFiller::~BlockFiller() {
  for (const auto& [block, used] : filled_) block->take_back(used);
}

BlockFiller::Place BlockFiller::add(std::size_t bytes) {
  for (const auto& [block, used] : filled_)
    if (std::byte* address = block->add(bytes)) return {block, address};
  const auto fresh = std::make_shared<WeightBlock>(device_, std::max(room_for_weight(bytes), WeightBlock::kBytes));
  filled_.push_back({fresh, 0});
  return {fresh, fresh->add(bytes)};
}

}  // namespace reprise::exec
