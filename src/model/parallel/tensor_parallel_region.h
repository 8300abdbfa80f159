// The edges of a sub-layer: where the partial results of ranks become whole again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "comm/group.h"
#include "ops/matrix.h"
#include "ops/views.h"

namespace weft {

class Ops;

/// The tree of one row-parallel product (o or down) and which of its nodes each rank reduces to.
struct ProductTree {
  std::vector<std::vector<TreeNode>> nodes_of;  ///< by rank, ascending
  std::vector<TreeNode> nodes;                  ///< of all ranks, ascending

  /// The tree of `segments` when `ranks` ranks own consecutive segments (see Segments::owned).
  static ProductTree of(const Segments& segments, int ranks);
};

/// How tree nodes travel. Both ways give the same bits.
enum class Transport {
  automatic,   ///< all_gather for small products, all_to_all for large ones
  all_gather,  ///< every rank gets all nodes and finishes the tree: one message round
  all_to_all,  ///< every rank finishes the tree for a slice of the rows: fewest bytes
};

/// Whether a product of `rows` x `columns` f32 travels whole, to every rank (else by slices).
bool region_gathers(Transport transport, std::int64_t rows, std::int64_t columns);

/// Edges of the sub-layers that a group of ranks computes together.
class TensorParallelRegion {
 public:
  virtual ~TensorParallelRegion() = default;

  /// Ends a row-parallel product: residual [M, N] f32 += root of the tree (+ bias [N] f32 where
  /// defined). `parts` [own nodes, M, N] f32 are this rank's nodes of `tree`. The residual ends
  /// equal on all ranks, and so does the norm of it that `next` asks for.
  virtual void reduce(const ProductTree& tree, const Tensor& parts, const Tensor& bias,
                      const Tensor& residual, const NextNorm& next) = 0;

  /// Ends a lookup in a table whose rows are spread over the ranks: row m of x [M, H] f32 becomes
  /// row order[m] of the ranks' `owned` [rows_of[rank], H] f32, one rank's rows behind the other's.
  /// Rows that several ranks have looked up are as often among them.
  virtual void gather_embeddings(const Tensor& owned, std::span<const std::int64_t> rows_of,
                                 const Tensor& order, const Tensor& x) = 0;
};

/// What a region must have room for: products of up to max_rows rows of `columns` columns.
struct RegionShape {
  std::int64_t max_rows = 0;
  std::int64_t columns = 0;
  std::int64_t own_nodes = 0;          ///< most nodes that this rank has of one product
  std::int64_t all_nodes = 0;          ///< most nodes that all ranks have of one product
  std::int64_t device_token_rows = 0;  ///< most rows of a table that every rank looks up
  int ranks = 1;
  Transport transport = Transport::automatic;
};

/// Bytes of the communication buffers of a region; what `make_region` allocates.
Bytes region_bytes(const RegionShape& shape);

/// Where what travels in a group is to lie: the group's memory for messages, or the operators'.
Memory& message_memory(Group& group, Ops& ops);

/// The region of `group`: nothing travels in a group of one. `ops` and `group` must outlive it.
std::unique_ptr<TensorParallelRegion> make_region(const RegionShape& shape, Ops& ops, Group& group);

/// What makes a rank's region: `make_region`, or a test's own.
using RegionFactory = std::function<std::unique_ptr<TensorParallelRegion>(const RegionShape& shape,
                                                                          Ops& ops, Group& group)>;

}  // namespace weft
