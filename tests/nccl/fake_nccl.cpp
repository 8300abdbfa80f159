#include "fake_nccl.h"

#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cuda/emulated/emulated_ops.h"

/// Starting, gathering and ending on one rank call nothing of MPI: a process that was forked off
/// must not.
struct ncclComm {
  MPI_Comm mpi = MPI_COMM_NULL;
  int ranks = 0;
  int rank = 0;
  int in_progress = 0;                         ///< answers until the last call has ended
  std::vector<const std::byte*> windows = {};  ///< they end with it
};

namespace weft::testing {

NcclScript& nccl_script() {
  static NcclScript script;
  return script;
}

void NcclScript::reset() {
  in_progress = 0;
  stuck = false;
  error = ncclSuccess;
  send_fails = ncclSuccess;
  abort_hangs = false;
  no_windows = false;
  windows = 0;
  pieces = 0;
  window_gathers = 0;
  open_groups = 0;
  operations = 0;
  aborts = 0;
}

namespace {

/// Calls of the open group, the communicator and the stream that they are on.
thread_local std::vector<std::function<void()>> t_calls;
thread_local ncclComm_t t_comm = nullptr;
thread_local cudaStream_t t_stream = nullptr;

/// Open windows: their bytes, by where they begin. They have the addresses of their data.
thread_local std::map<const std::byte*, std::size_t> t_windows;

void close_windows(const ncclComm& comm) {
  for (const std::byte* const data : comm.windows) t_windows.erase(data);
  nccl_script().windows -= static_cast<int>(comm.windows.size());
}

bool in_window(const void* data, std::size_t bytes) {
  const auto* const first = static_cast<const std::byte*>(data);
  const auto next = t_windows.upper_bound(first);
  if (next == t_windows.begin()) return false;
  const auto& window = *std::prev(next);
  return first + bytes <= window.first + window.second;
}

ncclResult_t begin(ncclComm_t comm) {
  comm->in_progress = nccl_script().in_progress;
  return comm->in_progress > 0 || nccl_script().stuck ? ncclInProgress : ncclSuccess;
}

ncclResult_t later(ncclComm_t comm, cudaStream_t stream, std::function<void()> call) {
  require(nccl_script().open_groups == 1, "a call outside a group");
  t_comm = comm;
  t_stream = stream;
  t_calls.push_back(std::move(call));
  ++nccl_script().operations;
  return nccl_script().in_progress > 0 ? ncclInProgress : ncclSuccess;
}

struct Transfers {
  std::vector<MPI_Request> requests;
};
thread_local Transfers t_transfers;

MPI_Request* next_request() {
  t_transfers.requests.emplace_back(MPI_REQUEST_NULL);
  return &t_transfers.requests.back();
}

/// The calls of a group.
void move(const std::vector<std::function<void()>>& calls) {
  std::vector<MPI_Request>& requests = t_transfers.requests;
  requests.reserve(calls.size());  // their places must not move
  for (const auto& call : calls) call();
  if (!requests.empty()) {
    MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  }
  requests.clear();
}

}  // namespace

const NcclApi& fake_nccl_api() {
  static const NcclApi api = [] {
    NcclApi fake;
#define WEFT_NCCL_FAKE(name) fake.name = &nccl##name;
    WEFT_NCCL_FUNCTIONS(WEFT_NCCL_FAKE)
#undef WEFT_NCCL_FAKE
    fake.MemAlloc = [](void** data, std::size_t bytes) {
      *data = std::aligned_alloc(4096, bytes);
      std::memset(*data, 0x5a, bytes);
      ++nccl_script().pieces;
      return ncclSuccess;
    };
    fake.MemFree = [](void* data) {
      require(!in_window(data, 1), "memory is given back whose window is open");
      std::free(data);
      --nccl_script().pieces;
      return ncclSuccess;
    };
    fake.CommWindowRegister = [](ncclComm_t comm, void* data, std::size_t bytes, void** window,
                                 int flags) {
      // Ranks register pieces of the same size, in the same order.
      std::size_t first = bytes;
      MPI_Bcast(&first, sizeof first, MPI_BYTE, 0, comm->mpi);
      require(flags == 1 && bytes % 4096 == 0 && first == bytes, "not a symmetric window");
      if (!nccl_script().no_windows) {
        *window = data;
        t_windows[static_cast<std::byte*>(data)] = bytes;
        comm->windows.push_back(static_cast<std::byte*>(data));
        ++nccl_script().windows;
      }
      return begin(comm);
    };
    return fake;
  }();
  return api;
}

StreamMarks::Mark FakeMarks::set() {
  ++out;
  return ++last;
}
bool FakeMarks::passed(Mark mark) {
  if (stream == Stream::fails) fail("the device has failed");
  return stream == Stream::runs || mark <= until;
}
void FakeMarks::give_back(Mark /*mark*/) { --out; }

}  // namespace weft::testing

