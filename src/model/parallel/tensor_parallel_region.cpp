#include "model/parallel/tensor_parallel_region.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "ops/ops.h"

namespace weft {
namespace {

constexpr Bytes kFloat = sizeof(float);
/// Products of up to this many bytes travel whole: latency counts, not bandwidth.
constexpr Bytes kGatherLimit = Bytes{64} << 10;

Bytes bytes_of(std::int64_t rows, std::int64_t columns) {
  return static_cast<Bytes>(rows) * static_cast<Bytes>(columns) * kFloat;
}

/// The three pieces of a region's communication buffer.
struct BufferSizes {
  Bytes receive = 0;
  Bytes send = 0;   ///< node slices sorted by destination; those of one node are as they come
  Bytes slice = 0;  ///< this rank's finished rows
};

BufferSizes sizes_of(const RegionShape& shape) {
  if (shape.ranks == 1) return {};
  BufferSizes sizes;
  const std::int64_t joined = shape.max_rows + (shape.ranks - 1) * shape.device_token_rows;
  sizes.receive = bytes_of(joined, shape.columns);  // join_rows
  std::int64_t gathered = shape.max_rows;
  if (shape.transport == Transport::automatic) {
    gathered = std::min(gathered, static_cast<std::int64_t>(kGatherLimit / kFloat) / shape.columns);
  }
  if (shape.transport != Transport::all_to_all) {
    sizes.receive = std::max(sizes.receive, bytes_of(shape.all_nodes * gathered, shape.columns));
  }
  if (shape.transport != Transport::all_gather) {
    const std::int64_t slice = ceil_div(shape.max_rows, shape.ranks);
    sizes.receive = std::max(sizes.receive, bytes_of(shape.all_nodes * slice, shape.columns));
    if (shape.own_nodes > 1) {
      sizes.send = bytes_of(shape.own_nodes * shape.max_rows, shape.columns);
    }
    sizes.slice = bytes_of(slice, shape.columns);
  }
  return sizes;
}

ByteView bytes_in(const Tensor& tensor) { return {tensor.data(), tensor.bytes()}; }

/// A region of one rank: the rank's nodes are the root.
class SingleRankRegion final : public TensorParallelRegion {
 public:
  explicit SingleRankRegion(Ops& ops) : ops_(ops) {}

  void reduce(const ProductTree& tree, const Tensor& parts, const Tensor& bias,
              const Tensor& residual, const NextNorm& next) override {
    const Tensor root(parts.data(), DType::f32, {residual.rows(), residual.row_elements()});
    ops_.add_tree_norm(tree.nodes, std::span(&root, 1), bias, residual, next);
  }

  void gather_embeddings(const Tensor& owned, std::span<const std::int64_t> /*rows_of*/,
                         const Tensor& order, const Tensor& x) override {
    ops_.gather_rows(owned, order, x);
  }

 private:
  Ops& ops_;
};

/// Ranks that each hold part of every product's tree and of every table.
class MultiRankRegion final : public TensorParallelRegion {
 public:
  MultiRankRegion(const RegionShape& shape, Ops& ops, Group& group)
      : shape_(shape), ops_(ops), group_(group) {
    const BufferSizes sizes = sizes_of(shape);
    receive_ = Buffer(message_memory(group, ops), sizes.receive);
    send_ = Buffer(ops.memory(), sizes.send);
    slice_ = Buffer(ops.memory(), sizes.slice);
  }

  void reduce(const ProductTree& tree, const Tensor& parts, const Tensor& bias,
              const Tensor& residual, const NextNorm& next) override {
    if (region_gathers(shape_.transport, residual.rows(), residual.row_elements())) {
      reduce_by_gather(tree, parts, bias, residual, next);
    } else {
      reduce_by_slices(tree, parts, bias, residual, next);
    }
  }

  void gather_embeddings(const Tensor& owned, std::span<const std::int64_t> rows_of,
                         const Tensor& order, const Tensor& x) override {
    std::vector<Bytes> counts;
    for (const std::int64_t rows : rows_of) counts.push_back(bytes_of(rows, x.row_elements()));
    const std::int64_t joined = std::accumulate(rows_of.begin(), rows_of.end(), std::int64_t{0});
    const Tensor all = receive_.tensor(DType::f32, {joined, x.row_elements()});
    group_.all_gather(bytes_in(owned), {receive_.data(), all.bytes()}, counts);
    ops_.gather_rows(all, order, x);
  }

