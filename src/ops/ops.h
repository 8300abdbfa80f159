// The operator interface: everything the forward pass asks of a processor.
//
// Shapes: M tokens of the batch (ragged: the rows of all sequences one after another), H hidden
// size, N output features, K input features, B sequences. "w" is the weights' element type (bf16
// or f32). The numerics of every operator are fixed by docs/numerics.md; all implementations of
// one kind of processor give the same bits, for every number of threads.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/buffer.h"
#include "base/tensor.h"
#include "ops/matrix.h"

namespace weft {

/// One layer's paged key/value cache: `pages` pages of `page_bytes` bytes, each holding the keys
/// and values of `page_tokens` tokens (a multiple of 16) for `heads` KV heads of `head_dim`.
struct KvLayer {
  std::byte* data = nullptr;
  Bytes page_bytes = 0;
  std::int64_t page_tokens = 0;
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
  DType dtype = DType::bf16;
};

/// Where the rows of a ragged batch belong. Arrays are i32 and live where the operators run.
struct BatchView {
  Tensor positions;    ///< [M] absolute position of each row in its sequence
  Tensor slots;        ///< [M] where the row's K/V go: page * page_tokens + offset
  Tensor query_begin;  ///< [B+1] first row of each sequence; the last entry is M
  Tensor page_table;   ///< [B, max_pages] pages of each sequence, by position / page_tokens
};

/// Which heads a rank computes: query head `i` of the rank attends to the rank's KV head
/// `kv_head_of[i]`.
struct HeadMap {
  std::int64_t query_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::vector<std::int32_t> kv_head_of;
};

/// What happens to a row of the fused q/k/v product before attention. Undefined tensors mean
/// "not in this model".
struct QkvTail {
  Tensor bias;         ///< [(query_heads + 2 * kv_heads) * head_dim] f32, added first
  Tensor q_norm;       ///< [head_dim] f32, RMSNorm weight for each query head
  Tensor k_norm;       ///< [head_dim] f32, RMSNorm weight for each key head
  float norm_eps = 0;  ///< epsilon of the two norms
  Tensor cosines;      ///< [M, head_dim/2] f32 of the rotary embedding
  Tensor sines;        ///< [M, head_dim/2] f32
};

/// Operators of one processor. Output tensors must not overlap inputs unless said otherwise.
/// Preconditions on shapes and types are checked and throw Error.
class Ops {
 public:
  virtual ~Ops() = default;

  /// Where tensors that these operators read and write must live.
  virtual Memory& memory() = 0;
  /// For reports: processor, instruction set, threads, such as "cpu avx512 x 2 threads".
  [[nodiscard]] virtual std::string_view description() const = 0;

  /// At most what the operators take from `memory()` for themselves, as long as no call has more
  /// than `max_rows` rows, `max_columns` input features and heads wider than `head_dim`.
  [[nodiscard]] virtual Bytes workspace_bytes(std::int64_t max_rows, std::int64_t max_columns,
                                              std::int64_t head_dim) const = 0;
  /// Takes `workspace_bytes` of memory now, so that no later call within those bounds takes any.
  virtual void reserve_workspace(std::int64_t max_rows, std::int64_t max_columns,
                                 std::int64_t head_dim) = 0;

  // Between host and device. Both are blocking; sizes must be equal.
  virtual void upload(std::span<const std::byte> from, const Tensor& to) = 0;
  virtual void download(const Tensor& from, std::span<std::byte> to) = 0;

  // Weights.
  /// Bytes that a packed matrix takes.
  [[nodiscard]] virtual Bytes matrix_bytes(const MatrixShape& shape) const = 0;
  /// Copies a host array [r, c] of the matrix's element type into rows row0…row0+r-1, columns
  /// col0…col0+c-1.
  virtual void pack(const Matrix& to, std::int64_t row0, std::int64_t col0, const Tensor& from) = 0;

