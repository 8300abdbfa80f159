#include "app/output/trace_file.h"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <system_error>

#include "base/progress_counter.h"
#include "io/file.h"

namespace weft {
namespace {

using Path = std::filesystem::path;

constexpr std::size_t kSpansOfMessage = std::size_t{40} << 10;  ///< spans of one message
constexpr std::size_t kTraceBuffer = std::size_t{1} << 20;

/// What a rank sends ahead of its spans.
struct Header {
  std::int64_t spans = 0;
  std::int64_t dropped = 0;
  ClockPair clocks;
};

/// Tracks of a rank, by `tid`. On one track spans only nest.
enum Track { kSteps = 0, kLayers = 1, kCommunication = 2 };

Track track_of(Phase phase) {
  switch (phase) {
    case Phase::attention:
    case Phase::ffn:
      return kLayers;
    case Phase::communication:
    case Phase::bubble:
    case Phase::waiting:
      return kCommunication;
    default:
      return kSteps;
  }
}

double microseconds(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-3; }

/// The array of events, written piece by piece.
class EventFile {
 public:
  explicit EventFile(const Path& path) : file_(File::create(path)), text_("[\n") {}

  void name_rank(int rank, const std::string& label, const Header& header) {
    add(fmt::format(R"({{"ph":"M","pid":{},"name":"process_name","args":{{"name":{}}}}})", rank,
                    nlohmann::json(label).dump()));
    add(fmt::format(
        R"({{"ph":"M","pid":{0},"name":"process_sort_index","args":{{"sort_index":{0}}}}})", rank));
    for (const auto& [track, name] : {std::pair(kSteps, "steps"), std::pair(kLayers, "layers"),
                                      std::pair(kCommunication, "communication")}) {
      add(fmt::format(
          R"({{"ph":"M","pid":{},"tid":{},"name":"thread_name","args":{{"name":"{}"}}}})", rank,
          static_cast<int>(track), name));
    }
    const ClockPair& clocks = header.clocks;
    add(fmt::format(
        R"({{"ph":"M","pid":{},"name":"weft_clock","args":{{"offset_us_begin":{:.3f},)"
        R"("uncertainty_us_begin":{:.3f},"offset_us_end":{:.3f},"uncertainty_us_end":{:.3f},)"
        R"("spans":{},"dropped_spans":{}}}}})",
        rank, microseconds(clocks.begin.nanoseconds), microseconds(clocks.begin.uncertainty),
        microseconds(clocks.end.nanoseconds), microseconds(clocks.end.uncertainty), header.spans,
        header.dropped));
  }

  void add_span(int rank, const TraceSpan& span, const ClockPair& clocks, std::int64_t zero) {
    // Ends, not lengths, are moved to rank 0's clock: what nests goes on nesting.
    const std::int64_t begin = clocks.on_rank_zero(span.begin) - zero;
    const std::int64_t end = clocks.on_rank_zero(span.end) - zero;
    // A run has hundreds of thousands of these, and they are written when it could be at its end.
    begin_event();
    const auto out = std::back_inserter(text_);
    fmt::format_to(out, FMT_COMPILE(R"({{"ph":"X","pid":{},"tid":{},"ts":)"), rank,
                   static_cast<int>(track_of(span.phase)));
    add_microseconds(begin);
    text_ += R"(,"dur":)";
    add_microseconds(end - begin);
    fmt::format_to(out, FMT_COMPILE(R"(,"name":"{}"}})"), name(span.phase));
    end_event();
  }

  void close() {
    text_ += "\n]\n";
    flush();
    file_.sync();
  }

 private:
  void add(std::string_view event) {
    begin_event();
    text_ += event;
    end_event();
  }

  void begin_event() {
    if (any_) text_ += ",\n";
    any_ = true;
  }

  void end_event() {
    if (text_.size() >= kTraceBuffer) flush();
  }

  void add_microseconds(std::int64_t nanoseconds) {
    if (nanoseconds < 0) text_ += '-';
    const std::int64_t size = std::abs(nanoseconds);
    fmt::format_to(std::back_inserter(text_), FMT_COMPILE("{}.{:03}"), size / 1000, size % 1000);
  }

  void flush() {
    count_progress();
    file_.write_all(std::as_bytes(std::span(text_)));
    text_.clear();
  }

  File file_;
  std::string text_;
  bool any_ = false;
};

std::string label_of(int rank, const Layout& layout, const std::string& host) {
  const RankCoordinates place = coordinates_of(layout, rank);
  return fmt::format("rank {} dp{} pp{} sp{} tp{} on {}", rank, place.dp, place.pp, place.sp,
                     place.tp, host);
}

void send_spans(const Header& header, std::span<const TraceSpan> spans, Group& world) {
  std::byte go{};
  world.receive({&go, 1}, 0);
  world.start_send(std::as_bytes(std::span(&header, 1)), 0);
  world.finish_sends();
  while (!spans.empty()) {
    const std::span<const TraceSpan> piece = spans.first(std::min(kSpansOfMessage, spans.size()));
    world.start_send(std::as_bytes(piece), 0);
    world.finish_sends();
    spans = spans.subspan(piece.size());
  }
}

void receive_spans(int rank, const std::string& label, std::int64_t zero, EventFile& file,
                   Group& world) {
  const std::byte go{1};
  world.start_send({&go, 1}, rank);
  world.finish_sends();
  Header header;
  world.receive(std::as_writable_bytes(std::span(&header, 1)), rank);
  file.name_rank(rank, label, header);
  std::vector<TraceSpan> piece;
  for (auto left = static_cast<std::size_t>(header.spans); left > 0; left -= piece.size()) {
    piece.resize(std::min(kSpansOfMessage, left));
    world.receive(std::as_writable_bytes(std::span(piece)), rank);
    for (const TraceSpan& span : piece) file.add_span(rank, span, header.clocks, zero);
  }
}

}  // namespace

std::int64_t ClockPair::on_rank_zero(std::int64_t time) const {
  const std::int64_t length = end_at - begin_at;
  if (length <= 0) return time + begin.nanoseconds;
  const double share = static_cast<double>(time - begin_at) / static_cast<double>(length);
  const auto change = static_cast<double>(end.nanoseconds - begin.nanoseconds);
  return time + begin.nanoseconds + static_cast<std::int64_t>(share * change);
}

void write_trace(const Path& output_dir, const Tracer& tracer, const ClockPair& clocks,
                 std::int64_t zero, const Layout& layout, const std::vector<std::string>& hosts,
                 Group& world) {
  const Header header{static_cast<std::int64_t>(tracer.spans().size()), tracer.dropped(), clocks};
  if (world.rank() != 0) {
    send_spans(header, tracer.spans(), world);
    return;
  }
  const Path partial = output_dir / "trace.json.tmp";
  try {
    EventFile file(partial);
    file.name_rank(0, label_of(0, layout, hosts.at(0)), header);
    for (const TraceSpan& span : tracer.spans()) file.add_span(0, span, clocks, zero);
    for (int rank = 1; rank < world.size(); ++rank) {
      const std::string label = label_of(rank, layout, hosts.at(static_cast<std::size_t>(rank)));
      receive_spans(rank, label, zero, file, world);
    }
    file.close();
    replace_file(partial, output_dir / "trace.json");
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
    throw;
  }
}

}  // namespace weft
