// Everything. A program that only loads `.rpz` files includes `reprise/module.h` and links reprise::runtime alone.
#pragma once

#include "reprise/compile.h"
#include "reprise/device.h"
#include "reprise/dryrun.h"
#include "reprise/dtype.h"
#include "reprise/error.h"
#include "reprise/input.h"
#include "reprise/log.h"
#include "reprise/module.h"
#include "reprise/npz.h"
#include "reprise/program.h"
#include "reprise/runtime.h"
#include "reprise/stats.h"
#include "reprise/stream.h"
#include "reprise/tensor.h"
