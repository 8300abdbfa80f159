#include "model/files/shard_plan.h"

#include <algorithm>

#include "base/error.h"
#include "layout/experts.h"

namespace weft {
namespace {

constexpr int kPartCap = 64;

void check_parts(const char* axis, int parts, std::int64_t cap) {
  if (parts < 1 || parts > cap) {
    fail_user("{} = {} parts of the shard set: must be from 1 to {}", axis, parts, cap);
  }
}

}  // namespace

std::string shard_name(ShardPlace place) {
  const std::string ep = place.ep > 0 ? fmt::format("-ep{:02}", place.ep) : "";
  return fmt::format("shard-pp{:02}-tp{:02}{}.h5", place.pp, place.tp, ep);
}

std::vector<std::int64_t> Piece::shape(const TensorSpec& spec) const {
  return spec.shape.size() == 1 ? std::vector{rows.size()}
                                : std::vector{rows.size(), columns.size()};
}

std::vector<std::int64_t> Piece::offset(const TensorSpec& spec) const {
  return spec.shape.size() == 1 ? std::vector{rows.begin} : std::vector{rows.begin, columns.begin};
}

ShardPlan::ShardPlan(const ModelConfig& config, const SegmentCaps& caps, ShardGrid grid)
    : config_(config),
      grid_(grid),
      segments_(segments_of(config, caps)),
      tensors_(tensors_of(config)) {
  check_parts("tp", grid.tp, kPartCap);
  check_parts("pp", grid.pp, std::min<std::int64_t>(config.layers, kPartCap));
  if (!config.has_experts() && grid.ep != 1) {
    fail_user("ep = {} parts of the shard set: the model has no experts", grid.ep);
  }
  check_parts("ep", grid.ep, kPartCap);
}

std::vector<ShardPlace> ShardPlan::places() const {
  std::vector<ShardPlace> places;
  for (int pp = 0; pp < grid_.pp; ++pp) {
    for (int ep = 0; ep < grid_.ep; ++ep) {
      for (int tp = 0; tp < grid_.tp; ++tp) {
        if (!pieces_at({pp, tp, ep}).empty()) places.push_back({pp, tp, ep});
      }
    }
  }
  return places;
}

std::vector<Piece> ShardPlan::pieces_at(ShardPlace place) const {
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (layer_part(tensors_[i]) != place.pp) continue;
    if (tensors_[i].experts > 0) {
      add_expert_pieces(pieces, i, place.ep * grid_.tp + place.tp);
    } else if (place.ep == 0) {
      add_pieces(pieces, i, place.tp);
    }
  }
  return pieces;
}

int ShardPlan::layer_part(const TensorSpec& tensor) const {
  const std::int64_t layer = std::clamp<std::int64_t>(tensor.layer, 0, config_.layers - 1);
  // Part p holds the layers floor(p*L/pp) … floor((p+1)*L/pp)-1.
  int part = 0;
  while ((part + 1) * config_.layers / grid_.pp <= layer) ++part;
  return part;
}

void ShardPlan::add_pieces(std::vector<Piece>& pieces, std::size_t index, int tp) const {
  const TensorSpec& tensor = tensors_[index];
  const Range all_rows{0, tensor.rows()};
  const Range all_columns{0, tensor.columns()};
  if (tensor.cut_by_columns()) {
    const Segments& cut = column_segments(tensor, segments_);
    const Range owned = cut.owned(tp, grid_.tp);
    for (auto segment = static_cast<int>(owned.begin); segment < owned.end; ++segment) {
      pieces.push_back({index, segment, all_rows, cut.columns_of(segment),
                        fmt::format("{}#seg{:02}", tensor.name, segment)});
    }
  } else if (tensor.axis == Axis::whole) {
    if (tp == 0) pieces.push_back({index, -1, all_rows, all_columns, tensor.name});
  } else {
    const Range rows = stored_rows(tensor, config_, segments_, tp, grid_.tp);
    if (!rows.empty()) pieces.push_back({index, -1, rows, all_columns, tensor.name});
  }
}

void ShardPlan::add_expert_pieces(std::vector<Piece>& pieces, std::size_t index, int part) const {
  const TensorSpec& tensor = tensors_[index];
  const Range experts = experts_of(tensor.experts, part, grid_.tp * grid_.ep);
  if (experts.empty()) return;
  const std::int64_t height = tensor.rows_of_expert();
  const Range rows{experts.begin * height, experts.end * height};
  if (!tensor.cut_by_columns()) {
    pieces.push_back({index, -1, rows, {0, tensor.columns()}, tensor.name});
    return;
  }
  const Segments& cut = column_segments(tensor, segments_);
  for (int segment = 0; segment < cut.count(); ++segment) {
    pieces.push_back({index, segment, rows, cut.columns_of(segment),
                      fmt::format("{}#seg{:02}", tensor.name, segment)});
  }
}

}  // namespace weft
