// Which processor each rank computes on.
#pragma once

#include <string>
#include <vector>

#include "app/job/job.h"
#include "comm/group.h"

namespace weft {

/// What a rank was given.
struct DeviceChoice {
  bool cuda = false;
  int device = 0;                ///< of the visible GPUs
  int sharing = 1;               ///< ranks on this GPU
  std::string kind = "cpu";      ///< as the numerics contract counts: "cpu", "cuda sm_90"
  std::vector<std::string> map;  ///< for people: what each rank has; empty on CPUs
};

/// What a rank knows of its host before the ranks talk.
struct DeviceOffer {
  std::string host;
  int local_rank = 0;              ///< among the ranks of the host
  std::vector<std::string> uuids;  ///< of the visible GPUs
  std::vector<std::string> kinds;  ///< "cuda sm_90", by GPU
};

/// The choice of every rank, given all offers: GPUs where they are asked for, or where every rank
/// has one and nothing is asked for; the GPU of a rank is its local rank modulo the visible ones.
/// Throws UserError when ranks without a GPU are asked to have one, when some have one and others
/// not (and nothing is asked for), when GPUs are of several kinds, or when two ranks would have the
/// same GPU and the job does not allow it.
std::vector<DeviceChoice> choose_devices(const JobEngine& engine,
                                         const std::vector<DeviceOffer>& offers);

/// This rank's choice. Every rank must call it; UserErrors are agreed on.
DeviceChoice choose_device(const JobEngine& engine, Group& world);

}  // namespace weft
