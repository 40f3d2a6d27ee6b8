// `.rpz`: a stored zip with 64-byte aligned payloads, read by mmap. Entries: `manifest.json` (format version, producer, settings, segments, profiles,
// signature), `plan.json` (symbols, buffers, blocks), `weights/…` (one entry per storage, raw little-endian), `state/…`, `device/…` (sections: compiled
// kernels, measured choices, packed weights, which the device's kernels read; those of a page or more begin at a page).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "plan/plan.h"

namespace reprise::plan {

inline constexpr int kFormatMajor = 1;  // a newer major is refused by name
inline constexpr int kFormatMinor = 3;  // an older or newer minor loads

/// Atomic (temporary file and rename). Weights that share memory are written once. Throws WriteError.
void save(const Plan& plan, const std::string& path);

/// Maps the file; weights point into it. Throws FormatError naming the entry for anything that is not a valid plan (every offset, size and index is checked).
PlanPtr load(const std::string& path, bool check_crc = true);
PlanPtr load(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& name, bool check_crc = true);

}  // namespace reprise::plan
