// Recurrent layers: the input's share of all gates as one product, then a loop over the steps.
#include "base/check.h"
#include "ops/contract.h"
#include "ops/loops.h"
#include "ops/random.h"

namespace reprise::ops {
namespace {

enum class Cell : std::uint8_t { lstm, gru, tanh, relu };

struct Weights {
  Val input, hidden, input_bias, hidden_bias, projection;  // biases and projection may be undefined
};

/// What the input adds to the gates. Only the GRU, which scales its hidden share, keeps the hidden bias apart.
Val input_gates(Builder& b, Cell cell, Val x, const Weights& w) {
  Val bias = w.input_bias;
  if (bias.defined() && cell != Cell::gru) bias = b.binary(ScalarOp::add, bias, w.hidden_bias);
  return linear(b, x, w.input, bias);
}

/// Gate i of `count` side by side.
Val gate(Builder& b, Val gates, int i, int count) {
  const Expr width = sym::floor_div(gates.size(-1), count);
  return b.slice(gates, gates.rank() - 1, width * i, width);
}

std::vector<Val> lstm_step(Builder& b, Val gates, Val cell) {
  const auto body = [](Term in, Term forget, Term fresh, Term out, Term c) {
    const Term next = sigmoid(forget) * c + sigmoid(in) * tanh(fresh);
    return std::array{sigmoid(out) * tanh(next), next};
  };
  return compute_all(b, body, gate(b, gates, 0, 4), gate(b, gates, 1, 4), gate(b, gates, 2, 4), gate(b, gates, 3, 4), cell);
}

Val gru_step(Builder& b, Val from_input, Val from_hidden, Val hidden) {
  const auto body = [](Term xr, Term xz, Term xn, Term hr, Term hz, Term hn, Term h) {
    const Term fresh = tanh(xn + sigmoid(xr + hr) * hn);
    return (h - fresh) * sigmoid(xz + hz) + fresh;
  };
  const auto x = [&](int i) { return gate(b, from_input, i, 3); };
  const auto h = [&](int i) { return gate(b, from_hidden, i, 3); };
  return compute(b, body, x(0), x(1), x(2), h(0), h(1), h(2), hidden);
}

/// The next state (hidden, and for LSTMs the cell), from the input's share of the gates.
std::vector<Val> step(Builder& b, Cell cell, Val gates, std::span<const Val> state, const Weights& w) {
  if (cell == Cell::gru) return {gru_step(b, gates, linear(b, state[0], w.hidden, w.hidden_bias), state[0])};
  const Val sum = b.matmul(state[0], b.transpose(w.hidden, 0, 1), gates);
  if (cell != Cell::lstm)
    return {compute(
        b, [&](Term g) { return cell == Cell::tanh ? tanh(g) : max(g, 0); }, sum)};
  auto next = lstm_step(b, sum, state[1]);
  if (w.projection.defined()) next[0] = linear(b, next[0], w.projection);
  return next;
}

/// One direction of one layer: x[T, B, I] → y[T, B, H] and the last state.
struct Direction {
  Val y;
  std::vector<Val> state;
};
Direction run_direction(Builder& b, Cell cell, Val x, std::vector<Val> state, const Weights& w, bool reverse) {
  const Val gates = input_gates(b, cell, x, w);
  const ir::TensorMeta slice{.dtype = x.dtype(), .sizes = state[0].sizes(), .strides = {}, .storage_offset = {}};
  const Loop loop{.steps = x.size(0), .carry = std::move(state), .slices = {slice}, .reverse = reverse};
  auto result = run_loop(b, loop, [&](const Row& row, std::span<const Val> carry) {
    auto next = step(b, cell, row(gates), carry, w);
    const Val hidden = next[0];
    return Step{std::move(next), {hidden}};
  });
  return {result.stacks[0], std::move(result.carry)};
}

struct Network {
  Cell cell = Cell::lstm;
  std::vector<Weights> weights;  // per layer, per direction
  std::vector<Val> state;        // [layers * directions, B, H] each
  std::size_t layers = 1, directions = 1;
  double dropout = 0;
};

std::vector<Weights> split_weights(const std::vector<Val>& params, std::size_t cells, bool biases, bool projected) {
  const std::size_t each = 2 + (biases ? 2 : 0) + (projected ? 1 : 0);
  REPRISE_CHECK(params.size() == each * cells, InvalidArgument, "[ops/rnn] wrong number of weights (got {}, want {})", params.size(), each * cells);
  std::vector<Weights> out;
  for (std::size_t i = 0; i < cells; ++i) {
    const Val* p = params.data() + i * each;
    out.push_back({p[0], p[1], biases ? p[2] : Val(), biases ? p[3] : Val(), projected ? p[each - 1] : Val()});
  }
  return out;
}

Network read_network(Context& c, Cell cell) {
  Network n{
      .cell = cell, .weights = {}, .state = {}, .layers = static_cast<std::size_t>(c.fixed("num_layers")), .directions = c.flag("bidirectional") ? 2u : 1u};
  n.state = cell == Cell::lstm ? c.tensors("hx") : std::vector{c.tensor("hx")};
  const bool projected = cell == Cell::lstm && !(n.state[0].size(2) == n.state[1].size(2));
  n.weights = split_weights(c.tensors("params"), n.layers * n.directions, c.flag("has_biases"), projected);
  if (c.flag("train")) n.dropout = c.real("dropout");
  return n;
}

/// x[T, B, I] through all layers; the last state of each direction of each layer, one list per state tensor.
Val run_network(Builder& b, const Network& n, Val x, std::vector<std::vector<Val>>& last) {
  last.assign(n.state.size(), {});
  for (std::size_t layer = 0; layer < n.layers; ++layer) {
    std::vector<Val> sides;
    for (std::size_t d = 0; d < n.directions; ++d) {
      const std::size_t at = layer * n.directions + d;
      std::vector<Val> state;
      for (const Val& s : n.state) state.push_back(b.select(s, 0, static_cast<std::int64_t>(at)));
      Direction side = run_direction(b, n.cell, x, std::move(state), n.weights[at], d == 1);
      sides.push_back(side.y);
      for (std::size_t k = 0; k < last.size(); ++k) last[k].push_back(b.unsqueeze(side.state[k], 0));
    }
    x = sides.size() == 1 ? sides[0] : b.concat(sides, 2);
    if (n.dropout > 0 && layer + 1 < n.layers) x = dropout(b, x, n.dropout, x.sizes());
  }
  return x;
}

Convert network(Cell cell) {
  return [cell](Context& c) {
    Builder& b = c.build();
    const bool batch_first = c.flag("batch_first");
    const Val x = c.tensor("input");
    std::vector<std::vector<Val>> last;
    const Val y = run_network(b, read_network(c, cell), batch_first ? b.transpose(x, 0, 1) : x, last);
    c.set(0, batch_first ? b.transpose(y, 0, 1) : y);
    for (std::size_t k = 0; k < last.size(); ++k) c.set(static_cast<int>(k) + 1, b.concat(last[k], 0));
  };
}

Convert single_cell(Cell cell) {
  return [cell](Context& c) {
    Builder& b = c.build();
    const Weights w{c.tensor("w_ih"), c.tensor("w_hh"), c.tensor_or_none("b_ih"), c.tensor_or_none("b_hh"), {}};
    const std::vector<Val> state = cell == Cell::lstm ? c.tensors("hx") : std::vector{c.tensor("hx")};
    c.set_all(step(b, cell, input_gates(b, cell, c.tensor("input"), w), state, w));
  };
}

}  // namespace

void add_recurrent(Registry& r) {
  add_rows(r, network(Cell::lstm),
           {"aten::lstm.input(Tensor input, Tensor[] hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool "
            "batch_first) -> "
            "(Tensor, Tensor, Tensor)"});
  add_rows(r, network(Cell::gru),
           {"aten::gru.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool "
            "batch_first) -> "
            "(Tensor, Tensor)"});
  add_rows(r, network(Cell::tanh),
           {"aten::rnn_tanh.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, "
            "bool batch_first) "
            "-> (Tensor, Tensor)"});
  add_rows(r, network(Cell::relu),
           {"aten::rnn_relu.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, "
            "bool batch_first) "
            "-> (Tensor, Tensor)"});
  add_rows(r, single_cell(Cell::lstm),
           {"aten::lstm_cell(Tensor input, Tensor[] hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> (Tensor, Tensor)"});
  add_rows(r, single_cell(Cell::gru), {"aten::gru_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor"});
  add_rows(r, single_cell(Cell::tanh),
           {"aten::rnn_tanh_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor"});
  add_rows(r, single_cell(Cell::relu),
           {"aten::rnn_relu_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor"});
}

}  // namespace reprise::ops
