// What a module did. Part of the runtime library.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace reprise {

struct ReasonCount {
  std::string reason;
  std::uint64_t count = 0;
};

/// A place where recordings end, and the next one begins behind it: a call stops to bring a value to the host, or a foreign kernel runs live.
struct Island {
  std::string op, name;    // "nonzero", the node's name
  std::string why;         // "the host needs u0", "foreign kernel 'mylib.foo.default': it reads a file", "recording it failed: …"
  std::uint64_t runs = 0;  // values brought, or live runs, so far
};

/// Counts since the module was made, over all its contexts. A stage is a stretch of a program that needs no value on the host; most programs are one.
/// Lists hold only reasons that occurred.
struct ModuleStats {
  std::uint64_t calls = 0;         // whose shapes were bound
  std::uint64_t failed_calls = 0;  // of them: that threw

  std::uint64_t plain_enqueues = 0;  // stages that ran step by step
  std::uint64_t records = 0;         // stages recorded
  // first_sight; data_size: a size that data gave changed; evicted: it was, to keep the others in bounds; dropped: with a scope;
  // profile: the same shape was recorded under another optimization profile; weight_budget: weight streaming's budget changed;
  // settings: the module's configuration changed; mode: per-subgraph recordings end with segments, whole-graph ones do not
  std::vector<ReasonCount> records_by;
  std::uint64_t replays = 0;            // stages that ran as a recording, the run after recording included
  std::uint64_t native_replays = 0;     // of them: because of cuda_graph_strategy
  std::uint64_t verified_replays = 0;   // of them: compared with an unrecorded run, and the same
  std::uint64_t patched_addresses = 0;  // that replays found changed
  std::uint64_t recordings_held = 0, recording_bytes = 0, recordings_evicted = 0, recordings_dropped = 0;
  std::uint64_t unrecorded = 0;  // runs of stages step by step although recordings were asked for
  // capture_failed; over_bound: the recording is larger than max_recording_bytes; verify_mismatch: its first replay differed from an unrecorded run; island: a
  // foreign kernel that cannot be recorded
  std::vector<ReasonCount> unrecorded_by;

  std::uint64_t bucketed_calls = 0, padded_rows = 0;  // calls that ran at a larger batch (CudaGraphOptions::buckets)
  // over_buckets; empty; caller_outputs (run, enqueue); profile: no bucket fits it; not_independent: …, with the reason
  std::vector<ReasonCount> unbucketed_by;

  std::uint64_t staged_inputs = 0, staged_outputs = 0;  // that were copied through memory of the context
  std::uint64_t staged_bytes = 0;
  // integer (a number became a tensor), on_host, other_device (multi-device safe mode), not_contiguous, misaligned, overlaps_output, overlaps_input
  std::vector<ReasonCount> staged_by;
  std::uint64_t device_switches = 0;  // calls whose caller had another device current

  std::uint64_t streamed_weights = 0, streamed_bytes = 0;  // copies of weights to where calls need them (runtime::weight_streaming)

  std::uint64_t contexts = 0, contexts_rebuilt = 0;                     // rebuilt: because the configuration changed
  std::uint64_t bound_calls = 0;                                        // of a BoundCall, that found everything in place
  std::uint64_t shapes_bound = 0, shapes_evicted = 0, shapes_held = 0;  // shape keys, counted in each context
  std::uint64_t stages_bound = 0;                                       // command lists made
  std::uint64_t memory_growths = 0;                                     // times that a context asked its device for memory
  // Results: tensors made for them, pre-allocated ones used again, requests to an OutputAllocator.
  std::uint64_t output_allocations = 0, output_reuses = 0, allocator_requests = 0;

  std::uint64_t warm_ups = 0;  // passes that preceded recordings of foreign kernels

  std::vector<Island> islands;  // in the order of the program
};

/// One object with the members' names as keys; lists of reasons are objects too.
[[nodiscard]] std::string to_json(const ModuleStats& stats);

}  // namespace reprise
