// Experts that are spread over ranks: rows go to the ranks that hold their experts, and what these
// yield comes back.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/buffer.h"
#include "base/tensor.h"
#include "comm/group.h"
#include "model/parallel/moe_partition.h"

namespace weft {

class Ops;

/// What one rank's experts are to compute. Valid until the next `dispatch`.
struct ExpertWork {
  Tensor x;     ///< [R, hidden] w: rows that have come together here
  Tensor rows;  ///< [P] i32: each pair's row of x, sorted by own expert
  Tensor ends;  ///< [own experts] i32: end of each own expert's pairs

  [[nodiscard]] std::int64_t pairs() const { return rows.elements(); }
};

/// Dispatch and combine. All ranks of an expert group call the same functions in the same order;
/// the tensor-parallel groups in it (domains) have rows of their own, equal on all their ranks.
/// Whichever way rows travel, the bits of the sums are the same.
class ExpertDispatcher {
 public:
  virtual ~ExpertDispatcher() = default;

  /// A step begins, in which this rank's domain has `rows` rows, maybe none.
  virtual void begin(std::int64_t rows) = 0;

  /// Brings the rows that this rank's experts need. x [M, hidden] w, experts [M, k] i32.
  virtual ExpertWork dispatch(const Tensor& x, const Tensor& experts) = 0;

  /// sum[m] = fma(weights[m, j], output of the j-th expert of row m, sum[m]), j ascending, from
  /// +0. outputs [own nodes, P, hidden] f32 of the pairs of the last `dispatch`, weights [M, k],
  /// sum [M, hidden] f32; it ends equal on all ranks of the domain.
  virtual void combine(const Tensor& outputs, const Tensor& weights, const Tensor& sum) = 0;
};

/// What an exchange must have room for.
struct DispatcherShape {
  std::int64_t max_rows = 0;  ///< of each domain
  std::int64_t hidden = 0;
  DType dtype = DType::bf16;
  Transport transport = Transport::automatic;
};

/// Whether, in a step in which all domains together have `rows` rows, these and their outputs go to
/// every rank. The same on all ranks of the expert group.
bool dispatcher_gathers(const MoePartition& part, const DispatcherShape& shape, std::int64_t rows);

/// Bytes of the buffers of an exchange; what `make_expert_dispatcher` allocates.
Bytes dispatcher_bytes(const MoePartition& part, const DispatcherShape& shape);

/// The exchange of a rank. `tp` is its tensor-parallel group, `experts` its expert group (see
/// ExpertCoordinates), both in the order of ExpertCoordinates; everything given must outlive it.
/// Collective.
///
/// With experts in one part (ep = 1) no rows travel, pairs are sorted where the operators run, and
/// all sizes follow from the number of rows: the host never waits for the routes.
///
/// Transport::all_gather: rows and outputs go to every rank that has not got them, each rank
/// selects what it needs. Transport::all_to_all: rows go to the ranks that hold their experts,
/// outputs to the rank that adds up a slice of the rows; finished rows are then gathered.
/// Transport::automatic: the first for few rows, the second for many, step by step.
std::unique_ptr<ExpertDispatcher> make_expert_dispatcher(const MoePartition& part,
                                                         const DispatcherShape& shape, Ops& ops,
                                                         Group& tp, Group& experts);

}  // namespace weft
