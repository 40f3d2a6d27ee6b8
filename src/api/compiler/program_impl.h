// What a public Program holds.
#pragma once

#include "ir/aten.h"
#include "reprise/program.h"

namespace reprise {

struct Program::Impl {
  ir::Program program;
};

}  // namespace reprise
