#include "text/tokenizer/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/progress_counter.h"
#include "text/tokenizer/space_cuts.h"
#include "text/utf8.h"

namespace weft {
namespace {

/// A word of megabytes takes seconds.
constexpr std::int64_t kTurnsBetweenBeats = 1 << 16;

std::size_t slot_of(std::uint64_t pair, std::size_t slots) {
  const std::uint64_t mixed = (pair ^ (pair >> 29)) * 0x9E3779B97F4A7C15u;
  return static_cast<std::size_t>(mixed >> 32) & (slots - 1);
}

std::uint64_t pair_of(TokenId left, TokenId right) {
  return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

Bpe::Bpe(Vocab vocab, std::vector<Merge> merges, Options options)
    : vocab_(std::move(vocab)), merges_(std::move(merges)), options_(options) {
  slots_.resize(std::bit_ceil(2 * merges_.size() + 2));
  for (std::size_t rank = 0; rank < merges_.size(); ++rank) {
    insert(merges_[rank].left, merges_[rank].right, static_cast<std::uint32_t>(rank));
  }
  for (unsigned b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    const auto id =
        options_.byte_level ? vocab_.find({&byte, 1}) : vocab_.find(fmt::format("<0x{:02X}>", b));
    byte_tokens_[b] = id.value_or(-1);
  }
  cuts_at_spaces_ = !options_.byte_level && !options_.ignore_merges && vocab_.find(visible_space) &&
                    std::none_of(merges_.begin(), merges_.end(), [&](const Merge& m) {
                      return has_inner_space(vocab_.piece(m.result));
                    });
}

void Bpe::insert(TokenId left, TokenId right, std::uint32_t rank) {
  const std::uint64_t pair = pair_of(left, right);
  std::size_t i = slot_of(pair, slots_.size());
  while (slots_[i].rank != none && slots_[i].pair != pair) i = (i + 1) & (slots_.size() - 1);
  slots_[i] = {pair, rank};  // of a pair that is listed twice the later rank counts
}

std::uint32_t Bpe::rank_of(TokenId left, TokenId right) const {
  const std::uint64_t pair = pair_of(left, right);
  std::size_t i = slot_of(pair, slots_.size());
  while (slots_[i].rank != none && slots_[i].pair != pair) i = (i + 1) & (slots_.size() - 1);
  return slots_[i].rank;
}

void Bpe::encode(std::string_view word, Workspace& work, std::vector<TokenId>& out) const {
  require(word.size() < std::numeric_limits<std::int32_t>::max(), "a word of {} bytes",
          word.size());
  if (options_.ignore_merges) {
    if (const auto id = vocab_.find(word)) {
      out.push_back(*id);
      return;
    }
  }
  work.start.clear();
  if (options_.byte_level) {
    start_bytes(word, work.start);
  } else {
    start_characters(word, work.start);
  }
  merge(work, out);
}

void Bpe::start_bytes(std::string_view word, std::vector<TokenId>& start) const {
  bool in_unknown = false;
  for (const char c : word) {
    const TokenId id = byte_tokens_[static_cast<unsigned char>(c)];
    const bool was_unknown = std::exchange(in_unknown, id < 0);
    if (id >= 0) {
      start.push_back(id);
    } else if (options_.unk && !(was_unknown && options_.fuse_unk)) {
      start.push_back(*options_.unk);
    }
  }
}

void Bpe::start_characters(std::string_view word, std::vector<TokenId>& start) const {
  bool in_unknown = false;
  for (std::size_t pos = 0; pos < word.size();) {
    const std::size_t begin = pos;
    next_char(word, pos);
    const std::string_view character = word.substr(begin, pos - begin);
    const bool was_unknown = std::exchange(in_unknown, false);
    if (const auto id = vocab_.find(character)) {
      start.push_back(*id);
      continue;
    }
    const auto token = [&](char c) { return byte_tokens_[static_cast<unsigned char>(c)]; };
    if (options_.byte_fallback &&
        std::all_of(character.begin(), character.end(), [&](char c) { return token(c) >= 0; })) {
      for (const char c : character) start.push_back(token(c));
    } else if (options_.unk) {
      in_unknown = true;
      if (!was_unknown || !options_.fuse_unk) start.push_back(*options_.unk);
    }
  }
}

void Bpe::merge(Workspace& work, std::vector<TokenId>& out) const {
  auto& symbols = work.symbols;
  auto& queue = work.queue;
  const auto count = static_cast<std::int32_t>(work.start.size());
  symbols.resize(work.start.size());
  queue.clear();
  const auto at = [&](std::int32_t i) -> Workspace::Symbol& {
    return symbols[static_cast<std::size_t>(i)];
  };
  // Ranks symbol i against its neighbour. A rank names one pair, so an entry of the queue is out
  // of date exactly if its symbol has another rank by now.
  const auto rank = [&](std::int32_t i) {
    Workspace::Symbol& s = at(i);
    s.rank = s.next < 0 ? none : rank_of(s.id, at(s.next).id);
    return s.rank != none;
  };
  const auto entry = [&](std::int32_t i) {
    return static_cast<std::uint64_t>(at(i).rank) << 32 | static_cast<std::uint32_t>(i);
  };
  const auto enqueue = [&](std::int32_t i) {
    if (!rank(i)) return;
    queue.push_back(entry(i));
    std::push_heap(queue.begin(), queue.end(), std::greater<>());
  };

  for (std::int32_t i = 0; i < count; ++i) {
    at(i) = {work.start[static_cast<std::size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1, none};
  }
  for (std::int32_t i = 0; i < count; ++i) {
    if (rank(i)) queue.push_back(entry(i));
  }
  std::make_heap(queue.begin(), queue.end(), std::greater<>());
  for (std::int64_t turn = 1; !queue.empty(); ++turn) {
    if (turn % kTurnsBetweenBeats == 0) count_progress();
    std::pop_heap(queue.begin(), queue.end(), std::greater<>());
    const std::uint64_t best = queue.back();
    queue.pop_back();
    const auto i = static_cast<std::int32_t>(best & 0xFFFFFFFF);
    Workspace::Symbol& left = at(i);
    if (left.rank != best >> 32) continue;
    Workspace::Symbol& right = at(left.next);
    left.id = merges_[left.rank].result;
    left.next = right.next;
    right.rank = none;
    if (left.next >= 0) at(left.next).previous = i;
    enqueue(i);
    if (left.previous >= 0) enqueue(left.previous);
  }
  for (std::int32_t i = count > 0 ? 0 : -1; i >= 0; i = at(i).next) out.push_back(at(i).id);
}

}  // namespace weft
