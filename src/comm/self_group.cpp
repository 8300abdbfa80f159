// A group of one rank: every operation is a copy or nothing.
#include <algorithm>
#include <cstring>
#include <deque>

#include "base/error.h"
#include "comm/group.h"

namespace weft {
namespace {

class SelfGroup final : public Group {
 public:
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 1; }

  void all_gather(ByteView send, ByteSpan recv, std::span<const Bytes> /*counts*/) override {
    copy(send, recv);
  }
  void all_to_all(ByteView send, std::span<const Bytes> /*send_counts*/, ByteSpan recv,
                  std::span<const Bytes> /*recv_counts*/) override {
    copy(send, recv);
  }
  void broadcast(ByteSpan /*bytes*/, int /*root*/) override {}
  SendTicket start_send(ByteView bytes, int /*to*/) override {
    sent_.emplace_back(bytes.begin(), bytes.end());
    return ++started_;
  }
  void finish_sends(SendTicket /*last*/) override {}
  void receive(ByteSpan bytes, int /*from*/) override {
    require(!sent_.empty() && sent_.front().size() == bytes.size(),
            "no message of {} bytes was sent", bytes.size());
    std::copy(sent_.front().begin(), sent_.front().end(), bytes.begin());
    sent_.pop_front();
  }
  void barrier() override {}
  std::unique_ptr<Group> split(int /*color*/, const std::string& /*name*/) override {
    return std::make_unique<SelfGroup>();
  }

 private:
  static void copy(ByteView from, ByteSpan to) {
    require(from.size() <= to.size(), "{} bytes received into {}", from.size(), to.size());
    if (!from.empty() && from.data() != to.data()) {
      std::memmove(to.data(), from.data(), from.size());
    }
  }

  std::deque<std::vector<std::byte>> sent_;  ///< to itself
  SendTicket started_ = 0;
};

}  // namespace

std::unique_ptr<Group> make_self_group() { return std::make_unique<SelfGroup>(); }

std::vector<std::string> gather_strings(Group& group, const std::string& text) {
  const std::uint64_t length = text.size();
  std::vector<Bytes> lengths(static_cast<std::size_t>(group.size()));
  group.all_gather(std::as_bytes(std::span(&length, 1)), std::as_writable_bytes(std::span(lengths)),
                   equal_counts(group, sizeof(length)));
  Bytes total = 0;
  for (const Bytes bytes : lengths) total += bytes;
  std::string all(total, '\0');
  group.all_gather(std::as_bytes(std::span(text)), std::as_writable_bytes(std::span(all)), lengths);
  std::vector<std::string> texts;
  std::size_t at = 0;
  for (const Bytes bytes : lengths) {
    texts.push_back(all.substr(at, bytes));
    at += bytes;
  }
  return texts;
}

}  // namespace weft
