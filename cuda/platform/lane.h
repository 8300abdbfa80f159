// What a kernel is written in. Kernels are functors over the functions of this header, compiled
// twice: by nvcc for GPUs, and by the host's compiler for the emulation, which runs every thread of
// a block as a fiber and finds indexing mistakes, missing barriers and uninitialised memory without
// a GPU. Everything stands in namespace weft::gpu or weft::emulated, so that both can be linked.
//
//   struct Scale {
//     static constexpr int kThreads = 128;   // most threads of a block, a multiple of 32
//     float* x;
//     WEFT_DEVICE void operator()() const { x[block_x() * 128 + thread()] *= 2; }
//   };
//   runtime.launch("scale", Grid{blocks}, 128, shared_bytes, Scale{x});
//
// A launch may begin before the kernel in front of it has ended; every kernel waits for that end
// before it does anything. One that has something to do first (reading weights, which no kernel
// writes) says so, `static constexpr bool kWaits = true`, and every thread of it calls
// wait_for_previous() before it reads or writes what other kernels touch, and before it ends. One
// that writes weights says `static constexpr bool kPacks = true`: the launch behind it begins late.
//
// Both have: thread(), threads(), block_x/y/z(), grid_x/y/z(), shared(), block_barrier(),
// warp_barrier(), shuffle(), shuffle_xor(), ballot(), count_bits(), atomic_add(), mma(),
// load_matrices(), copy_async(), copy_commit(), copy_wait(), load_once(), load_ahead(),
// wait_for_previous().
#pragma once

#include "cuda/platform/grid.h"

#ifdef __CUDACC__
#define WEFT_PLATFORM gpu
#define WEFT_DEVICE __device__ __forceinline__
#define WEFT_UNROLL _Pragma("unroll")
#else
#define WEFT_PLATFORM emulated
#define WEFT_DEVICE inline
#define WEFT_UNROLL
#endif

#ifdef __CUDACC__
#include "cuda/platform/gpu_lane.cuh"
#else
#include "cuda/platform/emulated_lane.h"
#endif
