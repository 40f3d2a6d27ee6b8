#include "runtime/runtime_cache.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/hash.h"
#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise::runtime {
namespace {

constexpr const char* kLines = "choice\tgemm:1x1\t2.5\tSome GPU matmul\nprogram\tof a later version\n";

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}
void write(const std::filesystem::path& path, const std::string& text) { std::ofstream(path) << text; }
std::string whole(const std::string& lines) { return "reprise-runtime-cache 1 " + base::sha256(lines) + "\n" + lines; }

struct RuntimeCache : testing::Test {
  testing_support::TempDir folder;
  std::filesystem::path path = folder / "runtime.cache";
  device::DevicePtr cpu = device::open(Device::cpu());
};

TEST_F(RuntimeCache, AMissingFileIsEmptyAndIsMade) {
  EXPECT_NO_THROW(load_runtime_cache(path, cpu));
  save_runtime_cache(path, cpu);
  EXPECT_EQ(read(path), whole(""));
}

TEST_F(RuntimeCache, SavingKeepsWhatOthersWrote) {
  write(path, whole(kLines));
  load_runtime_cache(path, cpu);
  save_runtime_cache(path, cpu);
  EXPECT_EQ(read(path), whole(kLines));
}

TEST_F(RuntimeCache, ADamagedFileIsNoFailureAndIsReplaced) {
  for (const auto& text : {std::string("something else"), whole(kLines).substr(0, 90), std::string("reprise-runtime-cache 1 0\n") + kLines, std::string()}) {
    write(path, text);
    EXPECT_NO_THROW(load_runtime_cache(path, cpu));
    save_runtime_cache(path, cpu);
    EXPECT_EQ(read(path), whole(""));
  }
}

TEST_F(RuntimeCache, APlaceThatCannotBeWrittenIsAnErrorOnSavingAlone) {
  const auto nowhere = folder / "no" / "such" / "folder";
  EXPECT_NO_THROW(load_runtime_cache(nowhere, cpu));
  EXPECT_THROW(save_runtime_cache(nowhere, cpu), WriteError);
}

}  // namespace
}  // namespace reprise::runtime
