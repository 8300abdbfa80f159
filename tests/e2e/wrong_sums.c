/* Preloaded into the ranks by a test: an MPI whose all-gathers turn the last bit of a float here and
 * there, as another order of addition would. Only messages that are too long for anything but
 * numbers are touched, alike on all ranks. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <mpi.h>

int MPI_Allgather(const void *from, int count, MPI_Datatype type, void *to, int to_count,
                  MPI_Datatype to_type, MPI_Comm comm) {
  static int (*real)(const void *, int, MPI_Datatype, void *, int, MPI_Datatype, MPI_Comm);
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "MPI_Allgather");
  const int status = real(from, count, type, to, to_count, to_type, comm);
  if (to_count >= 16384 && to_type == MPI_BYTE) {
    for (int i = 0; i < to_count; i += 64) ((unsigned char *)to)[i] ^= 1;
  }
  return status;
}
