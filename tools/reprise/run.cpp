// reprise run: calls a program or module, writes and compares its results.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>

#include "arguments.h"
#include "base/json.h"
#include "compare.h"
#include "model.h"
#include "reprise/runtime.h"
#include "runtime/module_impl.h"
#include "verbs.h"

namespace reprise::cli {

namespace {

struct RunFlags {
  std::string model, inputs, outputs, expect;
  std::optional<double> rtol, atol;
  std::uint64_t seed = 0;
  int repeat = 1;
  bool cudagraphs = false, json = false;
  CompileFlags compile;
};

using Arrays = std::vector<tensor::NamedTensor>;

bool has_prefix(const Arrays& arrays, const std::string& prefix) {
  return std::any_of(arrays.begin(), arrays.end(), [&](const auto& a) { return a.first.starts_with(prefix); });
}

void compare_call(const Arrays& got, const Arrays& reference, const std::string& prefix, const Tolerance& tolerance, std::vector<Comparison>& rows) {
  const auto find = [](const Arrays& arrays, const std::string& name) -> const Tensor* {
    const auto it = std::find_if(arrays.begin(), arrays.end(), [&](const auto& a) { return a.first == name; });
    return it == arrays.end() ? nullptr : &it->second;
  };
  for (const auto& [name, array] : got) rows.push_back(compare(name, array, find(reference, name), tolerance));
  for (const auto& [name, array] : reference) {
    if (!name.starts_with(prefix) || find(got, name) != nullptr) continue;
    auto& row = rows.emplace_back();
    row.name = name;
    row.dtype = array.dtype();
    row.sizes = array.sizes();
    row.problem = "not among the results";
  }
}

void print_outputs(const std::vector<Argument>& outputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (const auto* t = std::get_if<Tensor>(&outputs[i])) fmt::print("output_{}  {} [{}]\n", i, name(t->dtype()), fmt::join(t->sizes(), ", "));
    if (const auto* v = std::get_if<std::int64_t>(&outputs[i])) fmt::print("output_{}  {}\n", i, *v);
    if (const auto* v = std::get_if<double>(&outputs[i])) fmt::print("output_{}  {}\n", i, *v);
    if (const auto* v = std::get_if<bool>(&outputs[i])) fmt::print("output_{}  {}\n", i, *v);
  }
}

// The calls that the flags ask for: `repeat` of them, and one more where the reference holds a second call's results.
struct Calls {
  std::vector<Argument> first, second;
  std::vector<double> milliseconds;
};
Calls call(const Module& module, const std::vector<Argument>& arguments, int repeat, bool want_second) {
  Calls calls;
  for (int i = 0; i < std::max(repeat, want_second ? 2 : 1); ++i) {
    const auto start = std::chrono::steady_clock::now();
    auto outputs = module(arguments);
    calls.milliseconds.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    if (i == 0)
      calls.first = std::move(outputs);
    else if (i == 1)
      calls.second = std::move(outputs);
  }
  return calls;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int run(const RunFlags& flags) {
  const auto module = open_module(flags.model, flags.compile, !flags.json);
  const auto profile = profile_scope(module, flags.compile);
  const auto& plan = *module.impl()->plan;
  const auto arguments = flags.inputs.empty() ? random_arguments(plan, flags.seed) : arguments_from(tensor::load_npz(flags.inputs), plan);
  const auto reference = flags.expect.empty() ? Arrays{} : tensor::load_npz(flags.expect);
  const bool second = has_prefix(reference, "output2_");
  runtime::set_cudagraphs_mode(flags.cudagraphs);
  const auto calls = call(module, arguments, flags.repeat, second);

  auto arrays = arrays_from(calls.first, "output");
  std::vector<Comparison> rows;
  const Tolerance tolerance{flags.rtol, flags.atol, plan.settings.dtype};
  if (!flags.expect.empty()) compare_call(arrays, reference, "output_", tolerance, rows);
  if (second) {
    const auto again = arrays_from(calls.second, "output2");
    compare_call(again, reference, "output2_", tolerance, rows);
    arrays.insert(arrays.end(), again.begin(), again.end());
  }
  if (!flags.outputs.empty()) tensor::save_npz(flags.outputs, widened(arrays));

  const bool ok = std::all_of(rows.begin(), rows.end(), [](const auto& r) { return r.ok; });
  if (flags.json) {
    base::JsonWriter json(true);
    json.begin_object().field("calls", calls.milliseconds.size()).field("first_ms", calls.milliseconds.front()).field("median_ms", median(calls.milliseconds));
    json.key("comparison").raw(to_json(rows)).end_object();
    fmt::print("{}\n", json.str());
  } else {
    if (rows.empty())
      print_outputs(calls.first);
    else
      print_table(rows);
    fmt::print("{} call{}, first {:.3f} ms, median {:.3f} ms\n", calls.milliseconds.size(), calls.milliseconds.size() == 1 ? "" : "s",
               calls.milliseconds.front(), median(calls.milliseconds));
  }
  return ok ? kOk : kMismatch;
}

}  // namespace

Verb add_run(CLI::App& app) {
  auto flags = std::make_shared<RunFlags>();
  app.add_option("model", flags->model, ".pt2 program or .rpz module")->required();
  app.add_option("--inputs", flags->inputs, "Arrays input_0.. (flattened user inputs) or by input name")->type_name("NPZ");
  app.add_option("--outputs", flags->outputs, "Where to write output_0..")->type_name("NPZ");
  app.add_option("--expect", flags->expect, "Reference arrays; exit code 1 when one is out of tolerance")->type_name("NPZ");
  app.add_option("--rtol", flags->rtol, "Relative to the largest reference value of a tensor; default by dtype")->check(CLI::NonNegativeNumber);
  app.add_option("--atol", flags->atol, "Absolute part")->check(CLI::NonNegativeNumber);
  app.add_option("--random", flags->seed, "Seed of the random inputs that are used without --inputs");
  app.add_option("--repeat", flags->repeat, "Number of calls")->check(CLI::Range(1, 1000000));
  app.add_flag("--cudagraphs", flags->cudagraphs, "Record calls and replay them");
  app.add_flag("--json", flags->json, "Machine-readable output");
  flags->compile.add_to(app);
  return [flags] { return run(*flags); };
}

}  // namespace reprise::cli
