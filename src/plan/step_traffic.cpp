#include "plan/step_traffic.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "base/digest.h"
#include "base/error.h"
#include "engine/sampled_token.h"
#include "model/parallel/expert_dispatcher.h"
#include "model/tensors.h"
#include "ops/rank_merge.h"
#include "ops/row_sampler.h"

namespace weft {
namespace {

Bytes bytes_of(std::int64_t rows, std::int64_t columns, Bytes element) {
  return static_cast<Bytes>(rows * columns) * element;
}

/// The part of `count` rows that rank `rank` of `ranks` finishes.
std::int64_t slice_of(std::int64_t count, int rank, int ranks) {
  return (std::int64_t{rank} + 1) * count / ranks - std::int64_t{rank} * count / ranks;
}

std::int64_t sum_of(std::span<const std::int64_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

std::int64_t nodes_of(const ProductTree& tree, int rank) {
  return static_cast<std::int64_t>(tree.nodes_of[static_cast<std::size_t>(rank)].size());
}

/// Adds up one rank's step, edge by edge.
class StepSum {
 public:
  StepSum(const Partition& part, const EngineShape& shape, int sp_rank, const StepRows& step)
      : part_(part), shape_(shape), sp_rank_(sp_rank), step_(step) {}

  void forward() {
    const bool shares = sum_of(step_.shared) > 0;
    if (step_.rows == 0 && !shares && part_.moe.coordinates.domains() == 1) return;
    const Stage& stage = part_.stage;
    if (part_.config.has_experts()) announce_rows();
    if (stage.first()) {
      gather_embeddings();
    } else {
      traffic_.receive(Primitive::pp, residual_bytes(step_.rows));
    }
    add(stage.attention_layers().size(), [&] {
      if (shares) exchange_keys();
      leave(part_.o_tree);
    });
    const std::int64_t sparse = sparse_layers(part_);
    add(stage.ffn_layers().size() - sparse, [&] { leave(part_.down_tree); });
    const auto layers = static_cast<std::int64_t>(step_.routes.size());
    require(layers == (step_.layers_alike ? std::min<std::int64_t>(layers, 1) : sparse),
            "routes of {} layers for {}", layers, sparse);
    for (const RouteCounts& routes : step_.routes) {
      add(step_.layers_alike ? sparse : 1, [&] {
        dispatcher_rows(routes);
        if (part_.moe.shared()) leave(part_.moe.shared_tree);
      });
    }
    if (!stage.last()) traffic_.send(Primitive::pp, residual_bytes(step_.rows));
  }

  /// The choice of a rank's own tokens, some rows at a time.
  void choose(bool digest) {
    const std::int64_t samples = step_.samples[static_cast<std::size_t>(sp_rank_)];
    std::int64_t rows = 0;
    for (std::int64_t first = 0; first < samples; first += rows) {
      rows = std::min(samples - first, shape_.step.logit_rows);
      if (digest) gather_digests(rows);
      gather_equal(Primitive::tp, part_.rank, part_.ranks,
                   bytes_of(rows, 1, sizeof(RankCandidate)));
    }
  }

  /// Every rank learns all tokens: first the sp ranks of the last stage, then the other stages.
  void record() {
    const std::int64_t samples = sum_of(step_.samples);
    if (samples == 0) return;
    std::string choice;
    SampledToken().append_to(choice);
    const Bytes all = bytes_of(samples, 1, choice.size());
    const int others = part_.stage.count - 1;
    if (!part_.stage.last()) {
      traffic_.receive(Primitive::pp, sizeof(std::uint64_t));
      traffic_.receive(Primitive::pp, all);
      return;
    }
    if (shape_.sp > 1) {
      gather_equal(Primitive::sp, sp_rank_, shape_.sp, sizeof(std::uint64_t));
      std::vector<Bytes> counts;
      for (const std::int64_t own : step_.samples) {
        counts.push_back(bytes_of(own, 1, choice.size()));
      }
      traffic_.all_gather(Primitive::sp, sp_rank_, counts);
    }
    for (int stage = 0; stage < others; ++stage) {
      traffic_.send(Primitive::pp, sizeof(std::uint64_t));
      traffic_.send(Primitive::pp, all);
    }
  }

  [[nodiscard]] const Traffic& traffic() const { return traffic_; }

 private:
  [[nodiscard]] Bytes residual_bytes(std::int64_t rows) const {
    return bytes_of(rows, part_.config.hidden, sizeof(float));
  }

  /// What `layer` adds, for so many layers.
  template <typename Layer>
  void add(std::int64_t layers, const Layer& layer) {
    if (layers == 0) return;
    const Traffic before = std::exchange(traffic_, {});
    layer();
    traffic_ *= layers;
    traffic_ += before;
  }

  void gather_equal(Primitive axis, int rank, int ranks, Bytes bytes) {
    traffic_.all_gather(axis, rank, std::vector<Bytes>(static_cast<std::size_t>(ranks), bytes));
  }

  void gather_embeddings() {
    std::vector<Bytes> counts;
    for (const std::int64_t rows : step_.looked_up) counts.push_back(residual_bytes(rows));
    traffic_.all_gather(Primitive::tp, part_.rank, counts);
  }

  void exchange_keys() {
    const std::int64_t columns = 2 * part_.heads.kv_heads * part_.heads.head_dim;
    std::vector<Bytes> counts;
    for (const std::int64_t rows : step_.shared) {
      counts.push_back(bytes_of(rows, columns, size_of(part_.dtype)));
    }
    traffic_.all_gather(Primitive::sp, sp_rank_, counts);
  }

  /// The end of a product whose tree is spread over the tp ranks.
  void leave(const ProductTree& tree) {
    std::vector<Bytes> send;
    std::vector<Bytes> receive;
    std::vector<Bytes> whole;
    std::vector<Bytes> slices;
    for (int rank = 0; rank < part_.ranks; ++rank) {
      const Bytes slice = residual_bytes(slice_of(step_.rows, rank, part_.ranks));
      const Bytes own = residual_bytes(slice_of(step_.rows, part_.rank, part_.ranks));
      slices.push_back(slice);
      send.push_back(static_cast<Bytes>(nodes_of(tree, part_.rank)) * slice);
      receive.push_back(static_cast<Bytes>(nodes_of(tree, rank)) * own);
      whole.push_back(static_cast<Bytes>(nodes_of(tree, rank)) * residual_bytes(step_.rows));
    }
    if (region_gathers(shape_.transport, step_.rows, part_.config.hidden)) {
      traffic_.all_gather(Primitive::tp, part_.rank, whole);
      return;
    }
    traffic_.all_to_all(Primitive::tp, part_.rank, send, receive);
    traffic_.all_gather(Primitive::tp, part_.rank, slices);
  }

  /// Among the ranks of the domains at this rank's place in its own: `element` bytes a row.
  void gather_of_domains(Bytes element) {
    std::vector<Bytes> counts;
    for (const std::int64_t rows : step_.domains) counts.push_back(bytes_of(rows, 1, element));
    traffic_.all_gather(Primitive::ep, part_.moe.coordinates.domain(), counts);
  }

  void announce_rows() {
    const ExpertCoordinates& coordinates = part_.moe.coordinates;
    gather_equal(Primitive::ep, coordinates.domain(), coordinates.domains(), sizeof(std::int64_t));
  }

  void dispatcher_rows(const RouteCounts& routes) {
    const MoePartition& moe = part_.moe;
    const auto row = bytes_of(part_.config.hidden, 1, size_of(part_.dtype));
    gather_of_domains(static_cast<Bytes>(moe.config.per_token) * sizeof(std::int32_t));
    const DispatcherShape shape{shape_.step.max_rows, part_.config.hidden, part_.dtype,
                                shape_.transport};
    if (dispatcher_gathers(moe, shape, sum_of(step_.domains))) {
      gather_of_domains(row);
      gather_outputs(routes);
    } else {
      if (moe.coordinates.domains() > 1) send_rows(routes, row);
      send_outputs(routes);
      gather_sums();
    }
  }

  void gather_outputs(const RouteCounts& routes) {
    const ExpertCoordinates& coordinates = part_.moe.coordinates;
    std::vector<Bytes> counts;
    for (int rank = 0; rank < coordinates.ranks; ++rank) {
      counts.push_back(outputs_of(rank, routes.pairs_of(rank / coordinates.sharers())));
    }
    traffic_.all_gather(Primitive::ep, coordinates.rank, counts);
  }

  void send_rows(const RouteCounts& routes, Bytes row) {
    const ExpertCoordinates& coordinates = part_.moe.coordinates;
    std::vector<Bytes> send;
    std::vector<Bytes> receive;
    for (int rank = 0; rank < coordinates.ranks; ++rank) {
      const bool other = rank / coordinates.tp != coordinates.domain();
      send.push_back(
          other ? bytes_of(at(routes.rows, coordinates.rank, rank / coordinates.sharers()), 1, row)
                : 0);
      receive.push_back(other ? bytes_of(at(routes.rows, rank, coordinates.part()), 1, row) : 0);
    }
    traffic_.all_to_all(Primitive::ep, coordinates.rank, send, receive);
  }

  void send_outputs(const RouteCounts& routes) {
    const ExpertCoordinates& coordinates = part_.moe.coordinates;
    std::vector<Bytes> send;
    std::vector<Bytes> receive;
    for (int rank = 0; rank < coordinates.ranks; ++rank) {
      send.push_back(outputs_of(coordinates.rank, at(routes.pairs, rank, coordinates.part())));
      receive.push_back(
          outputs_of(rank, at(routes.pairs, coordinates.rank, rank / coordinates.sharers())));
    }
    traffic_.all_to_all(Primitive::ep, coordinates.rank, send, receive);
  }

  /// The tensor-parallel ranks have added up a slice of their rows each.
  void gather_sums() {
    const ExpertCoordinates& coordinates = part_.moe.coordinates;
    std::vector<Bytes> slices;
    for (int rank = 0; rank < coordinates.tp; ++rank) {
      slices.push_back(residual_bytes(slice_of(step_.rows, rank, coordinates.tp)));
    }
    traffic_.all_gather(Primitive::tp, part_.rank, slices);
  }

  /// Nodes that rank `rank` of the expert group has of that many pairs.
  [[nodiscard]] Bytes outputs_of(int rank, std::int64_t pairs) const {
    return static_cast<Bytes>(nodes_of(part_.moe.tree, rank % part_.moe.coordinates.sharers())) *
           residual_bytes(pairs);
  }

  static std::int64_t at(const std::vector<std::vector<std::int64_t>>& table, int slice, int part) {
    return table[static_cast<std::size_t>(slice)][static_cast<std::size_t>(part)];
  }

  /// Of all blocks of the vocabulary, of each row.
  void gather_digests(std::int64_t rows) {
    std::vector<Bytes> counts;
    for (const Range& columns : vocabulary_ranges(part_)) {
      const std::int64_t blocks =
          ceil_div(columns.end, kVocabBlock) - ceil_div(columns.begin, kVocabBlock);
      counts.push_back(bytes_of(rows, blocks, sizeof(Digest)));
    }
    traffic_.all_gather(Primitive::tp, part_.rank, counts);
  }

  const Partition& part_;
  const EngineShape& shape_;
  int sp_rank_;
  const StepRows& step_;
  Traffic traffic_;
};

}  // namespace

std::vector<std::int64_t> lookups_of(const Partition& part, std::span<const TokenId> tokens) {
  std::vector<std::int64_t> counts;
  for (const Range& range : vocabulary_ranges(part)) {
    const auto looked_up = [&](TokenId token) {
      return token < 0 ? !range.empty() : range.contains(token);
    };
    counts.push_back(std::count_if(tokens.begin(), tokens.end(), looked_up));
  }
  return counts;
}

std::int64_t sparse_layers(const Partition& part) {
  const Range ffns = part.stage.ffn_layers();
  std::int64_t count = 0;
  for (std::int64_t layer = ffns.begin; layer < ffns.end; ++layer) {
    if (part.config.moe.is_sparse(layer)) ++count;
  }
  return count;
}

Traffic step_traffic(const Partition& part, const EngineShape& shape, int sp_rank,
                     const StepRows& step, bool digest) {
  StepSum sum(part, shape, sp_rank, step);
  sum.forward();
  if (part.stage.last()) sum.choose(digest);
  sum.record();
  return sum.traffic();
}

}  // namespace weft
