// What parts of a step cost on some machine: the terms that a step's time is the sum of.
#pragma once

#include <cstdint>
#include <string>

#include "base/dtype.h"
#include "base/types.h"
#include "comm/control/activity.h"
#include "plan/machine_limits.h"

namespace weft {

/// Keys and values that a rank's attention of a step reads, over all layers alike.
struct AttentionLoad {
  double keys = 0;   ///< positions read, once for each sequence
  double pairs = 0;  ///< of a row and a key that it sees
  double rows = 0;
};

/// Seconds of one rank. All its calls are one after the other.
class Hardware {
 public:
  virtual ~Hardware() = default;

  /// A product of `rows` rows with a matrix of `outputs` x `inputs` elements.
  [[nodiscard]] virtual double product(double rows, double outputs, double inputs,
                                       DType dtype) const = 0;
  /// Attention of one layer, with so many columns of keys (and as many of values) and of queries.
  [[nodiscard]] virtual double attention(const AttentionLoad& load, double kv_columns,
                                         double query_columns, DType dtype) const = 0;
  /// Operators that pass over rows: norms, sums of trees, rotary embedding. `values`: f32 values
  /// that are read or written.
  [[nodiscard]] virtual double rows(double values) const = 0;
  /// Sampling `samples` tokens of `columns` logits each.
  [[nodiscard]] virtual double sampling(double samples, double columns) const = 0;
  /// `calls` calls of an operation among `ranks` ranks, which together send and receive as many
  /// bytes on this rank; `within_node`: they all are on one.
  [[nodiscard]] virtual double communication(Operation operation, int ranks, double calls,
                                             double sent, double received,
                                             bool within_node) const = 0;
  /// The host's work for a step: scheduling and bookkeeping.
  [[nodiscard]] virtual double host(double sequences, double rows) const = 0;
  /// Reading that many bytes of weights.
  [[nodiscard]] virtual double loading(double bytes) const = 0;
  /// Where the numbers come from, for people.
  [[nodiscard]] virtual std::string source() const = 0;
};

/// The least that a step can cost: everything at a limit, nothing else costs anything.
class Roofline final : public Hardware {
 public:
  explicit Roofline(MachineLimits limits) : limits_(std::move(limits)) {}

  [[nodiscard]] double product(double rows, double outputs, double inputs,
                               DType dtype) const override;
  [[nodiscard]] double attention(const AttentionLoad& load, double kv_columns, double query_columns,
                                 DType dtype) const override;
  [[nodiscard]] double rows(double /*values*/) const override { return 0; }
  [[nodiscard]] double sampling(double /*samples*/, double /*columns*/) const override { return 0; }
  [[nodiscard]] double communication(Operation operation, int ranks, double calls, double sent,
                                     double received, bool within_node) const override;
  [[nodiscard]] double host(double /*sequences*/, double /*rows*/) const override { return 0; }
  [[nodiscard]] double loading(double /*bytes*/) const override { return 0; }
  [[nodiscard]] std::string source() const override { return limits_.source; }

 private:
  MachineLimits limits_;
};

}  // namespace weft
