#include "exec/weights.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

namespace reprise::exec {
namespace {

/// Of which input 0 is read by rows that data picks.
bool picks_rows(core::Op op) { return op == core::Op::index || op == core::Op::gather; }

template <class F>
void for_each_command(const plan::Plan& plan, F&& visit) {
  for (const auto& block : plan.blocks)
    for (const auto& command : block.commands) visit(command);
}

}  // namespace

WeightStore::WeightStore(const plan::Plan& plan, const Schedule& schedule, device::DevicePtr device, std::size_t others)
    : plan_(plan), schedule_(schedule), device_(std::move(device)), streams_(plan.settings.enable_weight_streaming), piece_of_(plan.buffers.size(), -1) {
  find_pieces();
  find_readers();
  budget_ = streams_ ? automatic_budget(others) : total_;
  const Residency first = choose_resident(weights_, readers_, budget_);
  publish(make_set(first.resident, first.slots, nullptr));
}

void WeightStore::find_pieces() {
  std::map<std::pair<const void*, std::size_t>, int> known;
  for (std::size_t id = 0; id < plan_.buffers.size(); ++id) {
    const auto& buffer = plan_.buffers[id];
    if (buffer.kind != plan::BufferKind::weight) continue;
    const auto& weight = plan_.weights.at(static_cast<std::size_t>(buffer.index));
    const auto* data = weight.data.data_as<const std::byte>();
    const auto [entry, fresh] = known.try_emplace({data, weight.data.nbytes()}, static_cast<int>(pieces_.size()));
    if (fresh) pieces_.push_back({data, weight.data.nbytes(), weight.mapped, {}});
    piece_of_[id] = entry->second;
    pieces_[static_cast<std::size_t>(entry->second)].buffers.push_back(static_cast<plan::BufferId>(id));
  }
}

void WeightStore::find_readers() {
  for (const Piece& piece : pieces_) {
    weights_.push_back({.bytes = piece.bytes, .engine = -1, .uses = 0, .read_in_place = false});
    total_ += piece.bytes;
  }
  std::vector<bool> only_rows(pieces_.size(), true);
  for_each_command(plan_, [&](const plan::Command& command) { note_reader(command, only_rows); });
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
  auto before = current();
  std::vector<bool> staying(pieces_.size());
  bool leaves = false, comes = false;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const bool is = before->pieces[i].resident;
    staying[i] = is && wanted.resident[i];
    leaves = leaves || (is && !wanted.resident[i]);
    comes = comes || (!is && wanted.resident[i]);
  }
  if (!leaves && !comes && before->slots == wanted.slots) return;
  const auto change_to = [&](const std::vector<bool>& resident, int slots) {
    publish(make_set(resident, slots, before.get()));
    before = nullptr;  // frees what calls in flight do not hold
    release();
    device_->trim();
    before = current();
  };
  if (leaves && comes) change_to(staying, 2);
  change_to(wanted.resident, wanted.slots);
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

std::shared_ptr<WeightSet> WeightStore::make_set(const std::vector<bool>& resident, int slots, const WeightSet* before) const {
  auto set = std::make_shared<WeightSet>();
  set->slots = slots;
  set->addresses.resize(plan_.buffers.size());
  set->copied.resize(plan_.buffers.size());
  set->dropped.resize(plan_.buffers.size());
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const Piece& piece = pieces_[i];
    const bool kept = before != nullptr && before->pieces[i].resident == resident[i];
    set->pieces.push_back(kept ? before->pieces[i] : place(piece, resident[i]));
    const auto& memory = set->pieces.back().memory;
    if (resident[i]) set->resident_bytes += piece.bytes;
    if (!resident[i] && memory != nullptr) set->pinned_bytes += piece.bytes;
    for (const auto id : piece.buffers) {
      const auto slot = static_cast<std::size_t>(id);
      set->addresses[slot] = memory != nullptr ? memory->data() : const_cast<std::byte*>(piece.data);
      set->copied[slot] = !resident[i] && !weights_[i].read_in_place;
      set->dropped[slot] = !resident[i] && weights_[i].read_in_place && piece.mapped && memory == nullptr;
    }
  }
  number_copies(*set);
  return set;
}

WeightSet::Piece WeightStore::place(const Piece& piece, bool resident) const {
  if (device_->host_visible()) return {nullptr, resident};
  auto memory = std::make_shared<device::Allocation>(device_, piece.bytes, resident ? device::MemoryKind::device : device::MemoryKind::pinned);
  if (resident) {
    device_->copy(memory->data(), piece.data, piece.bytes, device_->default_stream());
    device_->default_stream().synchronize();
  } else {
    std::memcpy(memory->data(), piece.data, piece.bytes);
  }
  return {std::move(memory), resident};
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
