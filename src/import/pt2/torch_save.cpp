#include "import/pt2/torch_save.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace reprise::import {
namespace {

struct TypeName {
  std::string_view name;
  DType dtype;
};

constexpr TypeName kTypes[] = {{"torch.DoubleStorage", DType::f64}, {"torch.FloatStorage", DType::f32},
                               {"torch.HalfStorage", DType::f16},   {"torch.BFloat16Storage", DType::bf16},
                               {"torch.LongStorage", DType::i64},   {"torch.IntStorage", DType::i32},
                               {"torch.ShortStorage", DType::i16},  {"torch.CharStorage", DType::i8},
                               {"torch.ByteStorage", DType::u8},    {"torch.BoolStorage", DType::boolean},
                               {"torch.float64", DType::f64},       {"torch.float32", DType::f32},
                               {"torch.float16", DType::f16},       {"torch.bfloat16", DType::bf16},
                               {"torch.int64", DType::i64},         {"torch.int32", DType::i32},
                               {"torch.int16", DType::i16},         {"torch.int8", DType::i8},
                               {"torch.uint8", DType::u8},          {"torch.bool", DType::boolean},
                               {"torch.uint16", DType::u16},        {"torch.uint32", DType::u32},
                               {"torch.uint64", DType::u64}};

}  // namespace

TorchSave::TorchSave(Record record, std::string label, const Limits& limits, Storages& storages)
    : label_(std::move(label)), records_(std::move(record), label_, limits), storages_(&storages) {
  const base::ZipReader& zip = records_.zip();
  const auto found = std::find_if(zip.entries().begin(), zip.entries().end(), [](const base::ZipEntry& e) { return e.name.ends_with("data.pkl"); });
  REPRISE_CHECK(found != zip.entries().end(), FormatError, "[import/weights] {}: this is no archive of torch.save: there is no data.pkl", label_);
  prefix_ = found->name.substr(0, found->name.size() - std::strlen("data.pkl"));
  if (const auto* order = zip.find(prefix_ + "byteorder")) {
    REPRISE_CHECK(zip.text(*order) == "little", FormatError, "[import/weights] {}: its storages are not in little-endian byte order", label_);
  }
  pickle_bytes_ = records_.content(*found, true);
  pickle_.emplace(pickle_bytes_.bytes, label_);
}

void TorchSave::fail(std::string_view what) const { REPRISE_FAIL(FormatError, "[import/weights] {}: {}", label_, what); }

std::int64_t TorchSave::integer(Pickle::Id id) const {
  if (pickle_->at(id).kind != Pickle::Kind::integer) fail("a tensor's size, stride or offset is no integer");
  return pickle_->at(id).integer;
}

std::vector<std::int64_t> TorchSave::integers(Pickle::Id id) const {
  if (pickle_->at(id).kind != Pickle::Kind::tuple) fail("a tensor's sizes or strides are no tuple");
  std::vector<std::int64_t> values;
  for (const Pickle::Id item : pickle_->at(id).items) values.push_back(integer(item));
  return values;
}

std::string_view TorchSave::text(Pickle::Id id, Pickle::Kind kind) const {
  if (pickle_->at(id).kind != kind) fail("a tensor's storage is malformed");
  return pickle_->at(id).text;
}

const std::vector<Pickle::Id>& TorchSave::items(Pickle::Id tuple, std::size_t least) const {
  const Pickle::Node& node = pickle_->at(tuple);
  if (node.kind != Pickle::Kind::tuple || node.items.size() < least) fail("a tensor is made from too few arguments");
  return node.items;
}

// _rebuild_parameter(tensor, requires_grad, hooks), _rebuild_parameter_with_state(…, state) and _rebuild_from_type_v2(function, type, args, state) wrap the
// call that makes the tensor.
TorchSave::Call TorchSave::unwrapped(Pickle::Id id) const {
  constexpr int kMaxWrappers = 4;
  Call call{{}, id};
  for (int i = 0; i < kMaxWrappers; ++i) {
    if (!is_tensor(id)) fail("a value is no tensor");
    call = {pickle_->at(id).text, pickle_->at(id).items[0]};
    if (call.function == "torch._tensor._rebuild_from_type_v2") {
      const auto& args = items(call.args, 3);
      call = {text(args[0], Pickle::Kind::global), args[2]};
    }
    if (!call.function.starts_with("torch._utils._rebuild_parameter")) return call;
    id = items(call.args, 1)[0];
  }
  fail("a tensor is wrapped too often");
}

// _rebuild_tensor_v2(storage, offset, sizes, strides, requires_grad, hooks[, metadata]); _v3 has the dtype before the metadata, over an untyped storage.
Tensor TorchSave::tensor(Pickle::Id id) const {
  const Call call = unwrapped(id);
  const bool typed = call.function == "torch._utils._rebuild_tensor_v2";
  if (!typed && call.function != "torch._utils._rebuild_tensor_v3") fail("a value is made by something that makes no tensors");
  const auto& args = items(call.args, typed ? 4 : 7);
  const Pickle::Node& persistent = pickle_->at(args[0]);
  if (persistent.kind != Pickle::Kind::persistent) fail("a tensor has no storage");
  const auto& storage = pickle_->at(persistent.items[0]).items;  // ('storage', type, key, device, numel)
  if (storage.size() < 5 || text(storage[0], Pickle::Kind::text) != "storage") fail("a persistent id is no storage");
  const std::string_view type = text(typed ? storage[1] : args[6], Pickle::Kind::global);
  const auto known = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeName& t) { return t.name == type; });
  REPRISE_CHECK(known != std::end(kTypes), FormatError, "[import/weights] {}: there is no dtype for a tensor of {}", label_, type);
  const std::string_view key = text(storage[2], Pickle::Kind::text);
  const base::ZipEntry& entry = records_.zip().at(prefix_ + "data/" + std::string(key));
  const Strided layout{integers(args[2]), integers(args[3]), integer(args[1])};
  return storages_->tensor(records_.content(entry, false), known->dtype, layout, label_ + ": storage " + std::string(key));
}

}  // namespace reprise::import
