#include <reprise/module.h>
#include <reprise/npz.h>

#include <cstdio>
#include <vector>

// Deployment: the runtime library alone.
int main(int, char** argv) {
  const auto module = reprise::Module::load(argv[1]);
  std::vector<reprise::Tensor> inputs;
  for (const auto& [name, array] : reprise::load_npz(argv[2])) inputs.push_back(array);
  const auto outputs = module(inputs);
  std::printf("%zu output(s) from %s\n", outputs.size(), argv[1]);
  return outputs.empty() ? 1 : 0;
}
