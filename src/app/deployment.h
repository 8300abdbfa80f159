// A model put to work on the ranks of a job: what `run` and `generate` have in common.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "app/job.h"
#include "comm/group.h"
#include "comm/watchdog.h"
#include "engine/engine.h"
#include "layout/grid.h"
#include "model/model.h"
#include "model/model_reader.h"
#include "plan/sizing.h"
#include "text/tokenizer.h"

namespace weft {

/// What a job's engine section means for sizes.
EngineWishes wishes_of(const JobEngine& engine, Bytes memory);

/// The layout that a job asks for on `ranks` ranks, `dp: auto` resolved. Throws UserError with
/// every violated rule when the model does not allow it.
Layout layout_of(const JobParallel& parallel, const ModelFacts& model, int ranks);

/// Threads of each rank: as asked, else this rank's share of the cores of its host.
int threads_of(const std::optional<int>& asked, int ranks_on_cores);

/// Memory that one of `ranks_on_host` ranks may take: its share of nine tenths of what is free.
Bytes memory_share(int ranks_on_host);

/// Facts of a model directory.
ModelFacts facts_of(const ModelReader& reader);

/// The tokenizer of a model directory, its files checked against the manifest's digests; null when
/// it has none.
std::unique_ptr<Tokenizer> tokenizer_of(const ModelReader& reader);

/// Refuses devices and numerics that this build or this version does not have.
void check_device(const JobEngine& engine);

/// Everything of one rank that exists while a job runs.
class Deployment {
 public:
  /// Opens the model, checks the layout and sizes the engine; UserErrors are agreed on by all
  /// ranks. Loads nothing yet. `world` must outlive the deployment. `may_shorten`: see
  /// EngineWishes.
  Deployment(const std::filesystem::path& model, const JobParallel& parallel,
             const JobEngine& engine, Group& world, bool may_shorten = false);

  /// Loads the weights and takes all memory.
  void load();

  /// An engine over the loaded model.
  [[nodiscard]] std::unique_ptr<Engine> make_engine(bool digest);

  [[nodiscard]] const ModelReader& reader() const { return *reader_; }
  [[nodiscard]] const Layout& layout() const { return layout_; }
  [[nodiscard]] const Place& place() const { return place_; }
  [[nodiscard]] const EngineSizes& sizes() const { return sizes_; }
  /// Null when the model directory has no tokenizer.
  [[nodiscard]] const Tokenizer* tokenizer() const { return tokenizer_.get(); }
  [[nodiscard]] int threads() const { return threads_; }
  /// Threads of all ranks on this rank's cores, for each core; above 1 they wait for each other.
  [[nodiscard]] double threads_per_core() const { return threads_per_core_; }
  /// The loaded model.
  [[nodiscard]] Model& model() { return *model_; }
  [[nodiscard]] const Ops& ops() const { return *ops_; }
  [[nodiscard]] Ops& ops() { return *ops_; }
  /// This rank leads its replica: it writes the replica's rows.
  [[nodiscard]] bool leads_replica() const { return replica_->rank() == 0; }
  /// Whether any rank of the replica says so: for decisions that no rank may take alone.
  [[nodiscard]] bool any_rank_says(bool mine);
  /// Throws UserError on all ranks, naming a host, when the ranks were given different jobs,
  /// models, prompt files or programs (stale copies on a node's own disk, say). `job` is the job as
  /// text.
  void check_same_everywhere(const std::string& job, const std::filesystem::path& prompts,
                             Group& world) const;
  /// What the plan says that this rank holds.
  [[nodiscard]] Footprint footprint() const;

 private:
  void open(const std::filesystem::path& model, const JobParallel& parallel,
            const JobEngine& engine, Group& world, int ranks_on_cores);

  std::unique_ptr<ModelReader> reader_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Layout layout_;
  Place place_;
  std::unique_ptr<Watchdog> watchdog_;
  std::unique_ptr<Group> replica_;
  int threads_ = 1;
  double threads_per_core_ = 1;
  std::unique_ptr<Ops> ops_;
  Partition part_;
  EngineSizes sizes_;
  std::unique_ptr<Model> model_;
};

}  // namespace weft
