// The C interface of MPI, without the C++ bindings that MPI-3 removed.
#pragma once

#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1

#include <mpi.h>
