// Parts of a step that `weft bench` times by themselves. All ranks call these; rank 0 prints.
#pragma once

#include "app/deployment.h"

namespace weft {

/// Sequences that tokens are chosen for.
inline constexpr std::int64_t kSampledSequences = 256;

/// How long the ranks take to make a product of a decode step whole (TensorParallelRegion::leave of
/// the down projection) for 1, 16 and 256 rows, beside MPI_Allreduce of as many bytes on the same
/// ranks. Medians of `runs` batches of calls. On CPUs; nothing travels in a group of one.
void bench_dispatcher(Deployment& deployment, int runs);

/// What scheduling, choosing tokens and output take of a decode step of kChoosingSequences
/// sequences, greedy and sampled, with the whole engine: rows are made and appended to a journal in
/// the system's folder for temporary files.
void bench_sampling(Deployment& deployment);

}  // namespace weft
