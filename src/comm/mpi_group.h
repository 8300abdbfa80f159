// Groups over MPI communicators. Only MPI-3.1 calls.
#pragma once

#include <memory>

#include "comm/group.h"

namespace weft {

/// The group of all ranks of the job (a duplicate of MPI_COMM_WORLD). MPI must be initialised and
/// must outlive the group.
std::unique_ptr<Group> make_world_group();

/// This rank, and how many there are. MPI must be initialised.
struct WorldPlace {
  int rank = 0;
  int size = 1;
};
WorldPlace world_place();

}  // namespace weft
