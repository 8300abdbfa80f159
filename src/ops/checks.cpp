#include "ops/checks.h"

#include <string_view>

namespace weft::checks {
namespace {

/// A tensor [rows, columns] (further dimensions folded into the columns) of the given type.
void matrix(std::string_view what, const Tensor& t, std::int64_t rows, std::int64_t columns,
            DType dtype) {
  if (rows == 0 && t.rows() == 0) return;
  require(t.rows() == rows && t.row_elements() == columns, "{}: [{}, {}] where [{}, {}] is due",
          what, t.rows(), t.row_elements(), rows, columns);
  if (t.elements() == 0) return;
  require(t.dtype() == dtype, "{}: {} where {} is due", what, name(t.dtype()), name(dtype));
  require(t.defined(), "{}: no memory", what);
}

/// A contiguous tensor of `elements` elements.
void vector(std::string_view what, const Tensor& t, std::int64_t elements, DType dtype) {
  require(t.elements() == elements && t.contiguous(), "{}: {} elements in a row where {} are due",
          what, t.elements(), elements);
  if (elements == 0) return;
  require(t.dtype() == dtype, "{}: {} where {} is due", what, name(t.dtype()), name(dtype));
  require(t.defined(), "{}: no memory", what);
}

void weight_type(std::string_view what, DType dtype) {
  require(dtype == DType::bf16 || dtype == DType::f32, "{}: {} where bf16 or f32 is due", what,
          name(dtype));
}

void packed(const MatrixShape& shape, std::int64_t row0, std::int64_t col0, const Tensor& from) {
  weight_type("pack", shape.dtype);
  require(from.dtype() == shape.dtype, "pack: {} into a {} matrix", name(from.dtype()),
          name(shape.dtype));
  require(row0 >= 0 && row0 + from.rows() <= shape.rows && col0 >= 0 &&
              col0 + from.row_elements() <= shape.columns(),
          "pack: [{}, {}] at ({}, {}) of [{}, {}]", from.rows(), from.row_elements(), row0, col0,
          shape.rows, shape.columns());
}

void whole_tree(std::string_view what, std::span<const TreeNode> nodes) {
  TreeStack stack;
  for (const TreeNode& node : nodes) stack.push(node);
  require(stack.size() == 1 && stack.nodes().front().index == 0,
          "{}: the nodes do not make up a whole tree", what);
}

void cache_of(std::string_view what, const KvLayer& cache, const HeadMap& heads, DType dtype) {
  kv_block(cache.heads, cache.head_dim, cache.block_tokens, cache.dtype);
  require(cache.heads == heads.kv_heads && cache.head_dim == heads.head_dim,
          "{}: a cache of {} heads of {} for {} heads of {}", what, cache.heads, cache.head_dim,
          heads.kv_heads, heads.head_dim);
  require(cache.dtype == dtype, "{}: a {} cache for {} queries", what, name(cache.dtype),
          name(dtype));
  const auto needed = static_cast<Bytes>(2 * cache.heads * cache.head_dim * cache.block_tokens) *
                      size_of(cache.dtype);
  require(cache.block_bytes % 64 == 0 && cache.block_bytes >= needed,
          "{}: pages of {} bytes, where {} are needed and a multiple of 64", what,
          cache.block_bytes, needed);
}

}  // namespace

void copy(std::span<const std::byte> host, const Tensor& device) {
  require(device.contiguous() && device.bytes() == host.size(),
          "copy: {} bytes on the host, {} in the tensor", host.size(), device.bytes());
}

void copy(const Tensor& from, const Tensor& to) {
  require(from.contiguous() && to.contiguous() && from.dtype() == to.dtype() &&
              from.rows() == to.rows() && from.row_elements() == to.row_elements(),
          "copy: [{}, {}] to [{}, {}]", from.rows(), from.row_elements(), to.rows(),
          to.row_elements());
}

void clear(const Tensor& to) {
  require(to.contiguous(), "clear: a strided tensor of {} rows", to.rows());
}

void pack(const Matrix& to, std::int64_t row0, std::int64_t col0, const Tensor& from) {
  packed(to.shape, row0, col0, from);
}

void pack(const MatrixStack& to, std::int64_t index, std::int64_t row0, std::int64_t col0,
          const Tensor& from) {
  require(index >= 0 && index < to.count, "pack: matrix {} of {}", index, to.count);
  packed(to.shape, row0, col0, from);
}

void kv_block(std::int64_t heads, std::int64_t head_dim, std::int64_t block_tokens, DType dtype) {
  weight_type("kv page", dtype);
  require(heads >= 0 && head_dim > 0 && head_dim % 2 == 0, "kv page: {} heads of {}", heads,
          head_dim);
  require(block_tokens > 0 && block_tokens % 16 == 0, "kv page: {} tokens, not a multiple of 16",
          block_tokens);
}

void embed(const Matrix& table, const Tensor& rows, const Tensor& out) {
  weight_type("embed", table.shape.dtype);
  vector("embed rows", rows, out.rows(), DType::i32);
  matrix("embed out", out, out.rows(), table.shape.columns(), DType::f32);
}

void rotary_table(const Tensor& positions, const Tensor& inverse_frequencies, const Tensor& cosines,
                  const Tensor& sines) {
  const std::int64_t rows = positions.elements();
  const std::int64_t half = inverse_frequencies.elements();
  vector("rotary positions", positions, rows, DType::i32);
  vector("rotary frequencies", inverse_frequencies, half, DType::f32);
  matrix("rotary cosines", cosines, rows, half, DType::f32);
  matrix("rotary sines", sines, rows, half, DType::f32);
}

void rms_norm(const Tensor& x, const Tensor& weight, const Tensor& out) {
  weight_type("rms_norm out", out.dtype());
  matrix("rms_norm x", x, x.rows(), weight.elements(), DType::f32);
  vector("rms_norm weight", weight, x.row_elements(), DType::f32);
  matrix("rms_norm out", out, x.rows(), x.row_elements(), out.dtype());
}

void linear(const Tensor& x, const Matrix& w, const Tensor& out) {
  weight_type("linear", w.shape.dtype);
  matrix("linear x", x, x.rows(), w.shape.columns(), w.shape.dtype);
  const auto nodes = static_cast<std::int64_t>(w.shape.cut.nodes.size());
  vector("linear out", out, nodes * x.rows() * w.shape.rows, DType::f32);
}

void finish_qkv(const Tensor& qkv, const HeadMap& heads, const QkvTail& tail,
                const BatchView& batch, const KvLayer& cache, const Tensor& q) {
  const std::int64_t rows = qkv.rows();
  const std::int64_t features = (heads.query_heads + 2 * heads.kv_heads) * heads.head_dim;
  matrix("finish_qkv qkv", qkv, rows, features, DType::f32);
  weight_type("finish_qkv q", q.dtype());
  matrix("finish_qkv q", q, rows, heads.query_heads * heads.head_dim, q.dtype());
  if (tail.bias.defined()) vector("finish_qkv bias", tail.bias, features, DType::f32);
  if (tail.q_norm.defined()) vector("finish_qkv q_norm", tail.q_norm, heads.head_dim, DType::f32);
  if (tail.k_norm.defined()) vector("finish_qkv k_norm", tail.k_norm, heads.head_dim, DType::f32);
  require(tail.cosines.defined() == tail.sines.defined(), "finish_qkv: cosines without sines");
  if (tail.cosines.defined()) {
    matrix("finish_qkv cosines", tail.cosines, rows, heads.head_dim / 2, DType::f32);
    matrix("finish_qkv sines", tail.sines, rows, heads.head_dim / 2, DType::f32);
  }
  vector("finish_qkv slots", batch.slots, rows, DType::i32);
  cache_of("finish_qkv", cache, heads, q.dtype());
}

void kv_rows(std::string_view what, const KvLayer& cache, const Tensor& slots, const Tensor& rows) {
  kv_block(cache.heads, cache.head_dim, cache.block_tokens, cache.dtype);
  vector(what, slots, slots.elements(), DType::i32);
  matrix(what, rows, slots.elements(), 2 * cache.heads * cache.head_dim, cache.dtype);
}

void attention(const Tensor& q, const HeadMap& heads, const BatchView& batch, const KvLayer& cache,
               std::int64_t window, const Tensor& out) {
  const std::int64_t rows = q.rows();
  weight_type("attention q", q.dtype());
  matrix("attention q", q, rows, heads.query_heads * heads.head_dim, q.dtype());
  matrix("attention out", out, rows, heads.query_heads * heads.head_dim, q.dtype());
  require(static_cast<std::int64_t>(heads.kv_head_of.size()) == heads.query_heads,
          "attention: {} entries in the head map of {} heads", heads.kv_head_of.size(),
          heads.query_heads);
  for (const std::int32_t head : heads.kv_head_of) {
    require(head >= 0 && head < heads.kv_heads, "attention: KV head {} of {}", head,
            heads.kv_heads);
  }
  require(window >= 0, "attention: a window of {} keys", window);
  vector("attention positions", batch.positions, rows, DType::i32);
  require(batch.query_begin.elements() >= 1, "attention: query_begin is empty");
  vector("attention query_begin", batch.query_begin, batch.query_begin.elements(), DType::i32);
  matrix("attention page_table", batch.block_table, batch.query_begin.elements() - 1,
         batch.block_table.row_elements(), DType::i32);
  cache_of("attention", cache, heads, q.dtype());
}

void swiglu(const Tensor& gate_up, const Tensor& out) {
  weight_type("swiglu out", out.dtype());
  matrix("swiglu gate_up", gate_up, out.rows(), 2 * out.row_elements(), DType::f32);
  matrix("swiglu out", out, out.rows(), out.row_elements(), out.dtype());
}

void add_tree(std::span<const TreeNode> nodes, std::span<const Tensor> parts, const Tensor& bias,
              const Tensor& residual) {
  require(nodes.size() == parts.size() && !nodes.empty(), "add_tree: {} parts for {} nodes",
          parts.size(), nodes.size());
  whole_tree("add_tree", nodes);
  matrix("add_tree residual", residual, residual.rows(), residual.row_elements(), DType::f32);
  for (const Tensor& part : parts) {
    matrix("add_tree part", part, residual.rows(), residual.row_elements(), DType::f32);
  }
  if (bias.defined()) vector("add_tree bias", bias, residual.row_elements(), DType::f32);
}

void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out) {
  vector("gather_rows rows", rows, out.rows(), DType::i32);
  if (out.elements() == 0) return;
  weight_type("gather_rows", out.dtype());
  matrix("gather_rows x", x, x.rows(), out.row_elements(), out.dtype());
  matrix("gather_rows out", out, out.rows(), x.row_elements(), out.dtype());
}

