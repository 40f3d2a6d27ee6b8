// index and index_put: whole blocks of kept dimensions, one per position of the index tensors.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/parallel.h"
#include "kernels/reference/convert.h"
#include "kernels/reference/step.h"
#include "kernels/reference/visit.h"
#include "kernels/reference/walk.h"

namespace reprise::kernels::reference {
namespace {

// `table` is the tensor that indices point into (x, or index_put's result), `list` the one that holds an element per index (y, or the values).
struct Indexing {
  OperandRef table, list;
  std::vector<OperandRef> indices;
  std::vector<int> axes;
  std::string name;
  int threads = 1;
  std::vector<std::int64_t> index_sizes, list_strides;          // the index dimensions, as they stand in the list
  std::vector<std::int64_t> kept_sizes, kept_table, kept_list;  // the others, neighbours merged
  std::int64_t block = 1;                                       // elements of the kept dimensions

  void keep(std::int64_t size, std::int64_t in_table, std::int64_t in_list) {
    block *= size;
    if (size == 1) return;
    if (!kept_sizes.empty() && kept_table.back() == in_table * size && kept_list.back() == in_list * size) {
      kept_sizes.back() *= size;
      kept_table.back() = in_table;
      kept_list.back() = in_list;
      return;
    }
    kept_sizes.push_back(size);
    kept_table.push_back(in_table);
    kept_list.push_back(in_list);
  }
  [[nodiscard]] std::int64_t positions() const {
    std::int64_t n = 1;
    for (const auto s : index_sizes) n *= s;
    return n;
  }
  [[nodiscard]] bool dense() const { return kept_sizes.empty() || (kept_sizes.size() == 1 && kept_table[0] == 1 && kept_list[0] == 1); }

