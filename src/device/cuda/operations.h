// What a step becomes on a GPU: kernels, copies, fills and library calls over binding slots, as data.
//
// A step describes itself once, when its command list is made. The list keeps the operations: to enqueue is to fill in addresses and launch; to record is to
// make graph nodes whose order follows from what the operations read and write; to replay with a changed address is to patch the nodes that name its slot.
// So nothing here holds an address but those that never change (a step's own memory), and nothing runs when a call is made but the launches themselves.
//
// Slots hold addresses that are multiples of kSlotAlignment.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "device/command_list.h"

namespace reprise::device::cuda {

inline constexpr std::size_t kSlotAlignment = 16;
inline constexpr std::size_t kMaxParameterBytes = 4096;

/// `bytes` from the address in binding slot `slot`.
struct Place {
  int slot = -1;
  std::int64_t bytes = 0;
};

/// Bytes [begin, end), counted from a slot's address, that an operation reads or writes.
struct Access {
  int slot = -1;
  std::int64_t begin = 0, end = 0;
  bool write = false;
};

/// Where a kernel's parameters name memory: at byte `at` of them stands the address of `place`, or a tensor map (CUtensorMap) of memory that begins there.
struct Patch {
  enum class Kind : std::uint8_t { address, tensor_map };
  std::uint32_t at = 0;
  Place place;
  Kind kind = Kind::address;
};

struct Extent {
  unsigned x = 1, y = 1, z = 1;
};

struct KernelLaunch {
  CUfunction function = nullptr;
  Extent grid, block, cluster;
  unsigned shared_bytes = 0;          // dynamic; above 48 KB the limit is raised when the list is made
  bool programmatic = false;          // no thread touches what earlier operations use before its griddepcontrol.wait; at least one of the grid executes it
  std::vector<std::byte> parameters;  // as the kernel declares them, each at its natural alignment; addresses of slots are filled in by `patches`
  std::vector<Patch> patches;
};

/// Between device memory, or from pinned memory of the host: that runs beside what it need not wait for. The ranges do not overlap.
struct MemoryCopy {
  Place to, from;
  std::size_t bytes = 0;
  bool from_host = false;
};

/// As DeviceHandle::fill.
struct MemoryFill {
  Place to;
  std::uint32_t value = 0;
  int width = 1;
  std::size_t count = 0;
};

/// Work that only a library's function can give: it must enqueue to `stream` alone, may be called from several threads at once, and again whenever addresses
/// change; in a recording it is captured (thread-locally) into a child graph, so it must neither allocate, synchronize nor read device memory on the host.
struct LibraryCall {
  std::function<void(CUstream stream, void* const* bindings)> enqueue;
  /// Its kernels may start before the kernel that they come after has ended, where the library launches them so: they are known to touch nothing before their
  /// griddepcontrol.wait. (cuBLASLt's; kernels of cuDNN 9 that are launched so gave wrong results behind kernels that let them start at once, as ours do.)
  bool early = false;
};

/// A step of the host between them: in stream order, on a thread of the driver.
struct HostCall {
  const Step* step = nullptr;
};

struct Operation {
  std::variant<KernelLaunch, MemoryCopy, MemoryFill, LibraryCall, HostCall> work;
  std::vector<Access> accesses;
  int step = 0;  // in its command list
};

/// Throws what an error in the data means (ShapeError); `word` is what the kernel left, never 0.
using Raise = std::function<void(std::uint64_t word)>;

struct Fault {
  std::uint64_t* word;
  Raise raise;
};

/// The operations of a command list as its steps add them. What one step adds runs in the order given wherever their accesses meet.
class Operations {
 public:
  /// `accesses` name everything in slots that the work touches: the order of graph nodes follows from nothing else.
  void add(decltype(Operation::work) work, std::vector<Access> accesses);
  /// A zeroed word that a kernel may overwrite (plain store, any value but 0, by any thread) to tell of an error in the data, such as an index out of range:
  /// `raise` throws for it from the next `synchronize` of the stream. Kernels behind it still run, so what they index with must be clamped.
  [[nodiscard]] std::uint64_t* fault(Raise raise);

 private:
  friend class CudaCommandList;
  friend std::vector<Operation> describe_offline(const class CudaStep& step);
  explicit Operations(class FaultWords* words) : words_(words) {}

  class FaultWords* words_;
  std::vector<Operation> all_;
  std::vector<Fault> faults_;
  int step_ = 0;
};

/// A step of this device. Steps of other kinds are host steps.
class CudaStep : public Step {
 public:
  /// Adds its operations. Called once, when a command list is made; may wait for the compilation of its kernels. Scratch: `scratch_bytes()` bytes in slot
  /// `scratch_slot()`, shared by all steps of the list (name it in the accesses).
  virtual void describe(Operations& operations) const = 0;
  /// Throws DeviceError: these steps do not run on the host.
  void run(void* const* bindings) const final;
};

/// What a step of a GPU that is not there (Gpu::offline) would do. Its functions are null.
std::vector<Operation> describe_offline(const CudaStep& step);

}  // namespace reprise::device::cuda
