#include "comm/control/control_service.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/message.h"
#include "comm/control/control_message.h"
#include "comm/control/self_watchdog.h"

namespace weft {
namespace {

using Kind = ControlMessage::Kind;

/// Between two looks into the mailbox: usually, and while somebody waits for an answer.
constexpr std::chrono::milliseconds kPause(40);
constexpr std::chrono::milliseconds kShortPause(2);
constexpr std::chrono::milliseconds kLively(100);
constexpr std::chrono::milliseconds kClaimAgain(20);
/// How long an ending process stays to let its last letters leave.
constexpr std::chrono::milliseconds kLastLetters(300);
/// Seconds after which an ending process is killed: its error output may be blocked, or MPI.
constexpr unsigned kLastResort = 10;
/// Looks by which the others are slower than the one that speaks for rank 0's silence.
constexpr int kAfterTheSpeaker = 3;
/// The same where each rank sees alone what others see too: no letter keeps the others from
/// speaking, but the launcher, which takes a while to end them. The first ranks speak one after the
/// other.
constexpr int kAfterEachAlone = 10;
constexpr int kSpeakersAlone = 4;

/// The rank that speaks when rank 0 is silent: one on another host where there is one.
int speaker(const std::vector<std::string>& hosts) {
  for (std::size_t rank = 1; rank < hosts.size(); ++rank) {
    if (hosts[rank] != hosts.front()) return static_cast<int>(rank);
  }
  return 1;
}

ControlMessage plain(Kind kind) {
  ControlMessage message;
  message.kind = kind;
  return message;
}

}  // namespace

ControlService::ControlService(ControlBoard& board, bool (*stop_requested)())
    : board_(board),
      time_(board.watchdog_seconds),
      stop_requested_(stop_requested),
      next_look_(Clock::now()) {
  thread_ = std::thread([this] { run(); });
}

ControlService::~ControlService() { thread_.join(); }

void ControlService::run() {
  try {
    while (sleep()) serve();
  } catch (const std::exception& error) {
    end_job(fmt::format("{}: {}", own_name(), error.what()), 1);
  }
}

/// False when the thread is to end.
bool ControlService::sleep() {
  std::unique_lock lock(board_.mutex);
  Clock::time_point until = next_look_;
  if (mailbox_) {
    const bool lively = claim_under_way_ || board_.closing || Clock::now() < lively_until_;
    until = Clock::now() + (lively ? kShortPause : kPause);
  }
  board_.to_service.wait_until(lock, until, [this] { return board_.nudged; });
  board_.nudged = false;
  return !board_.ended;
}

void ControlService::serve() {
  if (!mailbox_ && !left_) {
    end_on_stop();
    learn_watchdog();
    connect();
  }
  learn_hosts();
  if (mailbox_) {
    receive_all();
    pass_on_stop();
    pass_on_groups();
    pass_on_claim();
    pass_on_done();
  }
  if (Clock::now() >= next_look_) look();
  if (!mailbox_) return;
  pass_on_end();
  mailbox_->all_sent();
  if (left_) leave();
}

/// Ends the process when that is what a request to stop means now. The board stays locked: the main
/// thread cannot get on meanwhile.
void ControlService::end_on_stop() {
  if (stop_requested_ == nullptr || !stop_requested_()) return;
  const std::lock_guard lock(board_.mutex);
  if (board_.status_at_stop == 0) return;
  ::alarm(kLastResort);
  fmt::print("weft: {}: stopped, {}; nothing is lost: run again to go on\n", own_name(),
             weft::describe(board_.activity.state()));
  std::fflush(stdout);
  ::_exit(board_.status_at_stop);
}

void ControlService::learn_watchdog() {
  const std::lock_guard lock(board_.mutex);
  if (board_.watchdog_seconds == time_.seconds) return;
  time_ = WatchTime(board_.watchdog_seconds);
  next_look_ = Clock::now();
}

/// Begins to hear of the others, once the board says so.
void ControlService::connect() {
  const std::lock_guard lock(board_.mutex);
  rank_ = board_.rank;
  if (!board_.connect) return;
  mailbox_.emplace();
  monitor_.emplace(std::vector<std::string>(static_cast<std::size_t>(mailbox_->size())),
                   rank_ == 0 ? mailbox_->size() : 1, time_.limit, time_.seconds);
  next_look_ = Clock::now();
}

/// Nothing more will be sent, and nothing will come.
void ControlService::leave() {
  mailbox_.reset();
  const std::lock_guard lock(board_.mutex);
  board_.closed = true;
  board_.to_main.notify_all();
}

void ControlService::learn_hosts() {
  if (!hosts_.empty()) return;
  const std::lock_guard lock(board_.mutex);
  hosts_ = board_.hosts;
  if (monitor_ && !hosts_.empty()) monitor_->introduce(hosts_);
}

void ControlService::send(const ControlMessage& message, int to) {
  mailbox_->send(std::as_bytes(std::span(&message, 1)), to);
}

void ControlService::send_to_all(const ControlMessage& message) {
  for (int rank = 0; rank < mailbox_->size(); ++rank) {
    if (rank != rank_) send(message, rank);
  }
}

void ControlService::receive_all() {
  while (!left_) {
    const auto letter = mailbox_->receive();
    if (!letter) return;
    handle(letter->from, letter->bytes);
  }
}

void ControlService::handle(int from, const std::vector<std::byte>& bytes) {
  ControlMessage message;
  std::memcpy(&message, bytes.data(), sizeof(message));
  switch (message.kind) {
    case Kind::heartbeat: {
      monitor_->hear(from, message.state);
      const std::lock_guard lock(board_.mutex);
      const auto replica = replica_of_.find(from);
      if (board_.table && replica != replica_of_.end()) {
        board_.table->note_finished(replica->second, message.state.progress.rows);
      }
      break;
    }
    case Kind::claim:
      answer_claim(from, message);
      break;
    case Kind::grant:
      take_grant(message);
      break;
    case Kind::stop: {
      const std::lock_guard lock(board_.mutex);
      board_.stop = true;
      board_.to_main.notify_all();
      break;
    }
    case Kind::group: {
      std::vector<int> members((bytes.size() - sizeof(message)) / sizeof(int));
      std::memcpy(members.data(), bytes.data() + sizeof(message), members.size() * sizeof(int));
      monitor_->add_group(message.state.group, std::move(members));
      break;
    }
    case Kind::done:
      ++done_;
      break;
    case Kind::all_done: {
      const std::lock_guard lock(board_.mutex);
      board_.all_done = true;
      board_.to_main.notify_all();
      break;
    }
    case Kind::end:
      ::_exit(message.status);
    case Kind::bye:
      monitor_->excuse(from);
      ++byes_;
      left_ = rank_ != 0;
      break;
  }
}

void ControlService::answer_claim(int from, const ControlMessage& claim) {
  lively_until_ = Clock::now() + kLively;
  monitor_->hear(from, claim.state);
  replica_of_[from] = claim.replica;
  ControlMessage answer = plain(Kind::grant);
  {
    const std::lock_guard lock(board_.mutex);
    // Before there is work here, the other rank is told to ask again.
    answer.grant = board_.table ? board_.table->claim(claim.replica, claim.state.progress.rows)
                                : Grant{Grant::Answer::later, {}};
  }
  send(answer, from);
}

void ControlService::take_grant(const ControlMessage& grant) {
  claim_under_way_ = false;
  if (grant.grant.answer == Grant::Answer::later) {
    claim_again_ = Clock::now() + kClaimAgain;
    return;
  }
  const std::lock_guard lock(board_.mutex);
  board_.claim_wanted = false;
  if (grant.grant.answer == Grant::Answer::rows) {
    board_.granted.push_back(grant.grant.rows);
  } else {
    board_.exhausted = true;
  }
  board_.to_main.notify_all();
}

void ControlService::pass_on_stop() {
  if (stop_told_) return;
  const bool requested = stop_requested_ != nullptr && stop_requested_();
  {
    const std::lock_guard lock(board_.mutex);
    if (rank_ != 0 && board_.stop) stop_told_ = true;  // rank 0 knows
    if (stop_told_ || (!board_.stop && !board_.stop_wanted && !requested)) return;
    if (rank_ == 0) {
      board_.stop = true;
      board_.to_main.notify_all();
    }
  }
  stop_told_ = true;
  if (rank_ == 0) {
    send_to_all(plain(Kind::stop));
  } else {
    send(plain(Kind::stop), 0);
  }
}

void ControlService::pass_on_groups() {
  std::vector<std::pair<std::uint64_t, std::vector<int>>> groups;
  {
    const std::lock_guard lock(board_.mutex);
    groups.swap(board_.new_groups);
  }
  for (auto& [name, members] : groups) {
    if (rank_ != 0 && members.front() == rank_) {
      ControlMessage message = plain(Kind::group);
      message.state.group = name;
      std::vector<std::byte> bytes(sizeof(message) + members.size() * sizeof(int));
      std::memcpy(bytes.data(), &message, sizeof(message));
      std::memcpy(bytes.data() + sizeof(message), members.data(), members.size() * sizeof(int));
      mailbox_->send(bytes, 0);
    }
    monitor_->add_group(name, std::move(members));
  }
}

void ControlService::pass_on_claim() {
  if (claim_under_way_ || Clock::now() < claim_again_) return;
  ControlMessage claim = plain(Kind::claim);
  {
    const std::lock_guard lock(board_.mutex);
    if (!board_.claim_wanted) return;
    claim.replica = board_.replica;
  }
  claim.state = board_.activity.state();
  claim_under_way_ = true;
  send(claim, 0);
}

void ControlService::pass_on_done() {
  if (!done_told_) {
    const std::lock_guard lock(board_.mutex);
    if (!board_.done) return;
    done_told_ = true;
    if (rank_ == 0) {
      ++done_;
    } else {
      send(plain(Kind::done), 0);
    }
  }
  if (rank_ != 0 || done_ != mailbox_->size()) return;
  done_ = 0;
  send_to_all(plain(Kind::all_done));
  const std::lock_guard lock(board_.mutex);
  board_.all_done = true;
  board_.to_main.notify_all();
}

/// The end, when all is well: nobody leaves while a letter to it may be under way. It goes on being
/// watched: a rank that hears nothing of rank 0 ends the job.
void ControlService::pass_on_end() {
  {
    const std::lock_guard lock(board_.mutex);
    if (!board_.closing) return;
  }
  if (!bye_told_ && (rank_ != 0 || byes_ == mailbox_->size() - 1)) {
    bye_told_ = true;
    if (rank_ == 0) {
      send_to_all(plain(Kind::bye));
    } else {
      send(plain(Kind::bye), 0);
    }
  }
  if (rank_ == 0 && bye_told_) left_ = mailbox_->all_sent();
}

void ControlService::look() {
  next_look_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(time_.period);
  const RankState state = board_.activity.look();
  if (!mailbox_) return check_self(state);
  ControlMessage message = plain(Kind::heartbeat);
  message.state = state;
  mailbox_->all_sent();
  for (int rank = 0; rank < (rank_ == 0 ? mailbox_->size() : 1) && !bye_told_; ++rank) {
    // A peer that takes nothing is not sent more and more.
    if (rank != rank_ && !mailbox_->busy(rank)) send(message, rank);
  }
  monitor_->look();
  monitor_->hear(rank_, state);
  const bool speaks = rank_ == 0 || rank_ == speaker(hosts_);
  if (const auto why = monitor_->silence(speaks ? 0 : kAfterTheSpeaker)) end_hung_job(*why);
  if (rank_ != 0) return;
  if (const auto why = monitor_->lateness()) end_hung_job(*why);
  if (const auto why = monitor_->stillness()) end_hung_job(*why);
  const std::lock_guard lock(board_.mutex);
  board_.progress = monitor_->progress();
}

void ControlService::check_self(const RankState& state) {
  std::uint64_t world = 0;
  {
    const std::lock_guard lock(board_.mutex);
    world = board_.world;
  }
  const int later = std::clamp(rank_, 0, kSpeakersAlone) * kAfterEachAlone;
  if (const auto why = stuck_alone(state, own_name(), time_, world, later)) end_hung_job(*why);
}

/// For people.
std::string ControlService::own_name() const {
  if (!hosts_.empty()) {
    return fmt::format("rank {} on {}", rank_, hosts_[static_cast<std::size_t>(rank_)]);
  }
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  if (rank_ >= 0) return fmt::format("rank {} on {}", rank_, host);
  return fmt::format("process {} on {}", ::getpid(), host);
}

void ControlService::end_hung_job(const std::string& why) {
  int status = 1;
  {
    const std::lock_guard lock(board_.mutex);
    status = board_.status_when_hung;
  }
  end_job(why, status);
}

void ControlService::end_job(const std::string& why, int status) {
  ::alarm(kLastResort);
  print_error(why);
  std::fflush(stderr);
  if (mailbox_) {
    ControlMessage end = plain(Kind::end);
    end.status = status;
    send_to_all(end);
    const Clock::time_point until = Clock::now() + kLastLetters;
    while (Clock::now() < until) {
      mailbox_->all_sent();
      std::this_thread::sleep_for(kShortPause);
    }
  }
  // Not MPI_Abort: the main thread is inside MPI. The launcher ends what has not heard of it.
  ::_exit(status);
}

}  // namespace weft
