#include "comm/control/mailbox.h"

#include <algorithm>

#include "base/error.h"

namespace weft {
namespace {

constexpr int kTag = 1101;

void check_control(int code, const char* operation) {
  if (code != MPI_SUCCESS) fail("job control: {} failed with MPI error {}", operation, code);
}

}  // namespace

Mailbox::Mailbox() {
  MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &size_);
}

Mailbox::~Mailbox() {
  // Small letters leave at once; what has not left is left to MPI, with its bytes.
  static std::list<Sent> abandoned;
  abandoned.splice(abandoned.end(), under_way_);
}

void Mailbox::send(std::span<const std::byte> bytes, int to) {
  Sent& letter = under_way_.emplace_back();
  letter.to = to;
  letter.bytes.assign(bytes.begin(), bytes.end());
  // NOLINTNEXTLINE(clang-analyzer-optin.mpi.MPI-Checker): `all_sent` tests the request.
  check_control(MPI_Isend(letter.bytes.data(), static_cast<int>(letter.bytes.size()), MPI_BYTE, to,
                          kTag, comm_, &letter.request),
                "MPI_Isend");
}

bool Mailbox::busy(int to) const {
  return std::any_of(under_way_.begin(), under_way_.end(),
                     [to](const Sent& letter) { return letter.to == to; });
}

std::optional<Mailbox::Letter> Mailbox::receive() {
  int arrived = 0;
  MPI_Status status;
  check_control(MPI_Iprobe(MPI_ANY_SOURCE, kTag, comm_, &arrived, &status), "MPI_Iprobe");
  if (arrived == 0) return std::nullopt;
  int count = 0;
  MPI_Get_count(&status, MPI_BYTE, &count);
  Letter letter{status.MPI_SOURCE, std::vector<std::byte>(static_cast<std::size_t>(count))};
  check_control(
      MPI_Recv(letter.bytes.data(), count, MPI_BYTE, letter.from, kTag, comm_, MPI_STATUS_IGNORE),
      "MPI_Recv");
  return letter;
}

bool Mailbox::all_sent() {
  under_way_.remove_if([](Sent& letter) {
    int done = 0;
    check_control(MPI_Test(&letter.request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    return done != 0;
  });
  return under_way_.empty();
}

}  // namespace weft
