// Packed forms of weights that a module's file holds: used where they lie in its mapping.
//
// Sections: `cpu_packed.txt`, whose first line is a tag (what wrote the forms and for which instruction set) and whose others are, separated by tabs: index of
// the weight in the plan, byte of it where the form's source begins, bytes of the form, name of the section that is the form, the form. Forms with another tag
// than this process writes are not used.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plan/plan.h"

namespace reprise::kernels {

struct Packing;

/// Immutable; the plan must outlive it.
class StoredForms {
 public:
  /// Those of the plan's sections, if their tag is `tag`. What does not fit the plan, or is cut short, is left out.
  StoredForms(const plan::Plan& plan, std::string_view tag);
  /// The form of what begins at `weight`; aligned to 64 bytes. Null: there is none of that size.
  [[nodiscard]] const std::byte* find(const void* weight, std::string_view form, std::size_t bytes) const;
  /// Of anything that begins in [weight, weight + bytes).
  [[nodiscard]] bool has(const void* weight, std::size_t bytes) const;

 private:
  static constexpr std::size_t kAlignment = 64;
  void add(const Tensor& weight, std::size_t offset, const Tensor& stored, std::size_t bytes, std::string_view form);

  std::map<std::pair<const std::byte*, std::string>, std::span<const std::byte>> forms_;  // by source and form
};

/// What a file says of its forms, whether this process uses them or not.
struct StoredFormsSummary {
  std::string tag;
  std::size_t count = 0, bytes = 0;
};
StoredFormsSummary summarize_stored_forms(const plan::Plan& plan);

/// Collects the forms that steps want, for a file.
class FormCollector {
 public:
  explicit FormCollector(const plan::Plan& plan) : plan_(plan) {}
  /// What `packing`, of a weight of the plan that lies at `weight`, makes; once.
  void add(const void* weight, const Packing& packing);
  [[nodiscard]] std::vector<plan::Section> sections(std::string_view tag) const;

 private:
  struct Form {
    std::size_t weight = 0, offset = 0;
    std::string form;
    Tensor bytes;
  };
  const plan::Plan& plan_;
  std::set<std::pair<const std::byte*, std::string>> known_;
  std::vector<Form> forms_;
};

/// True of the sections above.
bool is_stored_forms_section(std::string_view name);

}  // namespace reprise::kernels
