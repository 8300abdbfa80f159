#include "comm/mpi_group.h"

#include <algorithm>
#include <climits>
#include <exception>
#include <vector>

#include "base/error.h"
#include "comm/mpi_api.h"

namespace weft {
namespace {

void check_mpi(int code, const char* operation) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  fail("{} failed: {}", operation, text);
}

/// MPI-3.1 counts are ints: larger transfers must be split by the caller.
int mpi_count(Bytes bytes) {
  if (bytes > static_cast<Bytes>(INT_MAX)) fail("a message of {} bytes is too large", bytes);
  return static_cast<int>(bytes);
}

/// Counts and displacements of a v-collective, as MPI wants them.
struct Pieces {
  std::vector<int> counts;
  std::vector<int> offsets;
  Bytes total = 0;

  explicit Pieces(std::span<const Bytes> bytes) {
    for (const Bytes count : bytes) {
      counts.push_back(mpi_count(count));
      offsets.push_back(mpi_count(total));
      total += count;
    }
  }
  [[nodiscard]] bool all_equal() const {
    for (const int count : counts) {
      if (count != counts.front()) return false;
    }
    return true;
  }
};

class MpiGroup final : public Group {
 public:
  /// Takes over the communicator.
  explicit MpiGroup(MPI_Comm comm) : comm_(comm) {
    MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm_, &rank_);
    MPI_Comm_size(comm_, &size_);
  }
  MpiGroup(const MpiGroup&) = delete;
  MpiGroup& operator=(const MpiGroup&) = delete;
  ~MpiGroup() override {
    // Freeing is collective: a rank that is failing alone must not wait for the others here.
    if (std::uncaught_exceptions() > 0) return;
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized == 0) MPI_Comm_free(&comm_);
  }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }

  void all_gather(ByteView send, ByteSpan recv, std::span<const Bytes> counts) override {
    const Pieces pieces(counts);
    const auto me = static_cast<std::size_t>(rank_);
    require(counts.size() == static_cast<std::size_t>(size_) && counts[me] == send.size() &&
                pieces.total <= recv.size(),
            "all_gather: the counts do not fit the buffers");
    if (pieces.all_equal()) {
      check_mpi(MPI_Allgather(send.data(), pieces.counts[me], MPI_BYTE, recv.data(),
                              pieces.counts[me], MPI_BYTE, comm_),
                "MPI_Allgather");
    } else {
      check_mpi(MPI_Allgatherv(send.data(), pieces.counts[me], MPI_BYTE, recv.data(),
                               pieces.counts.data(), pieces.offsets.data(), MPI_BYTE, comm_),
                "MPI_Allgatherv");
    }
  }

  void all_to_all(ByteView send, std::span<const Bytes> send_counts, ByteSpan recv,
                  std::span<const Bytes> recv_counts) override {
    const Pieces out(send_counts);
    const Pieces in(recv_counts);
    const auto ranks = static_cast<std::size_t>(size_);
    require(send_counts.size() == ranks && recv_counts.size() == ranks &&
                out.total <= send.size() && in.total <= recv.size(),
            "all_to_all: the counts do not fit the buffers");
    check_mpi(MPI_Alltoallv(send.data(), out.counts.data(), out.offsets.data(), MPI_BYTE,
                            recv.data(), in.counts.data(), in.offsets.data(), MPI_BYTE, comm_),
              "MPI_Alltoallv");
  }

  void broadcast(ByteSpan bytes, int root) override {
    constexpr Bytes kPiece = Bytes{1} << 30;
    for (Bytes at = 0; at < bytes.size(); at += kPiece) {
      const Bytes count = std::min<Bytes>(kPiece, bytes.size() - at);
      check_mpi(MPI_Bcast(bytes.data() + at, mpi_count(count), MPI_BYTE, root, comm_), "MPI_Bcast");
    }
  }

  SendTicket start_send(ByteView bytes, int to) override {
    sends_.emplace_back();
    check_mpi(
        MPI_Isend(bytes.data(), mpi_count(bytes.size()), MPI_BYTE, to, kTag, comm_, &sends_.back()),
        "MPI_Isend");
    return finished_ + sends_.size();
  }
  void finish_sends(SendTicket last) override {
    if (last <= finished_) return;
    const auto count = std::min<std::size_t>(last - finished_, sends_.size());
    check_mpi(MPI_Waitall(static_cast<int>(count), sends_.data(), MPI_STATUSES_IGNORE),
              "MPI_Waitall");
    sends_.erase(sends_.begin(), sends_.begin() + static_cast<std::ptrdiff_t>(count));
    finished_ += count;
  }
  void receive(ByteSpan bytes, int from) override {
    MPI_Status status;
    check_mpi(MPI_Recv(bytes.data(), mpi_count(bytes.size()), MPI_BYTE, from, kTag, comm_, &status),
              "MPI_Recv");
    int count = 0;
    MPI_Get_count(&status, MPI_BYTE, &count);
    require(static_cast<Bytes>(count) == bytes.size(), "received {} bytes instead of {}", count,
            bytes.size());
  }

  void barrier() override { check_mpi(MPI_Barrier(comm_), "MPI_Barrier"); }

  std::unique_ptr<Group> split(int color, const std::string& /*name*/) override {
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(comm_, color, rank_, &part), "MPI_Comm_split");
    return std::make_unique<MpiGroup>(part);
  }

 private:
  static constexpr int kTag = 1;

  MPI_Comm comm_;
  int rank_ = 0;
  int size_ = 1;
  std::vector<MPI_Request> sends_;  ///< started, not finished
  SendTicket finished_ = 0;         ///< the last one finished
};

}  // namespace

WorldPlace world_place() {
  WorldPlace place;
  MPI_Comm_rank(MPI_COMM_WORLD, &place.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &place.size);
  return place;
}

std::unique_ptr<Group> make_world_group() {
  MPI_Comm world = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &world), "MPI_Comm_dup");
  return std::make_unique<MpiGroup>(world);
}

}  // namespace weft
