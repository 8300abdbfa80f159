// The operator interface: everything the forward pass asks of a processor.
//
// Shapes: M tokens of the batch (ragged: the rows of all sequences one after another), H hidden
// size, N output features, K input features, B sequences. "w" is the weights' element type (bf16
// or f32). The numerics of every operator are fixed by docs/internals/numerics.md; all
// implementations of one kind of processor give the same bits, for every number of threads.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/buffer.h"
#include "base/fence.h"
#include "base/tensor.h"
#include "ops/matrix.h"
#include "ops/no_expert.h"
#include "ops/op_sizes.h"
#include "ops/views.h"

namespace weft {

class DeviceClock;
class Recorder;
class RowSampler;

/// Operators of one processor. Output tensors must not overlap inputs unless said otherwise.
/// Preconditions on shapes and types are checked and throw Error.
class Ops : public OpSizes {
 public:
  /// Where tensors that these operators read and write must live.
  virtual Memory& memory() = 0;
  /// Memory that the host reads and writes and that moves to and from `memory()` fastest. On a
  /// processor that shares the host's memory the two are the same.
  virtual Memory& host_memory() { return memory(); }
  /// For reports: processor, instruction set, threads, such as "cpu avx512 x 2 threads".
  [[nodiscard]] virtual std::string_view description() const = 0;

  /// The clock of a processor that is still at work when calls return; null where none is.
  virtual DeviceClock* clock() { return nullptr; }

  /// What runs steps of which there are many alike. These operators must outlive it.
  virtual std::unique_ptr<Recorder> make_recorder();

  /// What chooses tokens where the logits are; null where the host does it as well.
  virtual RowSampler* sampler() { return nullptr; }

  /// Takes `workspace_bytes` of memory now, so that no later call within those bounds takes any.
  virtual void reserve_workspace(std::int64_t max_rows, std::int64_t max_columns,
                                 std::int64_t head_dim) = 0;

  // Between host and device. Both are blocking; sizes must be equal.
  virtual void upload(std::span<const std::byte> from, const Tensor& to) = 0;
  virtual void download(const Tensor& from, std::span<std::byte> to) = 0;
  /// to = from, both where the operators run: equal shapes and types, both contiguous.
  virtual void copy(const Tensor& from, const Tensor& to) = 0;
  /// All bytes of a contiguous tensor become zero.
  virtual void clear(const Tensor& to) = 0;

  // Weights. `pack` alone of all operators may be called by several threads at once, for different
  // elements; no other operator may run meanwhile.
  /// How many threads at a time are worth calling `pack` from.
  [[nodiscard]] virtual int pack_threads() const = 0;
  /// Copies a host array [r, c] of the matrix's element type into rows row0…row0+r-1, columns
  /// col0…col0+c-1. The array may be read after the return, until a fence that was set then is
  /// passed; where `make_fence` makes none, it is not. From `host_memory()` it moves fastest.
  virtual void pack(const Matrix& to, std::int64_t row0, std::int64_t col0, const Tensor& from) = 0;

  /// The same for matrix `index` of a stack, which takes count * matrix_bytes(shape).
  virtual void pack(const MatrixStack& to, std::int64_t index, std::int64_t row0, std::int64_t col0,
                    const Tensor& from) = 0;

  /// A fence in the work of `pack`; null where there is none left when it returns.
  virtual std::unique_ptr<Fence> make_fence() { return nullptr; }

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
  /// to the cache at batch.slots, but for rows whose slot is negative. qkv [M, (query_heads +
  /// 2*kv_heads) * head_dim] f32 (overwritten), q [M, query_heads * head_dim] w.
  virtual void finish_qkv(const Tensor& qkv, const HeadMap& heads, const QkvTail& tail,
                          const BatchView& batch, const KvLayer& cache, const Tensor& q) = 0;

  /// Copies keys and values of `slots` [M] i32 out of a cache, in a form that does not depend on
  /// the processor: out [M, 2 * heads * head_dim] w, a row's keys of all heads, then its values.
  virtual void read_kv(const KvLayer& cache, const Tensor& slots, const Tensor& out) = 0;
  /// The reverse: puts keys and values [M, 2 * heads * head_dim] w at `slots` [M] i32. No slot may
  /// occur twice.
  virtual void write_kv(const Tensor& from, const Tensor& slots, const KvLayer& cache) = 0;

  /// Causal attention of every row over its sequence's cache up to and including its own position,
  /// no further back than `window` keys (0: no limit). q, out [M, query_heads * head_dim] w.
  virtual void attention(const Tensor& q, const HeadMap& heads, const BatchView& batch,
                         const KvLayer& cache, float scale, std::int64_t window,
                         const Tensor& out) = 0;

  /// out = silu(gate) * up. gate_up [M, 2F] f32 (F gates, then F ups), out [M, F] w.
  virtual void swiglu(const Tensor& gate_up, const Tensor& out) = 0;

  /// linear, then swiglu of its only node: out [M, F] w of x [M, K] w and a matrix of 2F rows.
  /// `wide` [M, 2F] f32 is room for what stands between the two and may be left alone.
  virtual void linear_swiglu(const Tensor& x, const Matrix& gate_up, const Tensor& wide,
                             const Tensor& out);

