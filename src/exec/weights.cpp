#include "exec/weights.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "plan/commands.h"

namespace reprise::exec {
namespace {

/// Of which input 0 is read by rows that data picks.
bool picks_rows(core::Op op) { return op == core::Op::index || op == core::Op::gather; }

std::vector<bool> residents(const WeightSet& set) {
  std::vector<bool> result;
  for (const auto& piece : set.pieces) result.push_back(piece.resident);
  return result;
}

/// The one with least in it of the blocks that are better emptied; null: there is none.
const WeightBlock* block_to_empty(const WeightSet& set) {
  const std::pair<const std::shared_ptr<WeightBlock>, std::size_t>* least = nullptr;
  for (const auto& entry : set.blocks)
    if (entry.first->is_worth_emptying(entry.second) && (least == nullptr || entry.second < least->second)) least = &entry;
  return least == nullptr ? nullptr : least->first.get();
}

std::vector<std::shared_ptr<WeightBlock>> blocks_without_holes(const WeightSet* set) {
  std::vector<std::shared_ptr<WeightBlock>> open;
  if (set == nullptr) return open;
  for (const auto& [block, live] : set->blocks)
    if (block->used() == live) open.push_back(block);
  return open;
}

}  // namespace

WeightStore::WeightStore(const plan::Plan& plan, const Schedule& schedule, device::DevicePtr device, const kernels::StoredForms& stored, std::size_t others)
    : plan_(plan), schedule_(schedule), device_(std::move(device)), streams_(plan.settings.enable_weight_streaming), piece_of_(plan.buffers.size(), -1) {
  find_pieces(stored);
  find_readers();
  budget_ = streams_ ? automatic_budget(others) : total_;
  const Residency first = choose_resident(weights_, readers_, budget_);
  publish(make_set(first.resident, first.slots, {}));
}

void WeightStore::find_pieces(const kernels::StoredForms& stored) {
  std::map<std::pair<const void*, std::size_t>, int> known;
  for (std::size_t id = 0; id < plan_.buffers.size(); ++id) {
    const auto& buffer = plan_.buffers[id];
    if (buffer.kind != plan::BufferKind::weight) continue;
    const auto& weight = plan_.weights.at(static_cast<std::size_t>(buffer.index));
    const auto* data = weight.data.data_as<const std::byte>();
    const auto [entry, fresh] = known.try_emplace({data, weight.data.nbytes()}, static_cast<int>(pieces_.size()));
    if (fresh) {
      pieces_.push_back({data, weight.data.nbytes(), weight.mapped, {}});
      weights_.push_back({.bytes = weight.data.nbytes(), .engine = -1, .uses = 0, .stored = stored.has(data, weight.data.nbytes())});
      total_ += weight.data.nbytes();
    }
    piece_of_[id] = entry->second;
    pieces_[static_cast<std::size_t>(entry->second)].buffers.push_back(static_cast<plan::BufferId>(id));
  }
}

void WeightStore::find_readers() {
  std::vector<bool> only_rows(pieces_.size(), true);
  plan::for_each_command(plan_, [&](const plan::Command& command) { note_reader(command, only_rows); });
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    weights_[i].read_in_place = weights_[i].uses == 0 || only_rows[i];
    if (weights_[i].engine < 0) weights_[i].engine = engine_of(0);
  }
}

void WeightStore::note_reader(const plan::Command& command, std::vector<bool>& only_rows) {
  std::vector<int> reads;
  for (std::size_t i = 0; i < command.inputs.size(); ++i) {
    const int piece = piece_of_[static_cast<std::size_t>(command.inputs[i].buffer)];
    if (piece < 0) continue;
    const auto at = static_cast<std::size_t>(piece);
    if (!picks_rows(command.op) || i > 0) only_rows[at] = false;
    if (std::find(reads.begin(), reads.end(), piece) != reads.end()) continue;
    reads.push_back(piece);
    ++weights_[at].uses;
    if (weights_[at].engine < 0) weights_[at].engine = engine_of(command.segment);
  }
  if (!reads.empty()) readers_.push_back(std::move(reads));
}

int WeightStore::engine_of(int segment) {
  const auto found = std::find(engines_.begin(), engines_.end(), segment);
  const auto index = found - engines_.begin();
  if (found == engines_.end()) engines_.push_back(segment);
  return static_cast<int>(index);
}

std::shared_ptr<const WeightSet> WeightStore::current() const {
  const std::scoped_lock lock(mutex_);
  return current_;
}

void WeightStore::publish(std::shared_ptr<WeightSet> set) {
  const std::scoped_lock lock(mutex_);
  set->epoch = epoch_ + 1;
  current_ = std::move(set);
  epoch_.store(current_->epoch, std::memory_order_release);
}

