#include "model/forward/decoder.h"

#include <cmath>

#include "base/error.h"
#include "ops/ops.h"

namespace weft {

Decoder::Decoder(const Partition& part, const Weights& weights, const KvCache& cache,
                 const Workspace& workspace, const DeviceTokens& device_tokens, DecoderEdges edges,
                 Traffic& traffic, Ops& ops, Tracer& tracer)
    : part_(part),
      weights_(weights),
      cache_(cache),
      space_(workspace),
      kept_(device_tokens),
      edges_(edges),
      ops_(ops),
      tracer_(tracer),
      vocabulary_of_(vocabulary_ranges(part)),
      frequencies_(ops.memory(), decoder_bytes(part)),
      attention_scale_(1.0F / std::sqrt(static_cast<float>(part.config.head_dim))),
      recorded_(workspace.shape(), edges.ffns, ops, traffic) {
  const Rotary rotary = rotary_of(part.config);
  rotary_scale_ = rotary.scale;
  ops_.upload(std::as_bytes(std::span(rotary.inverse_frequencies)),
              frequencies_.tensor(DType::f32, {part.config.head_dim / 2}));
}

const LayerWeights& Decoder::weights_of(std::int64_t layer) const {
  return weights_.layers[static_cast<std::size_t>(layer - part_.stage.layers().begin)];
}

void Decoder::embed(const TableLookup& lookup, const StepIndices& indices) {
  const std::int64_t own = lookup.rows_of[static_cast<std::size_t>(part_.rank)];
  const Tensor embedded = space_.embedded(own);
  if (lookup.device_tokens > 0) kept_.put_into(lookup, indices);
  ops_.embed(weights_.embedding, indices.table_rows.slice(0, own), embedded);
  edges_.region.gather_embeddings(embedded, lookup.rows_of, indices.order,
                                  space_.residual(indices.order.rows()));
}

NextNorm Decoder::norm_before(std::int64_t sublayer, std::int64_t m) const {
  if (sublayer >= part_.stage.sublayers.end) return {};
  const LayerWeights& layer = weights_of(sublayer / 2);
  const Vector& weight = sublayer % 2 == 0 ? layer.attention_norm : layer.ffn_norm;
  return {weight.tensor(), part_.config.norm_eps, space_.normed(m)};
}

void Decoder::attention(std::int64_t index, const BatchView& batch) {
  const Tracer::Scope scope(tracer_, Phase::attention);
  const LayerWeights& layer = weights_of(index);
  const std::int64_t m = batch.positions.rows();
  const float eps = part_.config.norm_eps;
  const Tensor qkv = space_.wide(m, part_.qkv_columns());
  const Tensor attended = space_.inner(m, part_.query_columns());
  const Tensor parts = space_.parts(static_cast<std::int64_t>(layer.o.shape.cut.nodes.size()), m);
  const QkvTail tail{layer.qkv_bias.tensor(), layer.q_norm.tensor(), layer.k_norm.tensor(), eps,
                     space_.cosines(m),       space_.sines(m)};
  const KvLayer cache = cache_.layer(index - part_.stage.attention_layers().begin);

  ops_.linear(space_.normed(m), layer.qkv, qkv);
  ops_.finish_qkv(qkv, part_.heads, tail, batch, cache, space_.queries(m));
  edges_.kv_exchange.exchange(cache);
  ops_.attention(space_.queries(m), part_.heads, batch, cache, attention_scale_,
                 part_.config.windows[static_cast<std::size_t>(index)], attended);
  ops_.linear(attended, layer.o, parts);
  edges_.region.reduce(part_.o_tree, parts, layer.o_bias.tensor(), space_.residual(m),
                       norm_before(2 * index + 1, m));
}

void Decoder::ffn(std::int64_t index, std::int64_t m) {
  const Tracer::Scope scope(tracer_, Phase::ffn);
  edges_.ffns.layer(index - part_.stage.layers().begin)
      .forward(space_.normed(m), space_.residual(m), norm_before(2 * index + 2, m));
}

void Decoder::forward(const Batch& batch) {
  rows_ = batch.rows();
  // Without rows of its own an sp rank still takes in those that are shared, and serves the experts
  // that it holds for others.
  if (rows_ == 0 && batch.shared.slots.empty() && part_.moe.coordinates.domains() == 1) return;
  require(rows_ <= space_.shape().max_rows && batch.sequences() <= space_.shape().max_sequences,
          "a batch of {} rows of {} sequences exceeds the workspace", rows_, batch.sequences());
  const Stage& stage = part_.stage;
  const std::optional<StepSize> recorded = recorded_.size_of(batch);
  const IndexShape shape =
      recorded ? IndexShape{recorded->rows, recorded->rows, recorded->table_width, part_.ranks}
               : IndexShape{rows_, batch.sequences(), batch.table_width, part_.ranks};
  const TableLookup lookup =
      stage.first() ? TableLookup::of(batch.tokens, vocabulary_of_, part_.rank) : TableLookup{};
  const StepIndices indices = StepIndices::in(space_.indices(index_count(shape)), shape);
  const std::vector<std::int32_t> arrays = index_arrays(batch, lookup, shape);
  ops_.upload(std::as_bytes(std::span(arrays)),
              space_.indices(static_cast<std::int64_t>(arrays.size())));
  edges_.kv_exchange.begin(batch.shared);
  edges_.ffns.begin(shape.rows, indices.batch.slots);
  if (stage.first()) {
    embed(lookup, indices);
  } else {
    edges_.pipe.receive(space_.residual(rows_));
  }
  if (recorded) {
    recorded_.run(*recorded, [&] { compute(indices.batch); });
  } else {
    compute(indices.batch);
  }
  if (!stage.last()) edges_.pipe.send(space_.residual(rows_));
}

void Decoder::compute(const BatchView& batch) {
  const std::int64_t m = batch.positions.rows();
  ops_.rotary_table(batch.positions, frequencies_.tensor(DType::f32, {part_.config.head_dim / 2}),
                    rotary_scale_, space_.cosines(m), space_.sines(m));
  const Range sublayers = part_.stage.sublayers;
  const NextNorm first = norm_before(sublayers.begin, m);
  ops_.rms_norm(space_.residual(m), first.weight, first.eps, first.out);
  for (std::int64_t i = sublayers.begin; i < sublayers.end; ++i) {
    if (i % 2 == 0) {
      attention(i / 2, batch);
    } else {
      ffn(i / 2, m);
    }
  }
}

Tensor Decoder::logits(std::span<const std::int32_t> rows) {
  const auto r = static_cast<std::int64_t>(rows.size());
  require(r <= space_.shape().logit_rows, "{} rows of logits asked for, room for {}", r,
          space_.shape().logit_rows);
  ops_.upload(std::as_bytes(rows), space_.logit_rows(r));
  ops_.gather_rows(space_.residual(rows_), space_.logit_rows(r), space_.last_rows(r));
  ops_.rms_norm(space_.last_rows(r), weights_.final_norm.tensor(), part_.config.norm_eps,
                space_.last_normed(r));
  const Tensor logits = space_.logits(r);
  ops_.linear(space_.last_normed(r), weights_.output_head(), logits);
  return {logits.data(), DType::f32, {r, part_.shard.vocab.size()}};
}

Bytes decoder_bytes(const Partition& part) {
  return static_cast<Bytes>(part.config.head_dim / 2) * sizeof(float);
}

}  // namespace weft
