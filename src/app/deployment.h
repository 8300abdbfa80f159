// A model put to work on the ranks of a job: what `run` and `generate` have in common.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "app/device_choice.h"
#include "app/job/job.h"
#include "app/rank_cores.h"
#include "base/tracer.h"
#include "comm/control/job_control.h"
#include "comm/group.h"
#include "comm/replica_groups.h"
#include "cuda/gpu_ops.h"
#include "engine/engine.h"
#include "layout/grid.h"
#include "model/files/model_reader.h"
#include "model/model.h"
#include "plan/sizing.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {

/// What a job's engine section means for sizes.
EngineConfig engine_config_of(const JobEngine& engine, Bytes memory);

/// The layout that a job asks for on `ranks` ranks, `dp: auto` resolved. Throws UserError with
/// every violated rule when the model does not allow it.
Layout layout_of(const JobParallel& parallel, const ModelFacts& model, std::int64_t layers,
                 int ranks);

/// Memory that one of `ranks_on_host` ranks may take: its share of nine tenths of what is free.
Bytes memory_share(int ranks_on_host);

/// Memory that one of `ranks` ranks on a GPU may take: its share of nineteen twentieths of what is
/// free. The rest is for the driver, for libraries and for kernels' own stacks.
Bytes gpu_memory_share(Bytes free, int ranks);

/// Facts of a model directory.
ModelFacts facts_of(const ModelReader& reader);

/// Refuses numerics that the processor does not have. Throws UserError.
void check_numerics(const JobEngine& engine, bool cuda);

/// Refuses what only GPUs have and the job asks for. Throws UserError.
void check_gpu_settings(const JobEngine& engine, bool cuda);

/// Refuses `engine.cuda_graphs: true` where no step of a rank can be recorded. Throws UserError.
void check_graphs(const JobEngine& engine, const Partition& part);

/// Everything of one rank that exists while a job runs.
class Deployment {
 public:
  /// Opens the model, checks the layout and sizes the engine; UserErrors are agreed on by all
  /// ranks. Loads nothing yet. `world` and `control` must outlive the deployment. `may_shorten`:
  /// see EngineConfig.
  Deployment(const std::filesystem::path& model, const JobParallel& parallel,
             const JobEngine& engine, Group& world, JobControl& control, bool may_shorten = false);

  /// Loads the weights and takes all memory. Throws Cancelled when the job is asked to stop
  /// meanwhile.
  void load();

  /// An engine over the loaded model.
  [[nodiscard]] std::unique_ptr<Engine> make_engine(bool digest);

  [[nodiscard]] const ModelReader& reader() const { return *reader_; }
  [[nodiscard]] const Layout& layout() const { return layout_; }
  [[nodiscard]] const RankCoordinates& coordinates() const { return coordinates_; }
  [[nodiscard]] const EngineSizes& sizes() const { return sizes_; }
  /// Null when the model directory has no tokenizer.
  [[nodiscard]] const Tokenizer* tokenizer() const { return tokenizer_.get(); }
  [[nodiscard]] int threads() const { return threads_; }
  /// What this rank computes on.
  [[nodiscard]] const DeviceChoice& device() const { return device_; }
  /// The cores of all ranks.
  [[nodiscard]] const std::vector<RankCores>& cores() const { return cores_; }
  /// The loaded model.
  [[nodiscard]] Model& model() { return *model_; }
  /// Charges the time of this rank, from the construction on.
  [[nodiscard]] Tracer& tracer() { return tracer_; }
  [[nodiscard]] const Ops& ops() const { return *ops_; }
  [[nodiscard]] Ops& ops() { return *ops_; }
  /// This rank leads its replica: it writes the replica's rows.
  [[nodiscard]] bool leads_replica() const { return replica_->rank() == 0; }
  [[nodiscard]] JobControl& control() { return control_; }
  /// The ranks of the replica once more, for messages that are not the model's.
  [[nodiscard]] Group& directive_group() { return *directives_; }
  /// Throws UserError on all ranks, naming a host, when the ranks were given different jobs,
  /// models, prompt files or programs (stale copies on a node's own disk, say). `job` is the job as
  /// text. False on all ranks when the job was asked to stop meanwhile.
  [[nodiscard]] bool check_same_everywhere(const std::string& job,
                                           const std::filesystem::path& prompts,
                                           Group& world) const;
  /// One replica reads the weights and sends them to the others.
  [[nodiscard]] bool broadcasts_weights() const { return peers_ != nullptr; }
  /// What the plan says that this rank holds.
  [[nodiscard]] Footprint footprint() const;
  /// Most bytes that the rank has asked for where it computes.
  [[nodiscard]] Bytes peak_memory();

 private:
  void open(const std::filesystem::path& model, const JobParallel& parallel,
            const JobEngine& engine, Group& world);
  /// Bytes that this rank may take where it computes.
  [[nodiscard]] Bytes own_memory(int ranks_on_host) const;
  /// The ranks of this rank's replica, as the operators' memory asks for it.
  [[nodiscard]] std::unique_ptr<Group> replica_of(const JobEngine& engine, Group& world) const;

  JobControl& control_;
  bool async_scheduling_;
  std::unique_ptr<ModelReader> reader_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Tracer tracer_;
  Layout layout_;
  RankCoordinates coordinates_;
  DeviceChoice device_;
  std::vector<RankCores> cores_;
  int threads_ = 1;
  std::unique_ptr<Ops> ops_;
  GpuOps* gpu_ops_ = nullptr;  ///< the same, on a GPU
  std::unique_ptr<Group> replica_;
  std::unique_ptr<ReplicaGroups> groups_;
  std::unique_ptr<Group> directives_;  ///< of the replica
  std::unique_ptr<Group> peers_;  ///< ranks with the same weights, where one of them reads for all
  Partition part_;
  EngineSizes sizes_;
  std::unique_ptr<Model> model_;
};

}  // namespace weft
