#include "plan/rpz.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <numeric>

#include "base/check.h"
#include "base/file.h"
#include "base/pages.h"
#include "base/zip.h"
#include "plan/json_read.h"
#include "plan/json_write.h"

namespace reprise::plan {

namespace {

base::Bytes bytes_of(const Tensor& t) { return {static_cast<const std::byte*>(t.data()), t.nbytes()}; }

// Writes each distinct piece of memory once and remembers where.
class TensorWriter {
 public:
  explicit TensorWriter(base::ZipWriter& zip) : zip_(zip) {}

  /// Small ones first, the smallest in front: whose pages stay with a process (biases) lie together, away from those of weights that go once they are packed.
  std::vector<TensorEntry> add(const std::string& folder, const std::vector<Tensor>& tensors) {
    constexpr std::size_t kSmall = std::size_t{64} << 10;
    std::vector<std::size_t> order(tensors.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return tensors[i].defined() ? std::min(tensors[i].nbytes(), kSmall) : 0; });
    std::vector<TensorEntry> entries(tensors.size());
    for (const std::size_t i : order)
      if (tensors[i].defined()) entries[i] = add(folder, tensors[i]);
    return entries;
  }

 private:
  TensorEntry add(const std::string& folder, const Tensor& t) {
    const auto [it, added] = written_.try_emplace({t.data(), t.nbytes()}, "");
    if (added) {
      it->second = fmt::format("{}/{}", folder, count_++);
      zip_.add(it->second, bytes_of(t));
    }
    return {it->second, 0};
  }

  base::ZipWriter& zip_;
  std::map<std::pair<const void*, std::size_t>, std::string> written_;
  int count_ = 0;
};

template <class List, class Get>
std::vector<Tensor> tensors_of(const List& list, Get get) {
  std::vector<Tensor> tensors;
  for (const auto& item : list) tensors.push_back(get(item));
  return tensors;
}

// The tensor at `offset` of an entry's bytes, which `owner` keeps alive; copied where it is not aligned for its dtype.
Tensor tensor_at(base::Bytes entry, const std::string& place, std::size_t offset, DType dtype, const std::vector<std::int64_t>& sizes,
                 const std::shared_ptr<const void>& owner) {
  std::size_t bytes = item_size(dtype);
  for (const auto s : sizes) {
    REPRISE_CHECK(s >= 0 && (s == 0 || bytes <= std::numeric_limits<std::size_t>::max() / static_cast<std::size_t>(s)), FormatError,
                  "[plan/rpz] {}: sizes are impossible", place);
    bytes *= static_cast<std::size_t>(s);
  }
  REPRISE_CHECK(offset <= entry.size() && bytes <= entry.size() - offset, FormatError,
                "[plan/rpz] {}: the tensor reaches outside (got {} bytes at {}, want at most {})", place, bytes, offset, entry.size());
  auto* data = const_cast<std::byte*>(entry.data() + offset);  // weights are never written: states are copied first
  auto tensor = Tensor::from_blob(data, sizes, dtype, {}, Device::cpu(), [owner] {});
  return reinterpret_cast<std::uintptr_t>(data) % item_size(dtype) == 0 ? tensor : tensor.clone();
}

constexpr std::string_view kSectionFolder = "device/";
constexpr std::uint64_t kLargeSection = 1 << 20;

std::vector<Section> read_sections(const base::ZipReader& zip, const std::shared_ptr<const void>& owner) {
  std::vector<Section> sections;
  for (const auto& entry : zip.entries()) {
    if (!entry.name.starts_with(kSectionFolder)) continue;
    REPRISE_CHECK(!entry.deflated, FormatError, "[plan/rpz] {}: entry '{}' is compressed", zip.label(), entry.name);
    // As weights: packed ones are not read through for a checksum.
    const base::Bytes bytes = entry.size < kLargeSection ? zip.bytes(entry) : entry.data;
    sections.push_back({entry.name.substr(kSectionFolder.size()), tensor_at(bytes, fmt::format("{}: entry '{}'", zip.label(), entry.name), 0, DType::u8,
                                                                            {static_cast<std::int64_t>(bytes.size())}, owner)});
  }
  return sections;
}

bool looks_like_program(const base::ZipReader& zip) {
  return std::any_of(zip.entries().begin(), zip.entries().end(),
                     [](const auto& e) { return e.name == "serialized_exported_program.json" || e.name.ends_with("/models/model.json"); });
}

std::shared_ptr<Plan> read(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& name, bool check_crc) {
  const base::ZipReader zip(bytes, name, {.check_crc = check_crc});
  REPRISE_CHECK(zip.find("manifest.json") != nullptr, FormatError, "[plan/rpz] {}: not a compiled module (no manifest.json){}", name,
                looks_like_program(zip) ? "; it is a .pt2 program" : "");
  const auto source = [&](const std::string& entry, std::size_t offset, DType dtype, const std::vector<std::int64_t>& sizes) {
    const auto& found = zip.at(entry);
    REPRISE_CHECK(!found.deflated, FormatError, "[plan/rpz] {}: entry '{}' is compressed", name, entry);
    return tensor_at(found.data, fmt::format("{}: entry '{}'", name, entry), offset, dtype, sizes, owner);
  };
  auto plan = std::make_shared<Plan>();
  const base::JsonDocument manifest(zip.text(zip.at("manifest.json")), name + ": manifest.json");
  check_format(manifest.root(), name);
  try {
    read_manifest(manifest.root(), source, *plan);
    const base::JsonDocument commands(zip.text(zip.at("plan.json")), name + ": plan.json");
    read_plan(commands.root(), *plan);
    plan->sections = read_sections(zip, owner);
    verify(*plan);
  } catch (const FormatError& e) {
    const std::string_view what = e.what();
    if (what.find(name) != std::string_view::npos) throw;
    throw FormatError(fmt::format("[plan/rpz] {}: {}", name, what));
  } catch (const InvalidArgument& e) {
    throw FormatError(fmt::format("[plan/rpz] {}: {}", name, e.what()));
  }
  return plan;
}

}  // namespace

