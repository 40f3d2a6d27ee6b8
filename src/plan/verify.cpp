#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "base/check.h"
#include "plan/plan.h"

namespace reprise::plan {

namespace {

using core::Op;

constexpr std::size_t kMaxRank = 16;
constexpr int kMaxBlockDepth = 64;
constexpr std::size_t kMany = std::numeric_limits<std::size_t>::max();

// How many operands an op takes and gives, its optional ones included.
struct Arity {
  std::size_t min_in, max_in, min_out, max_out;
};
Arity arity(Op op) {
  switch (op) {
    case Op::pointwise:
      return {0, kMany, 1, kMany};
    case Op::copy:
    case Op::reduce:
    case Op::softmax:
    case Op::resize:
    case Op::pad:
      return {1, 1, 1, 1};
    case Op::scan:
      return {1, 1, 1, 2};
    case Op::norm:
      return {1, 5, 1, 3};
    case Op::attention:
      return {3, 4, 1, 1};
    case Op::matmul:
    case Op::conv:
      return {2, kMany, 1, 1};
    case Op::pool:
      return {1, 1, 1, 2};
    case Op::concat:
      return {1, kMany, 1, 1};
    case Op::gather:
    case Op::write_view:
    case Op::search_sorted:
      return {2, 2, 1, 1};
    case Op::scatter:
      return {3, 3, 1, 1};
    case Op::index:
      return {2, kMany, 1, 1};
    case Op::index_put:
      return {3, kMany, 1, 1};
    case Op::sort:
    case Op::topk:
      return {1, 1, 2, 2};
    case Op::iota:
    case Op::fill:
    case Op::random:
      return {0, 0, 1, 1};
    case Op::nonzero:
      return {1, 1, 2, 2};
    case Op::unique:
      return {1, 1, 4, 4};
    case Op::nms:
      return {2, 2, 2, 2};
    case Op::repeat_interleave:
      return {1, 1, 1, 2};
    case Op::item:
    case Op::check:
      return {1, 1, 0, 0};
    case Op::cond:
      return {1, 1, 0, kMany};
    case Op::while_loop:
      return {1, 1, 0, kMany};
    case Op::foreign:
      return {0, kMany, 0, kMany};
    case Op::write:
      break;
  }
  REPRISE_FAIL(FormatError, "[plan/verify] a plan cannot hold '{}'", core::name(op));
}

template <class... Args>
void require(bool ok, fmt::format_string<Args...> text, Args&&... args) {
  if (!ok) throw FormatError("[plan/verify] " + fmt::format(text, std::forward<Args>(args)...));
}

class Verifier {
 public:
  explicit Verifier(const Plan& plan) : plan_(plan), block_uses_(plan.blocks.size(), 0) {}

  void run() {
    signature();
    settings();
    profiles();
    for (std::size_t b = 0; b < plan_.buffers.size(); ++b) buffer(plan_.buffers[b], b);
    require(!plan_.blocks.empty(), "the plan has no blocks");
    require(!plan_.segments.empty(), "the plan has no segments");
    block(0, 0);
    for (std::size_t b = 0; b < block_uses_.size(); ++b) require(block_uses_[b] == 1, "block {} is used {} times (want once)", b, block_uses_[b]);
  }

 private:
  void known(const sym::Expr& e, const std::string& place) const {
    std::vector<std::string> names;
    sym::collect_symbols(e, names);
    for (const auto& name : names) require(plan_.symbols.find(name) >= 0, "{} uses an unknown symbol '{}'", place, name);
  }
  void known(const sym::Shape& shape, const std::string& place) const {
    require(shape.size() <= kMaxRank, "{} has too many dimensions (got {}, want at most {})", place, shape.size(), kMaxRank);
    for (const auto& e : shape) known(e, place);
  }

  void signature() const {
    for (std::size_t i = 0; i < plan_.inputs.size(); ++i) {
      const auto place = fmt::format("input {}", i);
      known(plan_.inputs[i].sizes, place);
      known(plan_.inputs[i].value, place);
    }
    for (std::size_t i = 0; i < plan_.outputs.size(); ++i) {
      const auto place = fmt::format("output {}", i);
      known(plan_.outputs[i].sizes, place);
      known(plan_.outputs[i].value, place);
      const auto backed = std::count_if(plan_.buffers.begin(), plan_.buffers.end(),
                                        [&](const auto& b) { return b.kind == BufferKind::output && b.index == static_cast<int>(i); });
      require(backed == (plan_.outputs[i].kind == OutputSpec::Kind::tensor ? 1 : 0), "{} has {} buffers", place, backed);
    }
  }

