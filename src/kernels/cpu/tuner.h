// Measures the kernels that could run a matmul or conv on this machine, and notes the best choice (choices.h).
#pragma once

#include <string>
#include <vector>

#include "device/device.h"
#include "kernels/choices.h"
#include "kernels/cpu/candidates.h"
#include "kernels/provider.h"

namespace reprise::kernels::cpu {

/// A candidate's.
struct Measurement {
  std::string name;
  double microseconds = 0;  // of the median run
  double ratio = 1;         // to the first one's time, of the median round
  bool of_library = false;
};

/// The first of them unless another is faster by a clear margin, which is larger for several threads. Without `libraries`, of our own ones if there are any.
/// Not empty.
const Measurement& best_choice(const std::vector<Measurement>& measured, int threads, bool libraries);

/// What a program's commands take: a library where it is the fastest, but none at all where the program as a whole gains little by it. Its code and what it
/// keeps for each command take memory.
class ProgramChoices {
 public:
  /// Notes the choice for a command of one program, and again those before it where the gain is another side of what is worth it now.
  void add(const std::string& key, const std::vector<Measurement>& measured, int threads);
  /// Another command that is the same counts as much. Nothing where none has been added.
  void add_again(const std::string& key);

 private:
  struct Command {
    std::string key;
    Choice with, without;  // a library
    double saved = 0;
  };
  void count(const Command& command);

  std::vector<Command> commands_;
  double microseconds_ = 0, saved_ = 0;  // of all commands without a library; by having one
  bool library_ = false;
};

/// Of one compilation. Not thread safe; several tuners measure one command at a time. The level says how many seconds all its measurements may take, what is
/// too small to be measured, and whether variants of a kernel compete; at level 0 nothing is measured.
class Tuner {
 public:
  Tuner(device::DevicePtr device, const TuningOptions& options);

  /// Measures the candidates of a command that has no choice yet: the fixed rules' kernel stays unless another is clearly faster. Nothing is noted where there
  /// is no other, or no time left.
  void tune(const StepSpec& spec);

  /// The fixed rules' kernel, then others that can be made; all take turns in every round. Hopeless ones stop early. Empty: there are no others, or there was
  /// not enough time to compare them.
  std::vector<Measurement> measure(const StepSpec& spec);

 private:
  device::DevicePtr device_;
  TuningOptions options_;
  double seconds_left_ = 0;
  Contractions kernels_;
  const std::string version_ = kernels_.version();
  ProgramChoices choices_;
};

}  // namespace reprise::kernels::cpu