void save(const Plan& plan, const std::string& path) {
  base::ZipWriter zip(path);
  TensorWriter tensors(zip);
  const auto weights = tensors.add("weights", tensors_of(plan.weights, [](const Weight& w) { return w.data; }));
  const auto states = tensors.add("state", tensors_of(plan.states, [](const StateSpec& s) { return s.initial; }));
  const auto samples = tensors.add("samples", tensors_of(plan.inputs, [](const InputSpec& i) { return i.sample; }));
  for (const Section& section : plan.sections) {
    const bool pages = section.bytes.nbytes() >= base::ZipWriter::kPage;  // which a mapping's reader may let go without a neighbour's
    zip.add(std::string(kSectionFolder) + section.name, bytes_of(section.bytes), pages ? base::ZipWriter::kPage : base::ZipWriter::kAlignment);
  }
  zip.add("plan.json", plan_json(plan));
  zip.add("manifest.json", manifest_json(plan, weights, states, samples));
  zip.finish();
}

PlanPtr load(const std::string& path, bool check_crc) {
  auto file = base::MappedFile::open(path);
  const auto bytes = file->bytes();
  auto plan = read(bytes, file, path, check_crc);
  const auto* begin = bytes.data();
  for (Weight& weight : plan->weights) {
    const auto* data = weight.data.data_as<const std::byte>();
    weight.mapped = std::less_equal<>()(begin, data) && std::less<>()(data, begin + bytes.size());
  }
  base::drop_pages_of_file(bytes.data(), bytes.size());  // what is read again comes again
  return plan;
}

PlanPtr load(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& name, bool check_crc) {
  return read(bytes, std::move(owner), name, check_crc);
}

}  // namespace reprise::plan
