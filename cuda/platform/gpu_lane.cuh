// cuda/platform/lane.h on a GPU. Included by it alone.
#pragma once

namespace weft::gpu {

__device__ __forceinline__ int thread() { return static_cast<int>(threadIdx.x); }
__device__ __forceinline__ int threads() { return static_cast<int>(blockDim.x); }
__device__ __forceinline__ int block_x() { return static_cast<int>(blockIdx.x); }
__device__ __forceinline__ int block_y() { return static_cast<int>(blockIdx.y); }
__device__ __forceinline__ int block_z() { return static_cast<int>(blockIdx.z); }
__device__ __forceinline__ int grid_x() { return static_cast<int>(gridDim.x); }
__device__ __forceinline__ int grid_y() { return static_cast<int>(gridDim.y); }
__device__ __forceinline__ int grid_z() { return static_cast<int>(gridDim.z); }

/// The block's shared memory, as many bytes as the launch asked for.
__device__ __forceinline__ std::byte* shared() {
  extern __shared__ __align__(128) unsigned char memory[];
  return reinterpret_cast<std::byte*>(memory);
}

__device__ __forceinline__ void block_barrier() { __syncthreads(); }
__device__ __forceinline__ void warp_barrier() { __syncwarp(); }

/// The value of lane `from`; all lanes take part.
template <class T>
__device__ __forceinline__ T shuffle(T value, int from) {
  return __shfl_sync(0xffffffffU, value, from);
}
template <class T>
__device__ __forceinline__ T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xffffffffU, value, mask);
}

/// Bit i: whether lane i gives true; all lanes take part.
__device__ __forceinline__ std::uint32_t ballot(bool value) {
  return __ballot_sync(0xffffffffU, value);
}
__device__ __forceinline__ int count_bits(std::uint32_t bits) { return __popc(bits); }

/// Adds to a number in the device's or the block's memory that others add to at the same time;
/// gives what it was.
__device__ __forceinline__ std::int32_t atomic_add(std::int32_t* to, std::int32_t value) {
  return atomicAdd(to, value);
}

/// sums += a * b, bf16 operands, f32 sums: 16 rows of a, 8 columns of b, 16 deep; the fragments of
/// PTX ISA's mma.m16n8k16. This is the unit of every product on Hopper and before.
__device__ __forceinline__ void mma(float (&sums)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                    std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

/// Four matrices of 8 rows of 16 bytes from shared memory: lane 8i+r names row r of matrix i; lane
/// 4g+t gets word t of row g of each.
__device__ __forceinline__ Words4 load_matrices(const void* row) {
  Words4 words;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(words.at[0]), "=r"(words.at[1]), "=r"(words.at[2]), "=r"(words.at[3])
               : "r"(shared_address(row))
               : "memory");
  return words;
}

/// Starts a copy of 16 bytes to shared memory, of which the first `bytes` come from `from` and the
/// rest are zeros. Both addresses are multiples of 16.
__device__ __forceinline__ void copy_async(void* to, const void* from, int bytes) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(bytes)
               : "memory");
}
/// Ends a group of copies.
__device__ __forceinline__ void copy_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Waits until at most the last `Left` groups of this thread are under way.
template <int Left>
__device__ __forceinline__ void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Left) : "memory");
}

/// Returns when the kernels before this one have ended and what they wrote can be read.
__device__ __forceinline__ void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/// The next kernel may begin, as far as there is room; it waits for this one's end by itself.
__device__ __forceinline__ void allow_next() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// 16 bytes of memory that is read once and not written while the kernel runs.
__device__ __forceinline__ Words4 load_once(const void* from) {
  Words4 words;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(words.at[0]), "=r"(words.at[1]), "=r"(words.at[2]), "=r"(words.at[3])
               : "l"(from));
  return words;
}
/// The same of memory that no kernel of the step writes: also before wait_for_previous().
__device__ __forceinline__ Words4 load_ahead(const void* from) { return load_once(from); }

}  // namespace weft::gpu