void route(const Tensor& logits, const Tensor& slots, const Tensor& experts, const Tensor& weights,
           const Tensor& loads) {
  const std::int64_t rows = logits.rows();
  const std::int64_t k = experts.row_elements();
  matrix("route logits", logits, rows, logits.row_elements(), DType::f32);
  vector("route slots", slots, rows, DType::i32);
  vector("route experts", experts, rows * k, DType::i32);
  matrix("route weights", weights, rows, k, DType::f32);
  if (rows == 0) return;
  require(k >= 1 && k <= logits.row_elements(), "route: {} of {} experts", k,
          logits.row_elements());
  vector("route loads", loads, logits.row_elements(), DType::i32);
}

void sort_pairs(const Tensor& experts, const Tensor& ends, const Tensor& rows,
                const Tensor& places) {
  const std::int64_t pairs = experts.elements();
  vector("sort_pairs experts", experts, pairs, DType::i32);
  vector("sort_pairs ends", ends, ends.elements(), DType::i32);
  vector("sort_pairs rows", rows, pairs, DType::i32);
  if (pairs == 0) return;
  require(places.elements() % pairs == 0, "sort_pairs: {} places of {} pairs", places.elements(),
          pairs);
  vector("sort_pairs places", places, places.elements(), DType::i32);
}

