#include "comm/mpi_sum.h"

#include "base/error.h"
#include "comm/mpi_api.h"

namespace weft {

void mpi_sum(std::span<const float> in, std::span<float> out) {
  require(in.size() == out.size(), "a sum of {} into {} elements", in.size(), out.size());
  if (MPI_Allreduce(in.data(), out.data(), static_cast<int>(in.size()), MPI_FLOAT, MPI_SUM,
                    MPI_COMM_WORLD) != MPI_SUCCESS) {
    fail("MPI_Allreduce failed");
  }
}

}  // namespace weft
