// The figures of bench_modes: each measures one program, prints its rows, and checks results when it has timed them.
#pragma once

#include "modes/report.h"
#include "modes/subject.h"

namespace reprise::bench {

/// Two batch sizes in turn, 1,000 calls: what is recorded. Only where the batch is dynamic.
void alternate_shapes(const Subject& subject, const Settings& settings, Report& report);
/// Other tensors in every call: what is recorded again, copied, patched.
void change_addresses(const Subject& subject, const Settings& settings, Report& report);
/// What a call takes in each mode, the program in one engine and with breaks.
void compare_modes(const Subject& subject, const Settings& settings, Report& report);
/// 1, 2, 4 and 8 threads that call one module.
void call_from_threads(const Subject& subject, const Settings& settings, Report& report);
/// Batch sizes at random with and without buckets. Only where the batch is dynamic.
void use_buckets(const Subject& subject, const Settings& settings, Report& report);
/// Many changes of every mode, with calls between them: memory in use early on and at the end.
void change_modes(const std::string& path, const Settings& settings, Report& report);
/// Weight budgets: what a call takes beside copying what it streams, and the memory in use. Before anything else of the program is compiled.
void stream_weights(const std::string& path, const Settings& settings, Report& report);

}  // namespace reprise::bench
