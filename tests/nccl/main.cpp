// Runs the tests of groups over NCCL, on one rank or several.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include "support/run_catch.h"

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  const int status = weft::testing::run_catch(argc, argv);
  // A rank that failed may have left the others waiting inside an operation: end them all.
  if (status != 0) MPI_Abort(MPI_COMM_WORLD, 1);
  MPI_Finalize();
  return status;
}