 private:
  void reduce_by_gather(const ProductTree& tree, const Tensor& parts, const Tensor& bias,
                        const Tensor& residual, const NextNorm& next) {
    const std::int64_t rows = residual.rows();
    std::vector<Bytes> counts;
    for (const auto& nodes : tree.nodes_of) {
      counts.push_back(nodes.size() * bytes_of(rows, residual.row_elements()));
    }
    group_.all_gather(bytes_in(parts), {receive_.data(), receive_.bytes()}, counts);
    finish(tree, rows, bias, residual, next);
  }

  void reduce_by_slices(const ProductTree& tree, const Tensor& parts, const Tensor& bias,
                        const Tensor& residual, const NextNorm& next) {
    const std::int64_t columns = residual.row_elements();
    const auto me = static_cast<std::size_t>(group_.rank());
    std::vector<Bytes> send_counts;
    std::vector<Bytes> receive_counts;
    std::vector<Bytes> slice_counts;
    const bool sorted = parts.rows() <= 1;
    Bytes sent = 0;
    for (int rank = 0; rank < group_.size(); ++rank) {
      const Range rows = rows_of(rank, residual.rows());
      slice_counts.push_back(bytes_of(rows.size(), columns));
      send_counts.push_back(tree.nodes_of[me].size() * slice_counts.back());
      receive_counts.push_back(tree.nodes_of[static_cast<std::size_t>(rank)].size() *
                               bytes_of(rows_of(group_.rank(), residual.rows()).size(), columns));
      for (std::int64_t node = 0; node < parts.rows() && !sorted; ++node) {
        const Tensor from(parts.data() + bytes_of(node * residual.rows() + rows.begin, columns),
                          DType::f32, {rows.size(), columns});
        ops_.copy(from, Tensor(send_.data() + sent, DType::f32, {rows.size(), columns}));
        sent += slice_counts.back();
      }
    }
    group_.all_to_all(sorted ? bytes_in(parts) : ByteView(send_.data(), send_.bytes()), send_counts,
                      {receive_.data(), receive_.bytes()}, receive_counts);
    const Range mine = rows_of(group_.rank(), residual.rows());
    const Tensor slice = residual.slice(mine.begin, mine.end);
    finish(tree, mine.size(), bias, slice, {});
    ops_.copy(slice, slice_.tensor(DType::f32, {slice.rows(), columns}));
    group_.all_gather({slice_.data(), slice.bytes()}, {residual.data(), residual.bytes()},
                      slice_counts);
    if (next.out.defined()) ops_.rms_norm(residual, next.weight, next.eps, next.out);
  }

  /// Adds the tree over the received nodes, `rows` rows each, to the residual.
  void finish(const ProductTree& tree, std::int64_t rows, const Tensor& bias,
              const Tensor& residual, const NextNorm& next) {
    std::vector<Tensor> parts;
    for (std::size_t node = 0; node < tree.nodes.size(); ++node) {
      const Bytes offset = node * bytes_of(rows, residual.row_elements());
      parts.emplace_back(receive_.data() + offset, DType::f32,
                         std::initializer_list<std::int64_t>{rows, residual.row_elements()});
    }
    ops_.add_tree_norm(tree.nodes, parts, bias, residual, next);
  }

  [[nodiscard]] Range rows_of(int rank, std::int64_t rows) const {
    return {rank * rows / group_.size(), (rank + 1) * rows / group_.size()};
  }

  RegionShape shape_;
  Ops& ops_;
  Group& group_;
  Buffer receive_;
  Buffer send_;
  Buffer slice_;
};

}  // namespace

ProductTree ProductTree::of(const Segments& segments, int ranks) {
  ProductTree tree;
  for (int rank = 0; rank < ranks; ++rank) {
    tree.nodes_of.push_back(cover(segments.owned(rank, ranks)));
    tree.nodes.insert(tree.nodes.end(), tree.nodes_of.back().begin(), tree.nodes_of.back().end());
  }
  return tree;
}

bool region_gathers(Transport transport, std::int64_t rows, std::int64_t columns) {
  if (transport != Transport::automatic) return transport == Transport::all_gather;
  return bytes_of(rows, columns) <= kGatherLimit;
}

Bytes region_bytes(const RegionShape& shape) {
  const BufferSizes sizes = sizes_of(shape);
  return sizes.receive + sizes.send + sizes.slice;
}

Memory& message_memory(Group& group, Ops& ops) {
  Memory* const memory = group.message_memory();
  return memory == nullptr ? ops.memory() : *memory;
}

std::unique_ptr<TensorParallelRegion> make_region(const RegionShape& shape, Ops& ops,
                                                  Group& group) {
  require(shape.ranks == group.size(), "a region for {} ranks in a group of {}", shape.ranks,
          group.size());
  if (group.size() == 1) return std::make_unique<SingleRankRegion>(ops);
  return std::make_unique<MultiRankRegion>(shape, ops, group);
}

}  // namespace weft
