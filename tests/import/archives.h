// Archives made and changed by hand, for tests of what reads them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/zip.h"
#include "import/pt2/load.h"

namespace reprise::testing_support {

struct ZipMember {
  std::string name;
  std::string content;
  bool deflated = false;
};

/// A zip archive, as a string of bytes.
std::string make_zip(const std::vector<ZipMember>& members);
/// The members of an archive, inflated.
std::vector<ZipMember> members_of(const std::string& zip);
/// The same members, with changes: `change` may edit each, or clear its name to drop it.
std::string repack(const std::string& zip, const std::function<void(ZipMember&)>& change);

inline base::Bytes as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

/// Loads from memory that the program keeps alive.
ir::Program load(std::string bytes, const import::Limits& limits = {});
/// The message of the FormatError (or UnsupportedOp) that loading throws.
std::string refusal(std::string bytes, const import::Limits& limits = {});

/// A `.pt2` of the newest generation around the JSON of `graph_module.graph`; the signature's specs are JSON text as well.
std::string make_pt2(std::string_view graph, std::string_view input_specs, std::string_view output_specs, std::string_view ranges = "{}");

/// Everything that a program says, as text, and the bytes of its tensors.
std::string fingerprint(const ir::Program& program);

/// A path under tests/models/generations.
std::string generation_path(std::string_view version, std::string_view file);
inline constexpr std::string_view kVersions[] = {"2.6.0", "2.7.1", "2.8.0", "2.9.1", "2.11.0", "2.13.0"};

}  // namespace reprise::testing_support