  /// residual += root(+ bias): finishes the tree over `parts` (part i has the value of node i,
  /// [M, N] f32, rows may be strided), adds bias [N] f32 (undefined: none) to the root, then the
  /// sum to residual [M, N] f32. The nodes ascend and together cover a whole tree.
  virtual void add_tree(std::span<const TreeNode> nodes, std::span<const Tensor> parts,
                        const Tensor& bias, const Tensor& residual) = 0;

  /// add_tree, then the norm of the residual where there is one.
  virtual void add_tree_norm(std::span<const TreeNode> nodes, std::span<const Tensor> parts,
                             const Tensor& bias, const Tensor& residual, const NextNorm& next);

  /// out[i] = x[rows[i]], left alone where that is negative. x [M, H] f32 or bf16, rows [R] i32,
  /// out [R, H] of x's type.
  virtual void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out) = 0;

  // Experts. E experts, k of them for each row; "pairs" are (row, expert).
  /// By row: softmax over the logits, the k largest probabilities (descending, the lower expert
  /// first among equals), divided by their sum where `normalise`. Adds 1 to loads[e] for each row
  /// that chose expert e. Rows whose slot is negative, those of padding, choose kNoExpert k times.
  /// logits [M, E] f32 (overwritten), slots [M] i32, experts [M, k] i32 contiguous, weights [M, k]
  /// f32, loads [E] i32; 1 <= k <= E.
  virtual void route(const Tensor& logits, const Tensor& slots, bool normalise,
                     const Tensor& experts, const Tensor& weights, const Tensor& loads) = 0;

  /// Sorts pairs by expert, those of one expert by row. experts [M, k] i32 contiguous, each in [0,
  /// E) or kNoExpert. ends [E] i32: the end of each expert's pairs. rows [M * k] i32: the row of
  /// each sorted pair; beyond the last end they are left alone. places [M, k, n] i32: where the
  /// pair's values stand in n arrays of the sorted pairs, one behind the other: i * M * k + the
  /// pair's place for i = 0 … n-1; -1 for a pair without an expert.
  virtual void sort_pairs(const Tensor& experts, const Tensor& ends, const Tensor& rows,
                          const Tensor& places) = 0;

  /// Products of pairs that are sorted by matrix: pairs [ends[g-1], ends[g]) belong to matrix g of
  /// the stack. out[n] = the tree nodes n of x[rows[p]] * w_g^T for each pair p. x [M, K] w, rows
  /// [P] i32 (undefined: pair p reads row p, and P = M), ends [matrices] i32 ascending, at most P,
  /// out [nodes, P, N] f32 contiguous; what is beyond the last end is left alone.
  virtual void expert_linear(const Tensor& x, const Tensor& rows, const Tensor& ends,
                             const MatrixStack& w, const Tensor& out) = 0;

  /// out[m] = fma(weights[m, j], y(m, j), out[m]) for j = 0 … k-1, from +0; y(m, j) is the root of
  /// the tree over `nodes` (they make up a whole one), whose node i is row rows[m, j, i] of
  /// `parts`; where that is negative, there is no j-th expert. parts [R, N] f32, rows [M, k, nodes]
  /// i32 contiguous, weights [M, k] f32, out [M, N].
  virtual void combine(std::span<const TreeNode> nodes, const Tensor& parts, const Tensor& rows,
                       const Tensor& weights, const Tensor& out) = 0;

  /// sum[m] = fma(1 / (1 + exp(-gate[m])), x[m], sum[m]). gate [M, 1] f32, x, sum [M, N] f32.
  virtual void add_gated(const Tensor& gate, const Tensor& x, const Tensor& sum) = 0;

  /// By row and block of 256 columns (the last may be narrower): the largest value and the lowest
  /// column that has it, marked (ops/non_finite.h) if any value is NaN or infinite. NaN is smaller
  /// than everything; a block with nothing above -infinity yields (-infinity, its first column).
  /// logits [R, V] f32, values [R, blocks] f32, columns [R, blocks] i32.
  virtual void block_maxima(const Tensor& logits, const Tensor& values, const Tensor& columns) = 0;

  /// By row and block of 256 columns: the sum of exp((logit - values) * scale) over the columns
  /// that count, in 16 lanes; 0 where the block's maximum is infinite. `values` as block_maxima has
  /// them. logits [R, V] f32, values, weight sums [R, blocks] f32.
  virtual void block_weight_sums(const Tensor& logits, const Tensor& values,
                                 const WeightSumQuery& query, const Tensor& weight_sums) = 0;

  /// out[i] = block blocks[i] of 256 columns of row rows[i], -infinity where the last block has no
  /// column. x [M, V] f32, rows, blocks [N] i32, out [N, 256] f32 contiguous.
  virtual void gather_blocks(const Tensor& x, const Tensor& rows, const Tensor& blocks,
                             const Tensor& out) = 0;

  /// out[i] = x[rows[i], columns[i]], and the reverse. x [M, H] f32, rows, columns [N] i32, out,
  /// values [N] f32. No element is put twice.
  virtual void get_elements(const Tensor& x, const Tensor& rows, const Tensor& columns,
                            const Tensor& out) = 0;
  virtual void put_elements(const Tensor& values, const Tensor& rows, const Tensor& columns,
                            const Tensor& x) = 0;
};

}  // namespace weft
