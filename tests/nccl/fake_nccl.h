// NCCL's functions over MPI, with what can go wrong as a script.
#pragma once

#include <atomic>
#include <memory>

#include "cuda/nccl_comm.h"

namespace weft::testing {

/// What the fake does; one for the process.
struct NcclScript {
  std::atomic<int> in_progress{0};  ///< how often a call is said to be in progress before it ends
  std::atomic<bool> stuck{false};   ///< calls stay in progress for ever
  std::atomic<ncclResult_t> error{ncclSuccess};       ///< that communicators report between calls
  std::atomic<ncclResult_t> send_fails{ncclSuccess};  ///< what ncclSend returns
  std::atomic<bool> abort_hangs{false};

  /// Windows are refused: registering them yields none.
  std::atomic<bool> no_windows{false};

  // What it has seen.
  std::atomic<int> windows{0};         ///< that are open
  std::atomic<int> pieces{0};          ///< of memory that are out
  std::atomic<int> window_gathers{0};  ///< all_gathers between windows that were done
  std::atomic<int> open_groups{0};
  std::atomic<int> operations{0};  ///< calls that move data
  std::atomic<int> aborts{0};

  void reset();
};
NcclScript& nccl_script();

const NcclApi& fake_nccl_api();

/// Marks, counted from 1, that are passed at once, up to number `until` only, or fail.
class FakeMarks final : public StreamMarks {
 public:
  enum class Stream { runs, stands, fails };
  void enter_thread() override { ++threads; }
  Mark set() override;
  bool passed(Mark mark) override;
  void give_back(Mark mark) override;

  std::atomic<Stream> stream{Stream::runs};
  std::atomic<Mark> until{0};
  std::atomic<Mark> last{0};
  std::atomic<int> threads{0};  ///< that have made the device theirs
  std::atomic<int> out{0};      ///< marks that are asked after
};

}  // namespace weft::testing
