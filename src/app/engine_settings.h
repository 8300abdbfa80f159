// What a job's `parallel` and `engine` sections mean for a model and a machine.
#pragma once

#include <cstdint>

#include "app/job/job.h"
#include "layout/grid.h"
#include "model/files/model_reader.h"
#include "model/parallel/partition.h"
#include "plan/sizing.h"

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

}  // namespace weft
