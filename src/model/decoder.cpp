#include "model/decoder.h"

#include <cmath>

#include "base/error.h"

namespace weft {

Decoder::Decoder(const Partition& part, const Weights& weights, const KvCache& cache,
                 const Workspace& workspace, DecoderEdges edges, Ops& ops, Tracer& tracer)
    : part_(part),
      weights_(weights),
      cache_(cache),
      space_(workspace),
      edges_(edges),
      ops_(ops),
      tracer_(tracer),
      vocabulary_of_(vocabulary_ranges(part)),
      frequencies_(ops.memory(), decoder_bytes(part)),
      attention_scale_(1.0F / std::sqrt(static_cast<float>(part.config.head_dim))) {
  const Rotary rotary = rotary_of(part.config);
  rotary_scale_ = rotary.scale;
  ops_.upload(std::as_bytes(std::span(rotary.inverse_frequencies)),
              frequencies_.tensor(DType::f32, {part.config.head_dim / 2}));
}

const LayerWeights& Decoder::weights_of(std::int64_t layer) const {
  return weights_.layers[static_cast<std::size_t>(layer - part_.stage.layers().begin)];
}

void Decoder::upload(const std::vector<std::int32_t>& from, const Tensor& to) {
  ops_.upload(std::as_bytes(std::span(from)), to);
}

void Decoder::embed(const Batch& batch) {
  std::vector<std::int64_t> rows_of(vocabulary_of_.size(), 0);
  std::vector<std::int32_t> owner(batch.tokens.size());
  std::vector<std::int32_t> own_rows;
  for (std::size_t i = 0; i < batch.tokens.size(); ++i) {
    const TokenId token = batch.tokens[i];
    std::size_t rank = 0;
    while (rank < vocabulary_of_.size() && !vocabulary_of_[rank].contains(token)) ++rank;
    require(rank < vocabulary_of_.size(), "token {} is outside the vocabulary of {}", token,
            part_.config.vocab);
    owner[i] = static_cast<std::int32_t>(rank);
    ++rows_of[rank];
    if (static_cast<int>(rank) == part_.rank) {
      own_rows.push_back(static_cast<std::int32_t>(token - part_.shard.vocab.begin));
    }
  }
  // Where each rank's rows begin in the joined sequence, then each token's row in it.
  std::vector<std::int32_t> next(rows_of.size(), 0);
  for (std::size_t rank = 1; rank < next.size(); ++rank) {
    next[rank] = next[rank - 1] + static_cast<std::int32_t>(rows_of[rank - 1]);
  }
  std::vector<std::int32_t> order;
  for (const std::int32_t rank : owner) order.push_back(next[static_cast<std::size_t>(rank)]++);

  const auto own = static_cast<std::int64_t>(own_rows.size());
  upload(own_rows, space_.table_rows(own));
  upload(order, space_.order(batch.rows()));
  const Tensor embedded = space_.embedded(own);
  ops_.embed(weights_.embedding, space_.table_rows(own), embedded);
  edges_.region.join_rows(embedded, rows_of, space_.order(batch.rows()),
                          space_.residual(batch.rows()));
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
  edges_.region.leave(part_.o_tree, parts, layer.o_bias.tensor(), space_.residual(m),
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
  if (rows_ == 0 && batch.shared.slots.empty() && part_.moe.place.domains() == 1) return;
  require(rows_ <= space_.shape().max_rows && batch.sequences() <= space_.shape().max_sequences,
          "a batch of {} rows of {} sequences exceeds the workspace", rows_, batch.sequences());
  const BatchView view{space_.positions(rows_), space_.slots(rows_),
                       space_.query_begin(batch.sequences()),
                       space_.page_table(batch.sequences(), batch.table_width)};
  upload(batch.positions, view.positions);
  upload(batch.slots, view.slots);
  upload(batch.query_begin, view.query_begin);
  upload(batch.page_table, view.page_table);
  ops_.rotary_table(view.positions, frequencies_.tensor(DType::f32, {part_.config.head_dim / 2}),
                    rotary_scale_, space_.cosines(rows_), space_.sines(rows_));
  edges_.kv_exchange.begin(batch.shared);

  edges_.ffns.begin(rows_);
  const Stage& stage = part_.stage;
  if (stage.first()) {
    embed(batch);
  } else {
    edges_.pipe.receive(space_.residual(rows_));
  }
  const NextNorm first = norm_before(stage.sublayers.begin, rows_);
  ops_.rms_norm(space_.residual(rows_), first.weight, first.eps, first.out);
  for (std::int64_t i = stage.sublayers.begin; i < stage.sublayers.end; ++i) {
    if (i % 2 == 0) {
      attention(i / 2, view);
    } else {
      ffn(i / 2, rows_);
    }
  }
  if (!stage.last()) edges_.pipe.send(space_.residual(rows_));
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
