// Runs the MPI tests on every rank. Rank 0 reports; another rank's report is printed when it fails.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "support/run_catch.h"

namespace {

/// Catch2's report of a rank that is not 0 goes to a file of its own.
std::string report_path(int rank) {
  const auto name = "weft-mpi-test-" + std::to_string(getpid()) + "-" + std::to_string(rank);
  return (std::filesystem::temp_directory_path() / name).string();
}

}  // namespace

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  const std::string report = rank == 0 ? std::string() : report_path(rank);
  const int status = weft::testing::run_catch(argc, argv, report);
  if (rank != 0) {
    if (status != 0) std::cerr << "rank " << rank << ":\n" << std::ifstream(report).rdbuf();
    std::remove(report.c_str());
  }
  // A rank that failed may have left the others waiting inside an operation: end them all.
  if (status != 0) MPI_Abort(MPI_COMM_WORLD, 1);
  MPI_Finalize();
  return status;
}