void WeightStore::set_budget(std::size_t bytes, const std::function<void()>& release) {
  const std::scoped_lock lock(change_);
  budget_ = std::min(bytes, total_);
  const Residency wanted = choose_resident(weights_, readers_, budget_);
  const std::uint64_t first_epoch = epoch();
  const auto now = residents(*current());
  auto staying = now;
  for (std::size_t i = 0; i < staying.size(); ++i) staying[i] = now[i] && wanted.resident[i];
  const bool leaves = staying != now, comes = staying != wanted.resident;
  const auto change_to = [&](const std::vector<bool>& resident, int slots, const WeightBlock* emptied) {
    publish(make_set(resident, slots, {current().get(), emptied}));  // frees what neither calls nor idle contexts hold
    release();
  };
  if (leaves) change_to(staying, comes ? 2 : wanted.slots, nullptr);
  while (const WeightBlock* block = block_to_empty(*current())) change_to(staying, current()->slots, block);
  if (comes || current()->slots != wanted.slots) change_to(wanted.resident, wanted.slots, nullptr);
  if (epoch() != first_epoch) device_->trim();
}

std::size_t WeightStore::automatic_budget(std::size_t others) const {
  if (!streams_) return 0;
  const auto memory = device_->memory_size();
  const auto now = current();
  const std::size_t reserve = others + memory.total_bytes / 20, have = memory.free_bytes + (now != nullptr ? now->resident_bytes : 0);
  return have <= reserve ? 0 : std::min(total_, have - reserve);
}

std::vector<WeightStore::Engine> WeightStore::engines() const {
  std::vector<std::size_t> bytes(engines_.size());
  for (const auto& weight : weights_) bytes[static_cast<std::size_t>(weight.engine)] += weight.bytes;
  const auto budgets = split_budget(budget(), bytes);
  std::vector<Engine> engines;
  for (std::size_t i = 0; i < engines_.size(); ++i) engines.push_back({engines_[i], bytes[i], budgets[i]});
  std::sort(engines.begin(), engines.end(), [](const Engine& a, const Engine& b) { return a.segment < b.segment; });
  return engines;
}

std::shared_ptr<WeightSet> WeightStore::make_set(const std::vector<bool>& resident, int slots, const Change& change) const {
  auto set = std::make_shared<WeightSet>();
  set->slots = slots;
  set->addresses.resize(plan_.buffers.size());
  set->copied.resize(plan_.buffers.size());
  set->dropped.resize(plan_.buffers.size());
  BlockFiller filler(device_, blocks_without_holes(change.before));
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    set->pieces.push_back(place(i, resident[i], change, filler));
    point_at(i, *set);
  }
  number_copies(*set);
  filler.keep();
  return set;
}

WeightSet::Piece WeightStore::place(std::size_t piece, bool resident, const Change& change, BlockFiller& filler) const {
  const WeightSet::Piece* before = change.before == nullptr ? nullptr : &change.before->pieces[piece];
  const bool same = before != nullptr && before->resident == resident;
  if (same && (before->block == nullptr || before->block.get() != change.emptied)) return *before;
  const auto& [data, bytes, mapped, buffers] = pieces_[piece];
  if (device_->host_visible()) return {.resident = resident};
  if (!resident) {
    auto pinned = std::make_shared<device::Allocation>(device_, bytes, device::MemoryKind::pinned);
    std::memcpy(pinned->data(), data, bytes);
    std::byte* address = pinned->data();
    return {.address = address, .resident = false, .pinned = std::move(pinned)};
  }
  auto [block, address] = filler.add(bytes);
  device_->copy(address, same ? before->address : data, bytes, device_->default_stream());
  device_->default_stream().synchronize();
  return {.address = address, .resident = true, .block = std::move(block)};
}

void WeightStore::point_at(std::size_t index, WeightSet& set) const {
  const auto& [data, bytes, mapped, buffers] = pieces_[index];
  const auto& [address, resident, block, pinned] = set.pieces[index];
  if (block != nullptr) set.blocks[block] += room_for_weight(bytes);
  if (resident) set.resident_bytes += bytes;
  if (pinned != nullptr) set.pinned_bytes += bytes;
  for (const auto id : buffers) {
    const auto slot = static_cast<std::size_t>(id);
    set.addresses[slot] = address != nullptr ? address : const_cast<std::byte*>(data);
    // A command that finds no stored form of its own copies, whatever the others do.
    set.copied[slot] = !resident && !weights_[index].read_in_place;
    set.dropped[slot] = !resident && !set.copied[slot] && mapped && address == nullptr;
  }
}

void WeightStore::number_copies(WeightSet& set) const {
  set.first_copy.resize(static_cast<std::size_t>(schedule_.stage_count));
  for (const auto& block : schedule_.blocks) {
    for (const Stage& stage : block) {
      set.first_copy[static_cast<std::size_t>(stage.id)] = set.copies;
      for (const plan::Command* c = stage.begin; c != stage.end; ++c)
        for (const auto& operand : c->inputs) set.copies += set.copied[static_cast<std::size_t>(operand.buffer)] ? 1 : 0;
    }
  }
}

}  // namespace reprise::exec
