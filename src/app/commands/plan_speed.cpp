#include "app/commands/plan_speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "plan/planned_step.h"
#include "plan/prediction.h"

namespace weft {
namespace {

/// "1 sequence", "2 sequences".
std::string counted(std::int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string decode_in_words(const PlannedStep& step, const Layout& layout) {
  return fmt::format("{} behind {} each{}", counted(step.on_rank.sequences, "sequence"),
                     counted(step.on_rank.context, "token"),
                     layout.sp > 1 ? ", on each sp rank" : "");
}

std::string prefill_in_words(const PlannedStep& step, const Layout& layout) {
  const std::int64_t length = step.on_rank.rows * (step.shared ? layout.sp : 1);
  std::string text = fmt::format("{} of {}", counted(step.on_rank.sequences, "new prompt"),
                                 counted(length, "token"));
  if (layout.sp > 1) text += step.shared ? ", shared by the sp ranks" : ", on each sp rank";
  return text;
}

/// The traffic of the rank that sends most along an axis.
const Traffic& busiest(const std::vector<Traffic>& traffic, Primitive axis) {
  return *std::max_element(traffic.begin(), traffic.end(), [&](const Traffic& a, const Traffic& b) {
    const Transfer left = a.total(axis);
    const Transfer right = b.total(axis);
    return std::pair(left.sent, left.received) < std::pair(right.sent, right.received);
  });
}

std::string cells(const Transfer& transfer) {
  return fmt::format(" {:>7} {:>13} {:>13}", transfer.calls, transfer.sent, transfer.received);
}

std::string speed_line(const char* what, const StepPrediction& step, const std::string& words) {
  return fmt::format(
      "  {:<8} {:>11} a step ({:.0f} % communication), {:.0f} tokens/s:\n           {}\n", what,
      readable_step(step.seconds), 100 * step.communication, step.tokens_per_second, words);
}

}  // namespace

std::string traffic_text(const LayoutVerdict& verdict, bool digest) {
  const Layout& layout = verdict.layout;
  if (layout.replica_size() == 1) return {};
  const EngineSizes& sizes = *verdict.sizes;
  const PlannedStep decode = decode_step(sizes, layout);
  const PlannedStep prefill = prefill_step(sizes, layout);
  const auto traffic = [&](const PlannedStep& step) {
    return traffic_of(step, layout, verdict.parts, sizes.shape, digest);
  };
  const std::vector<Traffic> of_decode = traffic(decode);
  const std::vector<Traffic> of_prefill = traffic(prefill);
  std::string text = fmt::format(
      "\ncalls and bytes in a step, of the rank that sends most along an axis\n"
      "  decode   {}\n  prefill  {}\n"
      "  tokens are greedy and spread evenly over the vocabulary{}{}\n\n",
      decode_in_words(decode, layout), prefill_in_words(prefill, layout),
      verdict.parts.front().config.has_experts() ? " and over the experts" : "",
      decode.kept && !digest && layout.tp > 1 ? "; in decode every rank looks all of them up" : "");
  text += fmt::format("  {:<15} {:^35} {:^35}\n", "", "decode", "prefill");
  text += fmt::format("  {:<15} {:>7} {:>13} {:>13} {:>7} {:>13} {:>13}\n", "", "calls", "sent",
                      "received", "calls", "sent", "received");
  for (const Primitive axis : communicating_axes()) {
    const Traffic& first = busiest(of_decode, axis);
    const Traffic& second = busiest(of_prefill, axis);
    for (const Operation operation : moving_operations()) {
      const Transfer left = first.of(axis, operation);
      const Transfer right = second.of(axis, operation);
      if (left.calls + right.calls == 0) continue;
      text +=
          fmt::format("  {} {:<12}{}{}\n", name(axis), name(operation), cells(left), cells(right));
    }
  }
  return text;
}

std::string speed_text(const LayoutVerdict& verdict, const MachineLimits& limits, bool digest,
                       int ranks_per_node) {
  const SpeedPrediction speed = predict_speed(verdict, limits, digest, ranks_per_node);
  const Layout& layout = verdict.layout;
  std::string text = "\nspeed at best\n";
  text += speed_line("decode", speed.decode, decode_in_words(speed.decode_step, layout));
  text += speed_line("prefill", speed.prefill, prefill_in_words(speed.prefill_step, layout));
  return text + speed_footnote(limits);
}

std::string speed_footnote(const MachineLimits& limits) {
  return fmt::format(
      "speed is an upper bound that no run reaches (a roofline): weights and cached keys are read "
      "once,\nall products and bytes at the limit, nothing else costs anything\n"
      "limits of a rank: {}\n",
      limits.source);
}

std::string readable_step(double seconds) {
  return seconds < 1 ? fmt::format("{:.3f} ms", seconds * 1e3) : fmt::format("{:.3f} s", seconds);
}

nlohmann::ordered_json layout_json(const Layout& layout) {
  return {{"tp", layout.tp},
          {"pp", layout.pp},
          {"sp", layout.sp},
          {"ep", layout.ep},
          {"dp", layout.dp}};
}

nlohmann::ordered_json footprint_json(const Footprint& footprint) {
  return {{"weights", footprint.weights},
          {"kv_cache", footprint.kv_cache},
          {"activations", footprint.activations},
          {"buffers", footprint.buffers},
          {"total", footprint.total()}};
}

nlohmann::ordered_json speed_json(const SpeedPrediction& speed) {
  const auto step = [](const StepPrediction& prediction, const PlannedStep& planned) {
    return nlohmann::ordered_json{{"seconds", prediction.seconds},
                                  {"communication", prediction.communication},
                                  {"tokens_per_second", prediction.tokens_per_second},
                                  {"sequences", planned.on_rank.sequences},
                                  {"rows", planned.on_rank.rows},
                                  {"context", planned.on_rank.context}};
  };
  return {{"decode", step(speed.decode, speed.decode_step)},
          {"prefill", step(speed.prefill, speed.prefill_step)}};
}

}  // namespace weft
