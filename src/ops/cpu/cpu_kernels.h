// The table of serial kernels that each instruction set provides, and their arguments.
//
// Kernels get plain pointers and no library types: their translation units are compiled for one
// instruction set each, so nothing that they instantiate may be shared with the rest of the
// program. Shapes were checked and work was divided before they are called.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/types.h"
#include "ops/isa.h"

namespace weft {

/// Output rows of a weight panel: packed weights are [panel][K][32], padded with zero rows.
constexpr std::int64_t kPanelRows = 32;
/// Tokens of a key group: keys are stored [group][head_dim][16], so that 16 keys fill the lanes.
constexpr std::int64_t kKeyGroup = 16;
/// Keys of an attention block (a contract constant).
constexpr std::int64_t kKeyBlock = 128;
/// Columns of a block of logits (a contract constant).
constexpr std::int64_t kLogitBlock = 256;
/// Most query vectors (rows times query heads) of one attention item, and columns of K that one
/// pass of a product takes. Bounds of scratch memory, without effect on results.
constexpr std::int64_t kMaxQueries = 192;
constexpr std::int64_t kColumnChunk = 256;
/// Most values waiting on the stack of a tree.
constexpr int kMaxTreeDepth = 24;
/// Most rows of any instruction set's register tile.
constexpr std::int64_t kMaxTileRows = 12;

/// One leaf segment of K and what happens when it is summed: `merges` additions of entries from the
/// stack, whose top is at `slot`; the result is output node `node`, or stays on the stack (-1).
struct LinearLeaf {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  int slot = 0;
  int merges = 0;
  int node = -1;
};

/// Products of row blocks with panels. Row block b of n holds rows floor(b*M/n) …, and lies in `x`
/// as PackTask makes it.
struct LinearTask {
  const float* x = nullptr;
  const std::byte* weights = nullptr;
  bool bf16 = false;
  std::int64_t rows = 0;     ///< M
  std::int64_t columns = 0;  ///< K
  std::int64_t outputs = 0;  ///< N
  const LinearLeaf* leaves = nullptr;
  int leaf_count = 0;
  float* out = nullptr;          ///< [nodes][M][N], at the first of the M rows
  std::int64_t node_stride = 0;  ///< elements from one node's output to the next
  Range blocks;
  Range panels;
  float* scratch = nullptr;  ///< linear_scratch() floats
};

/// Copies a part [rows, columns] of a weight matrix into panels of `panel_columns` columns, where
/// it begins at row0, col0.
struct PanelTask {
  const std::byte* from = nullptr;
  bool bf16 = false;
  std::int64_t row_stride = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::byte* panels = nullptr;
  std::int64_t panel_columns = 0;
  std::int64_t row0 = 0;
  std::int64_t col0 = 0;
};

/// Widens `rows` rows of K elements to one row block [K][rows], or brings them into pairs:
/// [ceil(K / 2)][rows].
struct PackTask {
  const std::byte* x = nullptr;
  bool bf16 = false;
  const std::int32_t* index = nullptr;  ///< which rows of x; null: the first ones
  std::int64_t row_stride = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  float* out = nullptr;
};

struct NormTask {
  const float* x = nullptr;
  std::int64_t x_stride = 0;
  const float* weight = nullptr;
  float eps = 0;
  std::byte* out = nullptr;
  std::int64_t out_stride = 0;
  bool bf16 = false;
  std::int64_t columns = 0;
  Range rows;
};

struct FinishTask {
  float* qkv = nullptr;
  std::int64_t qkv_stride = 0;
  std::int64_t query_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  const float* bias = nullptr;
  const float* q_norm = nullptr;
  const float* k_norm = nullptr;
  float norm_eps = 0;
  const float* cosines = nullptr;
  const float* sines = nullptr;
  std::int64_t cosine_stride = 0;
  std::int64_t sine_stride = 0;
  const std::int32_t* slots = nullptr;
  std::byte* cache = nullptr;
  Bytes block_bytes = 0;
  std::int64_t block_tokens = 0;
  std::byte* q = nullptr;
  std::int64_t q_stride = 0;
  bool bf16 = false;
  float* scratch = nullptr;  ///< head_dim floats
  Range rows;
};

/// Some rows of one sequence and some query heads that share a KV head; at most kMaxQueries pairs.
struct AttentionTask {
  const std::byte* q = nullptr;
  std::int64_t q_stride = 0;
  const std::int32_t* positions = nullptr;
  Range rows;
  const std::int32_t* heads = nullptr;
  std::int64_t head_count = 0;
  std::int64_t head_dim = 0;
  const std::byte* cache = nullptr;  ///< this KV head's part of block 0
  Bytes block_bytes = 0;
  std::int64_t block_tokens = 0;
  const std::int32_t* kv_blocks = nullptr;
  float scale = 0;
  std::int64_t window = 0;
  std::byte* out = nullptr;
  std::int64_t out_stride = 0;
  bool bf16 = false;
  float* scratch = nullptr;  ///< attention_scratch() floats
};

struct SwigluTask {
  const float* gate_up = nullptr;
  std::int64_t in_stride = 0;
  std::byte* out = nullptr;
  std::int64_t out_stride = 0;
  bool bf16 = false;
  std::int64_t features = 0;
  Range rows;
};

struct TreeTask {
  const float* const* parts = nullptr;
  const std::int64_t* strides = nullptr;
  const int* merges = nullptr;  ///< additions after each part
  int count = 0;
  const float* bias = nullptr;
  float* residual = nullptr;
  std::int64_t residual_stride = 0;
  Range rows;
  Range columns;
};

struct RouteTask {
  float* logits = nullptr;
  std::int64_t logit_stride = 0;
  std::int64_t experts = 0;
  std::int64_t chosen = 0;  ///< of each row
  bool normalise = false;
  std::int32_t* ids = nullptr;  ///< [M, chosen]
  float* weights = nullptr;
  std::int64_t weight_stride = 0;
  Range rows;
};

struct CombineTask {
  const float* parts = nullptr;
  std::int64_t part_stride = 0;
  const std::int32_t* rows_of = nullptr;  ///< [M, chosen, count]
  const int* merges = nullptr;            ///< additions after each node
  int count = 0;                          ///< of nodes
  std::int64_t chosen = 0;
  const float* weights = nullptr;
  std::int64_t weight_stride = 0;
  float* out = nullptr;
  std::int64_t out_stride = 0;
  Range rows;
  Range columns;
};

struct GatedTask {
  const float* gate = nullptr;
  std::int64_t gate_stride = 0;
  const float* x = nullptr;
  std::int64_t x_stride = 0;
  float* sum = nullptr;
  std::int64_t sum_stride = 0;
  std::int64_t columns = 0;
  Range rows;
};

struct MaximaTask {
  const float* logits = nullptr;
  std::int64_t stride = 0;
  std::int64_t columns = 0;
  float* values = nullptr;
  std::int64_t values_stride = 0;
  std::int32_t* at = nullptr;
  std::int64_t at_stride = 0;
  Range rows;
};

struct WeightSumTask {
  const float* logits = nullptr;
  std::int64_t stride = 0;
  std::int64_t columns = 0;
  const float* values = nullptr;  ///< block maxima
  std::int64_t values_stride = 0;
  const float* scales = nullptr;
  const float* before = nullptr;
  const float* behind = nullptr;
  const std::int32_t* splits = nullptr;
  float* weight_sums = nullptr;
  std::int64_t weight_sums_stride = 0;
  Range rows;
  Range blocks;
};

/// Independent chains of `spin_fma`: enough to hide the latency of a multiply-add.
constexpr int kSpinChains = 16;

struct CpuKernels {
  const char* name;
  std::int64_t tile_rows;  ///< most rows of a row block
  void (*pack_panels)(const PanelTask&);
  void (*pack)(const PackTask&);
  void (*linear)(const LinearTask&);
  void (*rms_norm)(const NormTask&);
  void (*finish_qkv)(const FinishTask&);
  void (*attention)(const AttentionTask&);
  void (*swiglu)(const SwigluTask&);
  void (*add_tree)(const TreeTask&);
  void (*block_maxima)(const MaximaTask&);
  void (*block_weight_sums)(const WeightSumTask&);
  void (*route)(const RouteTask&);
  void (*combine)(const CombineTask&);
  void (*add_gated)(const GatedTask&);
  float (*spin_fma)(std::int64_t rounds, float seed);

  // Where bf16 is multiplied in pairs, the same for leaves that begin at even columns, else null.
  void (*pack_pairs)(const PackTask&) = nullptr;
  void (*linear_pairs)(const LinearTask&) = nullptr;
  float (*spin_pairs)(std::int64_t rounds, float seed) = nullptr;
};

/// Floats that `linear` needs for `rows` rows and `slots` stack entries.
constexpr std::int64_t linear_scratch(std::int64_t rows, std::int64_t slots) {
  return (kColumnChunk + slots * rows) * kPanelRows;
}

/// Floats that `attention` needs.
constexpr std::int64_t attention_scratch(std::int64_t head_dim) {
  const std::int64_t width = round_up(head_dim, 16);
  return width * (2 * kMaxQueries + kMaxTileRows + 2 * kKeyBlock) + kMaxTileRows * kKeyBlock +
         2 * kMaxQueries;
}

const CpuKernels& plain_kernels();
const CpuKernels& avx2_kernels();
const CpuKernels& avx512_kernels();
const CpuKernels& avx512_bf16_kernels();

/// The kernels for `isa`, or null when this processor (or this build) lacks it. `automatic` takes
/// what is fastest there.
const CpuKernels* cpu_kernels(Isa isa);

}  // namespace weft