  // Key/value cache.
  /// Bytes of one page (of one layer).
  [[nodiscard]] virtual Bytes kv_page_bytes(std::int64_t heads, std::int64_t head_dim,
                                            std::int64_t page_tokens, DType dtype) const = 0;

  // The forward pass.
  /// out[i] = row rows[i] of the table, widened to f32; negative rows are left untouched.
  /// rows [M] i32, out [M, H] f32.
  virtual void embed(const Matrix& table, const Tensor& rows, const Tensor& out) = 0;

  /// cosines/sines[m, j] = scale * cos/sin(f32(positions[m]) * inverse_frequencies[j]).
  /// positions [M] i32, inverse_frequencies [head_dim/2] f32, out [M, head_dim/2] f32.
  virtual void rotary_table(const Tensor& positions, const Tensor& inverse_frequencies, float scale,
                            const Tensor& cosines, const Tensor& sines) = 0;

  /// out = x / sqrt(mean(x^2) + eps) * weight by row. x [M, H] f32, weight [H] f32, out [M, H] w.
  virtual void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) = 0;

  /// out[n] = the tree nodes w.shape.cut.nodes[n] of x * w^T. x [M, K] w, out [nodes, M, N] f32
  /// contiguous.
  virtual void linear(const Tensor& x, const Matrix& w, const Tensor& out) = 0;

  /// Finishes q/k/v: bias, per-head norm, rotary embedding, rounding to w; appends keys and values
  /// to the cache at batch.slots. qkv [M, (query_heads + 2*kv_heads) * head_dim] f32 (overwritten),
  /// q [M, query_heads * head_dim] w.
  virtual void finish_qkv(const Tensor& qkv, const HeadMap& heads, const QkvTail& tail,
                          const BatchView& batch, const KvLayer& cache, const Tensor& q) = 0;

  /// Causal attention of every row over its sequence's cache up to and including its own position,
  /// no further back than `window` keys (0: no limit). q, out [M, query_heads * head_dim] w.
  virtual void attention(const Tensor& q, const HeadMap& heads, const BatchView& batch,
                         const KvLayer& cache, float scale, std::int64_t window,
                         const Tensor& out) = 0;

  /// out = silu(gate) * up. gate_up [M, 2F] f32 (F gates, then F ups), out [M, F] w.
  virtual void swiglu(const Tensor& gate_up, const Tensor& out) = 0;

  /// residual += root(+ bias): finishes the tree over `parts` (part i has the value of node i,
  /// [M, N] f32, rows may be strided), adds bias [N] f32 (undefined: none) to the root, then the
  /// sum to residual [M, N] f32. The nodes ascend and together cover a whole tree.
  virtual void add_tree(std::span<const TreeNode> nodes, std::span<const Tensor> parts,
                        const Tensor& bias, const Tensor& residual) = 0;

  /// out[i] = x[rows[i]]. x [M, H] f32, rows [R] i32, out [R, H] f32.
  virtual void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out) = 0;

  /// By row and block of 256 columns (the last may be narrower): the largest value and the lowest
  /// column that has it. NaN counts as smaller than everything; a block with nothing above
  /// -infinity yields (-infinity, its first column). logits [R, V] f32, values [R, blocks] f32,
  /// columns [R, blocks] i32.
  virtual void block_maxima(const Tensor& logits, const Tensor& values, const Tensor& columns) = 0;
};

/// Instruction set of the CPU operators; the bits do not depend on it.
enum class Isa { automatic, avx512, avx2, plain };

/// "auto", "avx512", "avx2", "plain".
std::string_view name(Isa isa);
/// The reverse of `name`; throws UserError.
Isa isa_from_name(std::string_view name);

/// The optimised operators for CPUs with `threads` OpenMP threads. Throws UserError when this
/// processor lacks `isa`.
std::unique_ptr<Ops> make_cpu_ops(int threads, Isa isa = Isa::automatic);

/// The plain twins: straight loops in the contract's order, one thread. For tests.
std::unique_ptr<Ops> make_reference_ops();

}  // namespace weft
