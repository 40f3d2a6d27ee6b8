// What converters and foreign kernels are told about a node of a program before it runs. Part of the runtime library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/dtype.h"

namespace reprise {

/// A size: an integer, or an expression over the program's symbolic dimensions ("s77", "2*s0 + 1"). A cheap value; thread safe.
class SymInt {
 public:
  SymInt(std::int64_t value = 0);  // NOLINT(google-explicit-constructor): sizes read naturally
  SymInt(int value) : SymInt(static_cast<std::int64_t>(value)) {}
  /// nullopt: it is symbolic.
  [[nodiscard]] std::optional<std::int64_t> as_int() const;
  /// True when both are the same for every value of the symbols, as far as that shows. False proves nothing.
  friend bool operator==(const SymInt& a, const SymInt& b);
  friend SymInt operator+(const SymInt& a, const SymInt& b);
  friend SymInt operator-(const SymInt& a, const SymInt& b);
  friend SymInt operator*(const SymInt& a, const SymInt& b);
  /// As Python's // and %: round toward minus infinity.
  friend SymInt floor_div(const SymInt& a, const SymInt& b);
  friend SymInt mod(const SymInt& a, const SymInt& b);
  friend SymInt min(const SymInt& a, const SymInt& b);
  friend SymInt max(const SymInt& a, const SymInt& b);
  [[nodiscard]] std::string str() const;

  struct Impl;
  explicit SymInt(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  [[nodiscard]] const Impl& impl() const { return *impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
};

/// Dtype and sizes of a tensor that a node reads or returns.
struct TensorInfo {
  DType dtype = DType::f32;
  std::vector<SymInt> sizes;
};

/// A node of the program: an op with its arguments. Arguments go by the names of the schema; those that the program leaves out have the schema's defaults. A
/// name that the schema lacks, and an argument of another type, throw InvalidArgument.
class OpNode {
 public:
  virtual ~OpNode() = default;
  [[nodiscard]] virtual std::string target() const = 0;  // "mylib.foo.default"
  [[nodiscard]] virtual std::string name() const = 0;    // the node's own
  [[nodiscard]] virtual std::string source() const = 0;  // its Python line, may be empty

  [[nodiscard]] virtual bool is_none(std::string_view argument) const = 0;
  [[nodiscard]] virtual bool is_tensor(std::string_view argument) const = 0;
  [[nodiscard]] virtual TensorInfo tensor_info(std::string_view argument) const = 0;
  [[nodiscard]] virtual std::vector<TensorInfo> tensor_infos(std::string_view argument) const = 0;  // of a list
  [[nodiscard]] virtual SymInt integer(std::string_view argument) const = 0;                        // bool counts as 0 or 1
  [[nodiscard]] virtual std::vector<SymInt> integers(std::string_view argument) const = 0;
  [[nodiscard]] virtual double real(std::string_view argument) const = 0;  // constant integers too
  [[nodiscard]] virtual std::vector<double> reals(std::string_view argument) const = 0;
  [[nodiscard]] virtual bool flag(std::string_view argument) const = 0;
  [[nodiscard]] virtual std::string text(std::string_view argument) const = 0;
  [[nodiscard]] virtual std::optional<DType> dtype(std::string_view argument) const = 0;  // nullopt: None

  /// The tensors that the node returns, as the exporter worked them out; lists counted through.
  [[nodiscard]] virtual std::vector<TensorInfo> outputs() const = 0;
};

/// Accepts a node, or gives the reason why not.
using CapabilityValidator = std::function<std::optional<std::string>(const OpNode& node)>;

/// high comes before standard; of equals what was registered last comes first. Ours are standard.
enum class ConverterPriority : std::uint8_t { standard, high };

}  // namespace reprise