using weft::testing::begin;
using weft::testing::later;
using weft::testing::nccl_script;

ncclResult_t ncclGetVersion(int* version) {
  *version = 0;
  return ncclSuccess;
}
ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::memset(id->internal, 7, sizeof(id->internal));
  return ncclSuccess;
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  weft::require(id.internal[127] == 7 && config->blocking == 0, "not the id, or blocking");
  *comm = new ncclComm{MPI_COMM_SELF, ranks, rank};
  if (ranks > 1) MPI_Comm_dup(MPI_COMM_WORLD, &(*comm)->mpi);
  return begin(*comm);
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  *error = nccl_script().error;
  if (nccl_script().stuck || comm->in_progress-- > 0) *error = ncclInProgress;
  return ncclSuccess;
}
ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* part,
                           ncclConfig_t* /*config*/) {
  *part = new ncclComm;
  MPI_Comm_split(comm->mpi, color, key, &(*part)->mpi);
  MPI_Comm_size((*part)->mpi, &(*part)->ranks);
  MPI_Comm_rank((*part)->mpi, &(*part)->rank);
  (*part)->in_progress = nccl_script().in_progress;
  return begin(comm);
}
ncclResult_t ncclCommAbort(ncclComm_t /*comm*/) {
  ++nccl_script().aborts;
  while (nccl_script().abort_hangs) std::this_thread::sleep_for(std::chrono::seconds(1));
  return ncclSuccess;
}
ncclResult_t ncclCommFinalize(ncclComm_t comm) { return begin(comm); }
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  if (comm->mpi != MPI_COMM_SELF) MPI_Comm_free(&comm->mpi);
  weft::testing::close_windows(*comm);
  delete comm;
  return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclRemoteError ? "a remote process has ended" : "a system error";
}
const char* ncclGetLastError(ncclComm_t /*comm*/) { return "scripted"; }
ncclResult_t ncclGroupStart() {
  ++nccl_script().open_groups;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  --nccl_script().open_groups;
  const auto work = [calls = std::exchange(weft::testing::t_calls, {})] {
    weft::testing::move(calls);
  };
  const cudaStream_t stream = std::exchange(weft::testing::t_stream, nullptr);
  if (stream == nullptr) {
    work();
  } else {
    // The emulation's, which may keep the work for its replays.
    reinterpret_cast<weft::EmulatedStream*>(stream)->ask(work);
  }
  const ncclComm_t comm = std::exchange(weft::testing::t_comm, nullptr);
  return comm == nullptr ? ncclSuccess : begin(comm);
}
ncclResult_t ncclAllGather(const void* send, void* recv, std::size_t count, ncclDataType_t /*type*/,
                           ncclComm_t comm, cudaStream_t stream) {
  const bool windows =
      weft::testing::in_window(send, count) &&
      weft::testing::in_window(recv, count * static_cast<std::size_t>(comm->ranks));
  return later(comm, stream, [=] {
    if (windows) ++nccl_script().window_gathers;
    if (comm->ranks == 1) {
      std::memmove(recv, send, count);
      return;
    }
    MPI_Allgather(send, static_cast<int>(count), MPI_BYTE, recv, static_cast<int>(count), MPI_BYTE,
                  comm->mpi);
  });
}
ncclResult_t ncclBroadcast(const void* send, void* recv, std::size_t count, ncclDataType_t /*type*/,
                           int root, ncclComm_t comm, cudaStream_t stream) {
  return later(comm, stream, [=] {
    weft::require(send == recv, "broadcasts are in place");
    MPI_Bcast(recv, static_cast<int>(count), MPI_BYTE, root, comm->mpi);
  });
}
ncclResult_t ncclSend(const void* send, std::size_t count, ncclDataType_t /*type*/, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  if (nccl_script().send_fails != ncclSuccess) return nccl_script().send_fails;
  return later(comm, stream, [=] {
    MPI_Isend(send, static_cast<int>(count), MPI_BYTE, peer, 0, comm->mpi,
              weft::testing::next_request());
  });
}
ncclResult_t ncclRecv(void* recv, std::size_t count, ncclDataType_t /*type*/, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  return later(comm, stream, [=] {
    MPI_Irecv(recv, static_cast<int>(count), MPI_BYTE, peer, 0, comm->mpi,
              weft::testing::next_request());
  });
}