  void settings() const {
    const auto& strategy = plan_.settings.cuda_graph_strategy;
    require(strategy.empty() || strategy == "whole_graph_capture", "cuda_graph_strategy '{}' is none", strategy);
  }

  void profiles() const {
    require(!plan_.profiles.empty(), "the plan has no profiles");
    const auto n = static_cast<std::size_t>(plan_.symbols.size());
    for (std::size_t p = 0; p < plan_.profiles.size(); ++p) {
      const auto& profile = plan_.profiles[p];
      require(profile.min.size() == n && profile.opt.size() == n && profile.max.size() == n, "profile {} has not one bound per symbol", p);
      for (std::size_t s = 0; s < n; ++s) {
        require(profile.min[s] <= profile.opt[s] && profile.opt[s] <= profile.max[s], "profile {} symbol {} breaks min <= opt <= max", p, s);
      }
    }
  }

  void buffer(const Buffer& b, std::size_t id) const {
    const auto place = fmt::format("buffer {}", id);
    known(b.size_bytes, place);
    const auto indexed = [&](std::size_t count) {
      require(b.index >= 0 && static_cast<std::size_t>(b.index) < count, "{} has index {} of {}", place, b.index, count);
    };
    const auto holds = [&](const Tensor& t) {
      require(b.size_bytes.as_int() == static_cast<std::int64_t>(t.nbytes()), "{} has not the size of its tensor (got {}, want {})", place, b.size_bytes.str(),
              t.nbytes());
    };
    switch (b.kind) {
      case BufferKind::temp:
        require(b.first <= b.last, "{} dies before it lives", place);
        break;
      case BufferKind::input:
        indexed(plan_.inputs.size());
        require(plan_.inputs[static_cast<std::size_t>(b.index)].kind != InputSpec::Kind::constant, "{} is memory of a constant input", place);
        break;
      case BufferKind::output:
        indexed(plan_.outputs.size());
        break;
      case BufferKind::weight:
        indexed(plan_.weights.size());
        holds(plan_.weights[static_cast<std::size_t>(b.index)].data);
        break;
      case BufferKind::state:
        indexed(plan_.states.size());
        holds(plan_.states[static_cast<std::size_t>(b.index)].initial);
        break;
    }
  }

  void operand(const Operand& o, const Command& c, bool written) const {
    const auto place = fmt::format("command {} ('{}')", c.position, c.name);
    require(o.buffer >= 0 && static_cast<std::size_t>(o.buffer) < plan_.buffers.size(), "{} names buffer {} of {}", place, o.buffer, plan_.buffers.size());
    require(o.sizes.size() == o.strides.size(), "{} has an operand with {} sizes and {} strides", place, o.sizes.size(), o.strides.size());
    known(o.sizes, place);
    known(o.strides, place);
    known(o.offset, place);
    const auto& b = plan_.buffers[static_cast<std::size_t>(o.buffer)];
    require(!written || b.kind != BufferKind::weight, "{} writes to weight buffer {}", place, o.buffer);
    require(!written || b.kind != BufferKind::input || plan_.inputs[static_cast<std::size_t>(b.index)].mutated,
            "{} writes to input buffer {}, which the signature does not mark as mutated", place, o.buffer);
    require(b.kind != BufferKind::temp || (b.first <= c.position && c.position <= b.last), "{} uses buffer {} outside its life {}..{}", place, o.buffer,
            b.first, b.last);
    bounded(o, b, place);
  }

  // What is constant is checked here; the rest when a shape is bound.
  void bounded(const Operand& o, const Buffer& b, const std::string& place) const {
    const auto capacity = b.size_bytes.as_int();
    if (!capacity || !sym::is_static(o.sizes) || !sym::is_static(o.strides) || !o.offset.is_int()) return;
    __int128 last = *o.offset.as_int();
    require(last >= 0, "{} has a negative offset", place);
    for (std::size_t d = 0; d < o.sizes.size(); ++d) {
      const auto size = *o.sizes[d].as_int(), stride = *o.strides[d].as_int();
      require(size >= 0 && stride >= 0, "{} has a negative size or stride", place);
      if (size == 0) return;
      last += static_cast<__int128>(size - 1) * stride;
      require(last < std::numeric_limits<std::int64_t>::max(), "{} reaches outside of buffer {}", place, o.buffer);
    }
    require((last + 1) * static_cast<__int128>(item_size(o.dtype)) <= *capacity, "{} reaches outside of buffer {} ({} bytes)", place, o.buffer, *capacity);
  }