std::int64_t expert_linear(const Tensor& x, const Tensor& rows, const Tensor& ends,
                           const MatrixStack& w, const Tensor& out) {
  weight_type("expert_linear", w.shape.dtype);
  vector("expert_linear ends", ends, w.count, DType::i32);
  const std::int64_t pairs = rows.defined() ? rows.elements() : x.rows();
  if (pairs == 0) return 0;
  matrix("expert_linear x", x, x.rows(), w.shape.columns(), w.shape.dtype);
  if (rows.defined()) vector("expert_linear rows", rows, pairs, DType::i32);
  const auto nodes = static_cast<std::int64_t>(w.shape.cut.nodes.size());
  vector("expert_linear out", out, nodes * pairs * w.shape.rows, DType::f32);
  return pairs;
}

std::int64_t pair_ends(std::span<const std::int32_t> ends, std::int64_t pairs) {
  std::int32_t begin = 0;
  for (const std::int32_t end : ends) {
    require(end >= begin, "expert_linear: runs of pairs must ascend");
    begin = end;
  }
  require(begin <= pairs, "expert_linear: runs of {} pairs for {}", begin, pairs);
  return begin;
}

void combine(std::span<const TreeNode> nodes, const Tensor& parts, const Tensor& rows,
             const Tensor& weights, const Tensor& out) {
  whole_tree("combine", nodes);
  const std::int64_t m = out.rows();
  if (m == 0) return;
  const auto count = static_cast<std::int64_t>(nodes.size());
  matrix("combine parts", parts, parts.rows(), out.row_elements(), DType::f32);
  matrix("combine weights", weights, m, weights.row_elements(), DType::f32);
  vector("combine rows", rows, m * weights.row_elements() * count, DType::i32);
  matrix("combine out", out, m, out.row_elements(), DType::f32);
}

