// Runs the tests of the GPU's operators, on one rank or several.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include "device_under_test.h"
#include "support/run_catch.h"

int main(int argc, char** argv) {
  weft::testing::skip_without_device();
  MPI_Init(&argc, &argv);
  const int status = weft::testing::run_catch(argc, argv);
  // A rank that failed may have left the others waiting inside an operation: end them all.
  if (status != 0) MPI_Abort(MPI_COMM_WORLD, 1);
  MPI_Finalize();
  return status;
}
