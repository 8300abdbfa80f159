// What a rank computes with: its cores or its GPU, the operators there, and its clock.
#pragma once

#include <memory>
#include <vector>

#include "app/device_choice.h"
#include "app/job/job.h"
#include "app/rank_cores.h"
#include "base/tracer.h"
#include "comm/control/job_control.h"
#include "comm/group.h"
#include "cuda/gpu_ops.h"
#include "layout/grid.h"
#include "ops/ops.h"

namespace weft {

class RankRuntime {
 public:
  /// Chooses the device and the cores together with the other ranks of `world`. Throws UserError on
  /// all of them. The tracer charges the time of this rank from here on.
  RankRuntime(const JobEngine& engine, Group& world);

  /// Makes the operators. Throws UserError on this rank alone.
  void make_ops(const JobEngine& engine);

  /// The ranks with this rank's `dp` coordinate, as a group for the operators' memory whose time
  /// the tracer charges. Every rank of `world` must call it, after `make_ops`. Throws UserError on
  /// all of them. `control` must outlive the group.
  [[nodiscard]] std::unique_ptr<Group> replica_group(const JobEngine& engine, const Layout& layout,
                                                     Group& world, JobControl& control);

  /// Bytes that this rank may take where it computes.
  [[nodiscard]] Bytes memory() const;

  [[nodiscard]] const DeviceChoice& device() const { return device_; }
  /// The cores of all ranks.
  [[nodiscard]] const std::vector<RankCores>& cores() const { return cores_; }
  [[nodiscard]] int threads() const { return threads_; }
  [[nodiscard]] Ops& ops() { return *ops_; }
  [[nodiscard]] const Ops& ops() const { return *ops_; }
  [[nodiscard]] Tracer& tracer() { return tracer_; }

 private:
  [[nodiscard]] std::unique_ptr<Group> untimed_replica_group(const JobEngine& engine,
                                                             const Layout& layout, Group& world,
                                                             JobControl& control);

  Tracer tracer_;
  std::vector<RankCores> cores_;
  int threads_ = 1;
  int ranks_on_host_ = 1;
  DeviceChoice device_;
  std::unique_ptr<Ops> ops_;
  GpuOps* gpu_ops_ = nullptr;  ///< the same, on a GPU
};

/// The least of all ranks' values.
Bytes least_of_ranks(Group& group, Bytes value);

}  // namespace weft
