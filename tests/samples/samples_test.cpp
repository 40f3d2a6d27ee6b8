// Exported programs against PyTorch's values, in one process: {case}.pt2, {case}.core.pt2, {case}.inputs.npz, {case}.expected.npz of a folder.
//
// REPRISE_TEST_SAMPLES names other folders than tests/models/ops (separated by colons), REPRISE_TEST_DEVICE another device. Each program is called plainly,
// then recorded, then replayed.
#include <fmt/format.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>

#include "models/comparison.h"

namespace reprise::testing_support {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

struct Sample {
  fs::path program, inputs, expected;
};

/// Cases that are known to differ: {case} {reason}, beside the folder.
std::set<std::string> known_differences(const fs::path& folder) {
  std::ifstream file(folder.parent_path() / "known_differences.txt");
  std::set<std::string> cases;
  for (std::string line; std::getline(file, line);)
    if (!line.empty() && line[0] != '#') cases.insert(line.substr(0, line.find(' ')));
  return cases;
}

std::vector<Sample> samples_of(const fs::path& folder) {
  constexpr std::string_view kEnd = ".expected.npz";
  const auto known = known_differences(folder);
  std::vector<Sample> samples;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(kEnd)) continue;
    const std::string stem = name.substr(0, name.size() - kEnd.size());
    if (known.contains(stem)) continue;
    const std::string program = fs::exists(folder / (stem + ".pt2")) ? stem : stem.substr(0, stem.rfind('.'));
    for (const char* form : {"", ".core"})
      if (const auto file = folder / (program + form + ".pt2"); fs::exists(file)) samples.push_back({file, folder / (stem + ".inputs.npz"), entry.path()});
  }
  std::sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) { return a.program < b.program; });
  return samples;
}

/// By the dtype in the name of one operator's program, else a whole model's by that of the result; 0 for integers.
double tolerance_of(const std::string& name, const Argument& got) {
  const auto* tensor = std::get_if<Tensor>(&got);
  const DType dtype = tensor == nullptr ? DType::f64 : tensor->dtype();
  if (!is_floating(dtype)) return 0;
  if (name.find(".bf16.") != std::string::npos) return 1.6e-2;
  if (name.find(".f16.") != std::string::npos) return 2e-3;
  if (name.find(".f32.") != std::string::npos) return 1e-5;
  return dtype == DType::bf16 ? 4e-2 : dtype == DType::f16 ? 1e-2 : 1e-4;
}

std::vector<Argument> to_host(std::vector<Argument> results) {
  for (auto& result : results)
    if (auto* tensor = std::get_if<Tensor>(&result); tensor != nullptr && tensor->device() != Device::cpu()) *tensor = runtime::copy_to(*tensor, Device::cpu());
  return results;
}

/// What differs, or "".
std::string difference(const Argument& got, const Tensor& want, double tolerance) {
  if (const auto* t = std::get_if<Tensor>(&got); t != nullptr && t->sizes() != want.sizes())
    return fmt::format("sizes (got [{}], want [{}])", fmt::join(t->sizes(), ", "), fmt::join(want.sizes(), ", "));
  const auto a = values_of(got), b = values_of(Argument(want));
  if (a.size() != b.size()) return fmt::format("number of elements (got {}, want {})", a.size(), b.size());
  double scale = 0;
  for (const double v : b)
    if (std::isfinite(v)) scale = std::max(scale, std::abs(v));
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool same = std::isfinite(b[i]) ? std::abs(a[i] - b[i]) <= tolerance * scale + (tolerance > 0 ? 1e-6 : 0)
                      : std::isnan(b[i])  ? std::isnan(a[i])
                                          : a[i] == b[i];
    if (!same) return fmt::format("element {} (got {}, want {}, largest {})", i, a[i], b[i], scale);
  }
  return "";
}

std::string difference(const std::vector<Argument>& got, const Arrays& want, const std::string& prefix, const std::string& name) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto it = want.find(fmt::format("{}_{}", prefix, i));
    if (it == want.end()) continue;
    const auto text = difference(got[i], it->second, tolerance_of(name, got[i]));
    if (!text.empty()) return fmt::format("{}: {}", it->first, text);
  }
  return "";
}

/// Throws Error; "" when all agrees.
std::string run(const Sample& sample, Device device) {
  const auto program = load_program(sample.program.string());
  const auto want = load_arrays(sample.expected.string()), inputs = load_arrays(sample.inputs.string());
  const std::string name = sample.program.filename().string();
  const bool stateful = want.contains("output2_0");
  const auto plain = compile(program, {.device = device});
  const auto arguments = arguments_of(plain, inputs);
  if (auto text = difference(to_host(plain(arguments)), want, "output", name); !text.empty()) return "plain call: " + text;
  if (stateful) {
    const auto text = difference(to_host(plain(arguments)), want, "output2", name);
    return text.empty() ? text : "second call: " + text;
  }
  runtime::set_cudagraphs_mode(true);
  // Calls write into mutated inputs: each gets its own.
  const auto fresh = [&] { return arguments_of(plain, load_arrays(sample.inputs.string())); };
  for (const char* which : {"recorded call: ", "replayed call: "})
    if (auto text = difference(to_host(plain(fresh())), want, "output", name); !text.empty()) return which + text;
  return "";
}

struct Outcome {
  int agreed = 0, differed = 0, refused = 0;
  std::map<std::string, int> unsupported;  // message: how many
};

Outcome run_folder(const fs::path& folder, Device device) {
  const auto samples = samples_of(folder);
  Outcome outcome;
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  const auto work = [&] {
    for (std::size_t i = next++; i < samples.size(); i = next++) {
      std::string text, unsupported;
      try {
        text = run(samples[i], device);
      } catch (const UnsupportedOp& error) {
        unsupported = error.what();
      } catch (const std::exception& error) {
        text = error.what();
      }
      const std::scoped_lock lock(mutex);
      if (!unsupported.empty()) {
        ++outcome.refused;
        ++outcome.unsupported[unsupported.substr(unsupported.find("] ") + 2)];
      } else if (!text.empty()) {
        ++outcome.differed;
        fmt::print("  {}: {}\n", samples[i].program.filename().string(), text.substr(0, 400));
      } else {
        ++outcome.agreed;
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::min(16u, std::thread::hardware_concurrency())); ++i) threads.emplace_back(work);
  for (auto& thread : threads) thread.join();
  return outcome;
}

TEST(Samples, AgreeWithPyTorch) {
  const Device device = Device::parse(variable("REPRISE_TEST_DEVICE", "cpu"));
  std::istringstream folders(variable("REPRISE_TEST_SAMPLES", std::string(REPRISE_TEST_MODELS) + "/ops"));
  for (std::string folder; std::getline(folders, folder, ':');) {
    const Outcome outcome = run_folder(folder, device);
    fmt::print("{} on {}: {} agree, {} differ, {} have no kernel\n", folder, device.str(), outcome.agreed, outcome.differed, outcome.refused);
    for (const auto& [message, count] : outcome.unsupported) fmt::print("  {} x {}\n", count, message);
    EXPECT_GT(outcome.agreed, 0);
    EXPECT_EQ(outcome.differed, 0);
    EXPECT_EQ(outcome.refused, 0);
  }
  runtime::set_cudagraphs_mode(false);
}

}  // namespace
}  // namespace reprise::testing_support
