// Inputs for the operators of experts, and what they make of them.
#pragma once

#include <vector>

#include "ops_testing.h"

namespace weft::testing {

/// Products of pairs with a stack of matrices.
struct ExpertProduct {
  std::int64_t rows = 0;     // of x
  std::int64_t outputs = 0;  // N
  KCut cut;
  DType dtype = DType::bf16;
  std::vector<std::int64_t> ends;   // of each expert's pairs
  std::int64_t beyond = 0;          // pairs behind those of the last expert
  std::vector<std::int32_t> index;  // empty: pair p reads row p
  std::vector<float> x;
  std::vector<std::vector<float>> w;

  [[nodiscard]] std::int64_t pairs() const { return ends.back() + beyond; }
};

/// `wide` values span many exponents; the others are such that products of bf16 stay normal
/// numbers.
ExpertProduct random_product(Random& random, const std::vector<std::int64_t>& counts,
                             std::int64_t rows, std::int64_t outputs, const Segments& segments,
                             Range leaves, DType dtype, bool wide = true);
Array multiply(Ops& ops, const ExpertProduct& p);

/// `count` counts that add up to `total`, some of them 0.
std::vector<std::int64_t> uneven(Random& random, std::int64_t count, std::int64_t total);

struct Routing {
  std::vector<std::int32_t> experts;
  std::vector<float> weights;
  std::vector<std::int32_t> loads;
};

/// Of `rows` rows, k experts each; loads are counted on from 3. No slots: no row is padding.
Routing route(Ops& ops, const std::vector<float>& logits, std::int64_t rows, std::int64_t k,
              bool normalise, std::vector<std::int32_t> slots = {});

/// Rows, experts a row, experts, copies.
struct SortShape {
  std::int64_t rows;
  std::int64_t k;
  std::int64_t experts;
  std::int64_t copies;
};
inline constexpr SortShape kSorts[] = {{0, 2, 8, 1},   {1, 1, 1, 1},   {1, 2, 8, 3},
                                       {7, 3, 5, 1},   {40, 8, 60, 4}, {33, 1, 2, 0},
                                       {300, 8, 9, 1}, {900, 5, 40, 2}};

struct Sorted {
  std::vector<std::int32_t> ends;
  std::vector<std::int32_t> rows;
  std::vector<std::int32_t> places;

  bool operator==(const Sorted&) const = default;
};

/// What arrays of integers hold before operators write into them.
inline constexpr std::int32_t kUnwritten = 0x77777777;

/// [rows, k] different experts of each row, some much more often than others.
std::vector<std::int32_t> choices(Random& random, std::int64_t rows, std::int64_t k,
                                  std::int64_t experts);
Sorted sorted(Ops& ops, const std::vector<std::int32_t>& chosen, std::int64_t k,
              std::int64_t experts, std::int64_t copies);

/// Some rows of [rows, k] choose none any more: at least one, and the last.
void sample_none(Random& random, std::vector<std::int32_t>& chosen, std::int64_t k);

std::vector<std::byte> combined(Ops& ops, const std::vector<TreeNode>& nodes,
                                const std::vector<float>& parts, std::int64_t columns,
                                const std::vector<std::int32_t>& rows,
                                const std::vector<float>& weights, std::int64_t m);
std::vector<std::byte> gated(Ops& ops, const std::vector<float>& gate, const std::vector<float>& x,
                             const std::vector<float>& sum);

}  // namespace weft::testing