  void attributes(const Command& c) const {
    const auto place = fmt::format("command {} ('{}')", c.position, c.name);
    for (const auto& [key, attr] : c.attrs.items()) {
      if (const auto* e = std::get_if<sym::Expr>(&attr)) known(*e, place);
      if (const auto* list = std::get_if<std::vector<sym::Expr>>(&attr)) known(*list, place);
      if (const auto* program = std::get_if<core::ScalarProgramPtr>(&attr)) {
        for (const auto& e : (*program)->symbols) known(e, place);
      }
    }
    if (c.op == Op::matmul || c.op == Op::conv) epilogue(c, place);
    if (c.op == Op::foreign) (void)c.attrs.text("name");
    if (c.op != Op::pointwise) return;
    const auto& program = *c.attrs.program("program");
    require(program.inputs.size() == c.inputs.size() && program.outputs.size() == c.outputs.size(), "{} has not the operands of its program", place);
  }

  void epilogue(const Command& c, const std::string& place) const {
    const std::size_t own = c.attrs.flag("has_bias", false) ? 3 : 2;
    std::size_t wanted = own;
    if (c.attrs.has("epilogue")) {
      const auto& program = *c.attrs.program("epilogue");
      require(!program.inputs.empty() && program.outputs.size() == 1 && program.symbols.empty(), "{} has an epilogue that does not fit", place);
      wanted += program.inputs.size() - 1;
    }
    require(c.inputs.size() == wanted, "{} has the wrong number of inputs (got {}, want {})", place, c.inputs.size(), wanted);
  }

  void define(const Define& d, const Command& c) const {
    const auto place = fmt::format("command {} ('{}')", c.position, c.name);
    require(d.symbol >= 0 && d.symbol < plan_.symbols.size() && plan_.symbols.at(d.symbol).unbacked, "{} defines symbol {}, which is none of data", place,
            d.symbol);
    if (d.output < 0) {
      require(c.op == Op::item, "{} defines a symbol from nothing", place);
      return;
    }
    require(static_cast<std::size_t>(d.output) < c.outputs.size() && d.element >= 0, "{} defines a symbol from output {} of {}", place, d.output,
            c.outputs.size());
    require(c.outputs[static_cast<std::size_t>(d.output)].dtype == DType::i64, "{} defines a symbol from an output that is not i64", place);
  }

  void command(const Command& c, int depth) {
    require(c.position == next_position_, "command '{}' stands at position {} (want {})", c.name, c.position, next_position_);
    ++next_position_;
    require(c.segment >= 0 && static_cast<std::size_t>(c.segment) < plan_.segments.size(), "command {} names segment {} of {}", c.position, c.segment,
            plan_.segments.size());
    const auto a = arity(c.op);
    require(c.inputs.size() >= a.min_in && c.inputs.size() <= a.max_in && c.outputs.size() >= a.min_out && c.outputs.size() <= a.max_out,
            "command {} ({}) has {} inputs and {} outputs", c.position, core::name(c.op), c.inputs.size(), c.outputs.size());
    // A loop's predicate is written by its first block.
    for (const auto& o : c.inputs) operand(o, c, false);
    for (const auto& o : c.outputs) operand(o, c, true);
    for (const auto& d : c.defines) define(d, c);
    attributes(c);
    const bool holds_blocks = c.op == Op::cond || c.op == Op::while_loop;
    require(c.blocks.size() == (holds_blocks ? 2 : 0), "command {} ({}) has {} blocks", c.position, core::name(c.op), c.blocks.size());
    for (const int b : c.blocks) block(b, depth + 1);
  }

  void block(int id, int depth) {
    require(id >= 0 && static_cast<std::size_t>(id) < plan_.blocks.size(), "block {} of {} is named", id, plan_.blocks.size());
    require(depth <= kMaxBlockDepth, "blocks nest deeper than {}", kMaxBlockDepth);
    require(++block_uses_[static_cast<std::size_t>(id)] == 1, "block {} is used twice", id);
    for (const auto& c : plan_.blocks[static_cast<std::size_t>(id)].commands) command(c, depth);
  }

  const Plan& plan_;
  std::vector<int> block_uses_;
  std::int32_t next_position_ = 0;
};

}  // namespace

void verify(const Plan& plan) { Verifier(plan).run(); }

}  // namespace reprise::plan
