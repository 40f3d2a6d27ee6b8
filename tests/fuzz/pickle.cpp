// An archive of torch.save whose data.pkl is the input and whose storages "0" and "1" are 64 bytes each.
#include <memory>
#include <string>

#include "base/zip.h"
#include "fuzz/fuzz.h"
#include "import/pt2/torch_save.h"

namespace {

void put(std::string& out, std::uint64_t value, int width) {
  for (int i = 0; i < width; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

/// Stored, without checksums.
std::string archive(std::string_view pickle) {
  std::string out, directory;
  const std::string storage(64, '\1');
  int count = 0;
  for (const auto& [name, content] : {std::pair<std::string_view, std::string_view>{"a/data.pkl", pickle}, {"a/data/0", storage}, {"a/data/1", storage}}) {
    const std::size_t local = out.size();
    std::string common(14, '\0');  // version, flags, method, time, date, checksum
    common[0] = 20;
    put(common, content.size(), 4);
    put(common, content.size(), 4);
    put(common, name.size(), 2);
    out.append("PK\3\4").append(common).append(2, '\0').append(name).append(content);
    directory.append("PK\1\2").append("\x14\0", 2).append(common).append(12, '\0');  // … then extra, comment, disk, attributes
    put(directory, local, 4);
    directory.append(name);
    ++count;
  }
  const std::size_t begin = out.size();
  out.append(directory).append("PK\5\6").append(4, '\0');
  put(out, static_cast<std::uint64_t>(count), 2);
  put(out, static_cast<std::uint64_t>(count), 2);
  put(out, directory.size(), 4);
  put(out, begin, 4);
  put(out, 0, 2);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reprise;
  return fuzz::run([&] {
    const auto bytes = std::make_shared<const std::string>(archive(fuzz::text(data, size)));
    import::Storages storages;
    const import::TorchSave file({std::as_bytes(std::span(*bytes)), bytes}, "fuzz", {.check_crc = false}, storages);
    for (import::Pickle::Id id = 0; id < file.pickle().size(); ++id) {
      if (file.is_tensor(id)) fuzz::run([&] { (void)file.tensor(id); });
      (void)file.pickle().find(id, "left");
    }
  });
}
