// A model put to work on the ranks of a job: what `run` and `generate` have in common.
#pragma once

#include <filesystem>
#include <memory>

#include "app/job/job.h"
#include "app/rank_runtime.h"
#include "comm/control/job_control.h"
#include "comm/group.h"
#include "comm/replica_groups.h"
#include "engine/engine.h"
#include "layout/grid.h"
#include "model/files/model_reader.h"
#include "model/model.h"
#include "plan/sizing.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {

/// Everything of one rank that exists while a job runs: its runtime, its groups, the model, and how
/// much of it there is room for.
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
  [[nodiscard]] const RankRuntime& runtime() const { return runtime_; }
  [[nodiscard]] int threads() const { return runtime_.threads(); }
  /// What this rank computes on.
  [[nodiscard]] const DeviceChoice& device() const { return runtime_.device(); }
  /// The cores of all ranks.
  [[nodiscard]] const std::vector<RankCores>& cores() const { return runtime_.cores(); }
  /// The loaded model.
  [[nodiscard]] Model& model() { return *model_; }
  /// Charges the time of this rank, from the construction on.
  [[nodiscard]] Tracer& tracer() { return runtime_.tracer(); }
  [[nodiscard]] const Ops& ops() const { return runtime_.ops(); }
  [[nodiscard]] Ops& ops() { return runtime_.ops(); }
  /// This rank leads its replica: it writes the replica's rows.
  [[nodiscard]] bool leads_replica() const { return groups_.replica->rank() == 0; }
  [[nodiscard]] JobControl& control() { return control_; }
  /// The ranks of the replica once more, for messages that are not the model's.
  [[nodiscard]] Group& directive_group() { return *groups_.directives; }
  /// One replica reads the weights and sends them to the others.
  [[nodiscard]] bool broadcasts_weights() const { return groups_.peers != nullptr; }
  /// What the plan says that this rank holds.
  [[nodiscard]] Footprint footprint() const;
  /// Most bytes that the rank has asked for where it computes.
  [[nodiscard]] Bytes peak_memory();

 private:
  struct Groups {
    std::unique_ptr<Group> replica;
    std::unique_ptr<ReplicaGroups> axes;
    std::unique_ptr<Group> directives;  ///< of the replica
    std::unique_ptr<Group> peers;  ///< ranks with the same weights, where one of them reads for all
  };

  /// Splits `world` into the groups of the layout.
  void make_groups(const std::filesystem::path& model, const JobEngine& engine, Group& world);

  JobControl& control_;
  bool async_scheduling_;
  RankRuntime runtime_;
  std::unique_ptr<ModelReader> reader_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Layout layout_;
  RankCoordinates coordinates_;
  Groups groups_;
  Partition part_;
  EngineSizes sizes_;
  std::unique_ptr<Model> model_;
};

}  // namespace weft