void add_gated(const Tensor& gate, const Tensor& x, const Tensor& sum) {
  matrix("add_gated gate", gate, sum.rows(), 1, DType::f32);
  matrix("add_gated x", x, sum.rows(), sum.row_elements(), DType::f32);
  matrix("add_gated sum", sum, sum.rows(), sum.row_elements(), DType::f32);
}

void block_maxima(const Tensor& logits, const Tensor& values, const Tensor& columns) {
  const std::int64_t blocks = ceil_div(logits.row_elements(), 256);
  matrix("block_maxima logits", logits, logits.rows(), logits.row_elements(), DType::f32);
  matrix("block_maxima values", values, logits.rows(), blocks, DType::f32);
  matrix("block_maxima columns", columns, logits.rows(), blocks, DType::i32);
}

void block_weight_sums(const Tensor& logits, const Tensor& values, const WeightSumQuery& query,
                       const Tensor& weight_sums) {
  const std::int64_t blocks = ceil_div(logits.row_elements(), 256);
  matrix("block_masses logits", logits, logits.rows(), logits.row_elements(), DType::f32);
  matrix("block_masses values", values, logits.rows(), blocks, DType::f32);
  matrix("block_masses masses", weight_sums, logits.rows(), blocks, DType::f32);
  vector("block_masses scales", query.scales, logits.rows(), DType::f32);
  vector("block_masses before", query.before, logits.rows(), DType::f32);
  vector("block_masses behind", query.behind, logits.rows(), DType::f32);
  vector("block_masses splits", query.splits, logits.rows(), DType::i32);
}

void gather_blocks(const Tensor& x, const Tensor& rows, const Tensor& blocks, const Tensor& out) {
  matrix("gather_blocks x", x, x.rows(), x.row_elements(), DType::f32);
  vector("gather_blocks rows", rows, out.rows(), DType::i32);
  vector("gather_blocks blocks", blocks, out.rows(), DType::i32);
  vector("gather_blocks out", out, out.rows() * 256, DType::f32);
}

void elements(const Tensor& x, const Tensor& rows, const Tensor& columns, const Tensor& values) {
  matrix("elements x", x, x.rows(), x.row_elements(), DType::f32);
  vector("elements rows", rows, values.rows(), DType::i32);
  vector("elements columns", columns, values.rows(), DType::i32);
  vector("elements values", values, values.rows(), DType::f32);
}

}  // namespace weft::checks