  // Element offsets in table and list of the block at `position` of the index dimensions.
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> locate(std::int64_t position, void* const* bindings) const {
    std::int64_t in_list = 0, in_table = 0;
    std::array<std::int64_t, kMaxRank> at{};
    for (std::size_t d = index_sizes.size(); d-- > 0; position /= index_sizes[d]) {
      at[d] = position % index_sizes[d];
      in_list += at[d] * list_strides[d];
    }
    for (std::size_t j = 0; j < indices.size(); ++j) {
      const auto& index = indices[j];
      std::int64_t offset = 0;
      for (std::size_t d = 0; d < index_sizes.size(); ++d) offset += at[d] * index.strides[d];
      const auto axis = static_cast<std::size_t>(axes[j]);
      const auto value = index.dtype == DType::i64 ? reinterpret_cast<const std::int64_t*>(index.at(bindings))[offset]
                                                   : reinterpret_cast<const std::int32_t*>(index.at(bindings))[offset];
      in_table += wrapped(value, table.sizes[axis], name) * table.strides[axis];
    }
    return {in_table, in_list};
  }
};

Indexing indexing(const StepSpec& spec, const OperandRef& table, const OperandRef& list, std::span<const OperandRef> indices) {
  Indexing out{.table = table,
               .list = list,
               .indices = {indices.begin(), indices.end()},
               .axes = {},
               .name = spec.name,
               .threads = spec.threads,
               .index_sizes = {},
               .list_strides = {},
               .kept_sizes = {},
               .kept_table = {},
               .kept_list = {}};
  const auto axes = spec.attrs->ints("axes");
  const auto position = spec.attrs->integer("position");
  check(!indices.empty() && axes.size() == indices.size(), spec, "wrong number of indices");
  check(table.dtype == list.dtype, spec, "dtypes differ");
  std::vector<bool> indexed(static_cast<std::size_t>(table.rank), false);
  for (std::size_t j = 0; j < axes.size(); ++j) {
    out.axes.push_back(axis_of(spec, axes[j], table.rank));
    const bool repeated = indexed[static_cast<std::size_t>(out.axes.back())];
    check(!repeated && same_shape(indices[j], indices[0]), spec, "indices disagree");
    check(indices[j].dtype == DType::i64 || indices[j].dtype == DType::i32, spec, "indices must be integers");
    indexed[static_cast<std::size_t>(out.axes.back())] = true;
  }
  const int kept = table.rank - static_cast<int>(axes.size());
  check(list.rank == kept + indices[0].rank && position >= 0 && position <= kept, spec, "ranks disagree");
  int in_table = 0;
  for (int d = 0; d < list.rank; ++d) {
    const auto i = static_cast<std::size_t>(d);
    if (d >= position && d < position + indices[0].rank) {
      out.index_sizes.push_back(list.sizes[i]);
      out.list_strides.push_back(list.strides[i]);
      check(list.sizes[i] == indices[0].sizes[i - static_cast<std::size_t>(position)], spec, "sizes of index and list differ");
      continue;
    }
    while (indexed[static_cast<std::size_t>(in_table)]) ++in_table;
    const auto t = static_cast<std::size_t>(in_table++);
    check(list.sizes[i] == table.sizes[t], spec, "kept sizes differ");
    out.keep(list.sizes[i], table.strides[t], list.strides[i]);
  }
  return out;
}

template <class T>
void read_block(const Indexing& ix, const T* table, T* list) {
  if (ix.dense()) {
    std::memcpy(list, table, static_cast<std::size_t>(ix.block) * sizeof(T));
    return;
  }
  walk<2>(ix.kept_sizes, {ix.kept_table.data(), ix.kept_list.data()}, [&](const auto& o) { list[o[1]] = table[o[0]]; });
}

template <class T>
void write_block(const Indexing& ix, T* table, const T* list) {
  walk<2>(ix.kept_sizes, {ix.kept_table.data(), ix.kept_list.data()}, [&](const auto& o) { table[o[0]] = list[o[1]]; });
}

template <class E>
void add_block(const Indexing& ix, E* table, const E* list) {
  walk<2>(ix.kept_sizes, {ix.kept_table.data(), ix.kept_list.data()}, [&](const auto& o) {
    if constexpr (std::is_same_v<E, bool>) {
      table[o[0]] = table[o[0]] || list[o[1]];
    } else {
      using C = compute_t<E>;
      table[o[0]] = convert<E>(static_cast<C>(convert<C>(table[o[0]]) + convert<C>(list[o[1]])));
    }
  });
}

StepPtr put_step(const StepSpec& spec, const Indexing& ix, bool accumulate) {
  if (!accumulate) {
    return with_bits(item_size(ix.table.dtype), [&](auto bits) {
      using T = decltype(bits);
      return make_step([ix](void* const* bindings) {
        auto* table = reinterpret_cast<T*>(ix.table.at(bindings));
        const auto* list = reinterpret_cast<const T*>(ix.list.at(bindings));
        for (std::int64_t p = 0, n = ix.block == 0 ? 0 : ix.positions(); p < n; ++p) {
          const auto [t, l] = ix.locate(p, bindings);
          write_block(ix, table + t, list + l);
        }
      });
    });
  }
  return visit(spec.outputs[0].dtype, [&]<class E>(E) {
    return make_step([ix](void* const* bindings) {
      auto* table = reinterpret_cast<E*>(ix.table.at(bindings));
      const auto* list = reinterpret_cast<const E*>(ix.list.at(bindings));
      for (std::int64_t p = 0, n = ix.block == 0 ? 0 : ix.positions(); p < n; ++p) {
        const auto [t, l] = ix.locate(p, bindings);
        add_block(ix, table + t, list + l);
      }
    });
  });
}

}  // namespace

StepPtr make_index(const StepSpec& spec) {
  check(spec.inputs.size() >= 2 && spec.outputs.size() == 1, spec, "wrong number of operands");
  const auto ix = indexing(spec, spec.inputs[0], spec.outputs[0], spec.inputs.subspan(1));
  return with_bits(item_size(ix.table.dtype), [&](auto bits) {
    using T = decltype(bits);
    return make_step([ix](void* const* bindings) {
      const auto* table = reinterpret_cast<const T*>(ix.table.at(bindings));
      auto* list = reinterpret_cast<T*>(ix.list.at(bindings));
      const std::int64_t n = ix.block == 0 ? 0 : ix.positions();
      for (std::int64_t p = 0; p < n; ++p) {
        const auto [t, l] = ix.locate(p, bindings);
        read_block(ix, table + t, list + l);
      }
    });
  });
}

StepPtr make_index_put(const StepSpec& spec) {
  check(spec.inputs.size() >= 3 && spec.outputs.size() == 1, spec, "wrong number of operands");
  const auto &x = spec.inputs[0], &y = spec.outputs[0];
  check(same_shape(x, y) && x.dtype == y.dtype, spec, "the result has not the base's sizes and dtype");
  const auto ix = indexing(spec, y, spec.inputs[1], spec.inputs.subspan(2));
  auto put = put_step(spec, ix, spec.attrs->flag("accumulate"));
  if (same_memory(x, y)) return put;
  auto copy_spec = spec;
  copy_spec.op = core::Op::copy;
  copy_spec.inputs = spec.inputs.first(1);
  return make_step([copy = std::shared_ptr<device::Step>(make_copy(copy_spec)), put = std::shared_ptr<device::Step>(std::move(put))](void* const* bindings) {
    copy->run(bindings);
    put->run(bindings);
  });
}

}  // namespace reprise::kernels::reference
