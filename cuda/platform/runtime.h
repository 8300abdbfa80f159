// What host code needs of a device: memory, copies, launches. cuda/platform/gpu_runtime.cuh is it
// for a GPU, emulated_runtime.h for the emulation; both have the same members.
#pragma once

#include "cuda/platform/lane.h"

#ifdef __CUDACC__
#include "cuda/platform/gpu_runtime.cuh"
#else
#include "cuda/platform/emulated_runtime.h"
#endif
