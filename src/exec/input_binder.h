// Values of symbols from the sizes of a call's inputs, with the checks that every call gets.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "reprise/tensor.h"
#include "sym/evaluate.h"

namespace reprise::exec {

/// A call's value for one entry of the signature; what is not for its kind is ignored.
struct InputValue {
  const Tensor* tensor = nullptr;
  std::int64_t integer = 0;
};

/// Which optimization profiles may serve a call: the active one when it fits, else, unless it is fixed, the first that does.
struct ProfileChoice {
  int active = 0;
  bool fixed = false;
};

class InputBinder {
 public:
  /// Throws FormatError when a symbol in an input's size cannot be derived from the sizes. `plan` must outlive the binder.
  explicit InputBinder(const plan::Plan& plan);

  /// Fills the values of the symbols in `known()` and returns the optimization profile that serves them. Allocates nothing.
  /// Throws ShapeError naming input, dimension, got and want: rank, fixed sizes, sizes that disagree, exported ranges, profiles.
  int bind(std::span<const InputValue> inputs, std::span<std::int64_t> symbols, ProfileChoice choice = {}) const;

  /// Per symbol: an input binds it.
  [[nodiscard]] std::span<const bool> known() const { return {known_.get(), symbol_count_}; }

 private:
  struct Place {
    int input = -1;
    int dim = -1;  // -1: the value of an integer input
  };
  /// `symbol` from the size at `place`: itself, or (size - rest) / factor where the evaluator gives both from symbols bound before.
  struct Rule {
    int symbol;
    Place place;
    std::unique_ptr<sym::Evaluator> evaluator;
    int factor_slot = -1, rest_slot = -1;
  };
  /// The size at `place` must equal a constant (slot -1) or a slot of `sizes_`.
  struct Check {
    Place place;
    std::int64_t constant = 0;
    int slot = -1;
  };

  void find_rules();
  bool find_linear_rule(const Place& place, const sym::Expr& e);
  void find_checks();
  [[nodiscard]] const sym::Expr& expression(const Place& place) const;
  [[nodiscard]] std::vector<Place> places() const;
  void add_rule(Rule rule);

  void check_ranks(std::span<const InputValue> inputs) const;
  void solve(std::span<const InputValue> inputs, std::span<std::int64_t> symbols) const;
  void solve_linear(const Rule& rule, std::int64_t size, std::span<std::int64_t> symbols) const;
  void check_sizes(std::span<const InputValue> inputs, std::span<const std::int64_t> symbols) const;
  void check_ranges(std::span<const InputValue> inputs, std::span<const std::int64_t> symbols) const;
  [[nodiscard]] int find_profile(std::span<const InputValue> inputs, std::span<const std::int64_t> symbols, ProfileChoice choice) const;
  /// The first size that the profile refuses; null when it admits all.
  [[nodiscard]] const Rule* refused_by(const plan::Profile& profile, std::span<const std::int64_t> symbols) const;
  [[nodiscard]] bool admits(const plan::Profile& profile, int symbol, std::int64_t value) const;
  [[nodiscard]] std::string describe(const Place& place) const;
  [[nodiscard]] std::string describe_profiles(int symbol) const;
  [[noreturn]] void fail_size(const Check& check, std::int64_t got, std::int64_t want) const;
  [[noreturn]] void fail_range(const Rule& rule, std::int64_t got, std::int64_t value, const std::string& what, const std::string& want) const;

  const plan::Plan& plan_;
  std::size_t symbol_count_;
  std::unique_ptr<bool[]> known_;
  std::vector<Rule> rules_;
  std::vector<Check> checks_;
  sym::Evaluator sizes_;
};

}  // namespace reprise::exec
