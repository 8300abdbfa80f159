#include "app/commands/plan_simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <unordered_map>
#include <variant>

#include "app/commands/plan_speed.h"
#include "app/model_text.h"
#include "app/output/timings.h"
#include "app/requests/body_parameters.h"
#include "app/requests/prompt_tokens.h"
#include "app/requests/prompts.h"
#include "base/error.h"
#include "plan/topology.h"

namespace weft {
namespace {

constexpr std::size_t kShownLayouts = 10;
constexpr double kWorthwhile = 0.8;  ///< of the node-hours of the fewest nodes

/// How long answers are.
class AnswerLengths {
 public:
  explicit AnswerLengths(const std::string& text) {
    if (text == "max") return;
    const char* const end = text.data() + text.size();
    const auto [at, status] = std::from_chars(text.data(), end, low_);
    high_ = low_;
    if (status == std::errc() && low_ >= 1 && at == end) return;
    if (status == std::errc() && low_ >= 1 && *at == '-') {
      const auto [stop, second] = std::from_chars(at + 1, end, high_);
      if (second == std::errc() && stop == end && high_ >= low_) return;
    }
    low_ = high_ = 0;
    if (!std::filesystem::is_directory(text)) {
      fail_user(
          "--answers: '{}' is none of max, a number of tokens, LOW-HIGH, and the output "
          "directory of an earlier run",
          text);
    }
    visit_requests(text, [&](const RequestTiming& request) {
      earlier_[request.index] = request.completion_tokens;
    });
    if (earlier_.empty()) fail_user("--answers: {} has no finished requests", text);
  }

  /// For a completion of the request with that index that may be `most` long.
  [[nodiscard]] std::int64_t of(std::int64_t index, std::int64_t choices, std::int64_t most) const {
    if (!earlier_.empty()) {
      const auto found = earlier_.find(index);
      if (found == earlier_.end()) return most;
      return std::clamp<std::int64_t>(found->second / choices, 1, most);
    }
    if (high_ == 0) return most;
    // The golden ratio's multiples are spread evenly.
    const double share = std::fmod(static_cast<double>(index + 1) * 0.6180339887498949, 1.0);
    const auto length =
        low_ + static_cast<std::int64_t>(share * static_cast<double>(high_ - low_ + 1));
    return std::min(length, most);
  }

 private:
  std::int64_t low_ = 0;
  std::int64_t high_ = 0;
  std::unordered_map<std::int64_t, std::int64_t> earlier_;
};

std::string readable_time(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (seconds < 10) return fmt::format("{:.2f} s", seconds);
  if (whole < 600) return fmt::format("{:.1f} s", seconds);
  if (whole < 86400)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}-{:02}:{:02}:{:02}", whole / 86400, whole / 3600 % 24, whole / 60 % 60,
                     whole % 60);
}

double rate(const Simulation& s) {
  return s.seconds > 0 ? static_cast<double>(s.answer_tokens) / s.seconds : 0;
}

/// Percent of the time of the run.
double percent(double seconds, const Simulation& s) {
  return s.seconds > 0 ? 100 * seconds / s.seconds : 0;
}

std::string quantiles_text(const Quantiles& q) {
  return fmt::format("{} p50, {} p90, {} p99", readable_step(q.at(0.5)), readable_step(q.at(0.9)),
                     readable_step(q.at(0.99)));
}

std::string row_text(const SimulatedLayout& row) {
  const Simulation& s = row.simulation;
  const Layout& layout = row.layout;
  return fmt::format(
      "{:>4} {:>4} {:>4} {:>4} {:>4} {:>11} {:>9.0f} {:>10.3g} {:>11} {:>11} {:>6.0f} {:>6.0f}\n",
      layout.tp, layout.pp, layout.sp, layout.ep, layout.dp, readable_time(s.seconds), rate(s),
      row.node_hours(), readable_step(s.ttft.at(0.5)), readable_step(s.tpot.at(0.5)),
      percent(s.communication, s), percent(s.bubble + s.tail, s));
}

std::string header_text() {
  return fmt::format(
      "{:>4} {:>4} {:>4} {:>4} {:>4} {:>11} {:>9} {:>10} {:>11} {:>11} {:>6} {:>6}\n", "tp", "pp",
      "sp", "ep", "dp", "time", "tokens/s", "node-hours", "TTFT p50", "TPOT p50", "comm %",
      "idle %");
}

}  // namespace

std::vector<SimulatedRequest> simulated_requests(const Job& job, std::int64_t vocab,
                                                 const std::string& answers) {
  const AnswerLengths lengths(answers);
  const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(job.model);
  PromptTokens tokens(job.model, tokenizer.get(), job.input.lost_messages);
  PromptReader reader(job.input.file, prompt_rules(job, vocab));
  std::vector<SimulatedRequest> requests;
  std::string first;
  while (const std::optional<Prompt> prompt = reader.next()) {
    const auto* const line = std::get_if<PromptLine>(&*prompt);
    if (line == nullptr) continue;
    try {
      for (std::vector<TokenId>& each : tokens.of(*line)) {
        const std::int64_t answer =
            lengths.of(line->source.index, line->choices, line->sampling.max_tokens);
        for (std::int64_t choice = 0; choice < line->choices; ++choice) {
          requests.push_back({each, answer});
        }
      }
    } catch (const RequestFault& fault) {
      if (first.empty()) first = fault.message;
    } catch (const UserError& error) {
      if (first.empty()) first = error.what();
    }
  }
  if (requests.empty()) {
    fail_user("{}: no request can be simulated{}{}", job.input.file.string(),
              first.empty() ? "" : ": ", first);
  }
  return requests;
}

SimulatedLayout simulate_layout(const PlanSetting& setting, const Layout& layout,
                                const Hardware& hardware,
                                std::span<const SimulatedRequest> requests) {
  const LayoutVerdict verdict = judge_in(setting, layout);
  require(verdict.sizes.has_value(), "{} is not possible", to_string(layout));
  StepModel model(verdict, hardware, setting.ranks_per_node, setting.digest);
  return {layout, static_cast<int>(ceil_div(setting.ranks, setting.ranks_per_node)),
          simulate(requests, verdict, model)};
}

std::vector<SimulatedLayout> simulate_layouts(PlanSetting& setting, int ranks,
                                              const Hardware& hardware,
                                              std::span<const SimulatedRequest> requests,
                                              std::size_t most) {
  setting.ranks = ranks;
  std::vector<Layout> chosen;
  for (const PlanOrder order : {PlanOrder::decode, PlanOrder::prefill}) {
    std::size_t taken = 0;
    for (const PlannedLayout& row : planned_layouts(setting, order)) {
      if (!row.violations.empty() || taken++ == (most + 1) / 2) break;
      if (std::find(chosen.begin(), chosen.end(), row.layout) == chosen.end()) {
        chosen.push_back(row.layout);
      }
    }
  }
  std::vector<SimulatedLayout> layouts;
  for (const Layout& layout : chosen) {
    layouts.push_back(simulate_layout(setting, layout, hardware, requests));
  }
  std::stable_sort(layouts.begin(), layouts.end(),
                   [](const SimulatedLayout& a, const SimulatedLayout& b) {
                     return a.simulation.seconds < b.simulation.seconds;
                   });
  return layouts;
}

std::string simulation_text(const SimulatedLayout& simulated, const PlanSetting& setting,
                            std::optional<std::int64_t> time_limit) {
  const Simulation& s = simulated.simulation;
  std::string text = fmt::format(
      "\nsimulated with the scheduler of a run\n"
      "  time       {} in all: prefill {:.0f} %, decode {:.0f} %, communication {:.0f} "
      "%,\n"
      "             host {:.0f} %, waiting for other stages {:.0f} %, idle at the end {:.1f} %\n"
      "  tokens     {} in, {} out; {:.0f} out/s\n"
      "  node-hours {:.3g} on {} node{}\n"
      "  TTFT       {}\n"
      "  TPOT       {}\n"
      "  cache      {:.0f} % in use on average; {} preemptions; {} prompt tokens taken over\n",
      readable_time(s.seconds), percent(s.prefill, s), percent(s.decode, s),
      percent(s.communication, s), percent(s.host, s), percent(s.bubble, s), percent(s.tail, s),
      s.prompt_tokens, s.answer_tokens, rate(s), simulated.node_hours(), simulated.nodes,
      simulated.nodes == 1 ? "" : "s", quantiles_text(s.ttft), quantiles_text(s.tpot),
      100 * s.cache, s.preemptions, s.prefix_tokens);
  if (s.refused > 0) text += fmt::format("  refused    {} requests are too long\n", s.refused);
  if (time_limit) {
    const double usable = static_cast<double>(*time_limit) - s.load_seconds;
    if (usable <= 0) {
      text += fmt::format("  limit      loading alone takes longer than {}\n",
                          readable_time(static_cast<double>(*time_limit)));
    } else {
      const auto runs = static_cast<std::int64_t>(std::ceil((s.seconds - s.load_seconds) / usable));
      text += fmt::format("  limit      {} a run: queued again {} times\n",
                          readable_time(static_cast<double>(*time_limit)),
                          std::max<std::int64_t>(runs - 1, 0));
    }
  }
  return text + topology_warning(simulated.layout, setting.ranks_per_node);
}

std::string ranking_text(std::span<const SimulatedLayout> layouts, const PlanSetting& setting,
                         bool all) {
  std::string text = fmt::format("{} layouts of {} ranks simulated, fastest first\n",
                                 layouts.size(), setting.ranks);
  text += header_text();
  const std::size_t shown = all ? layouts.size() : std::min(layouts.size(), kShownLayouts);
  for (const SimulatedLayout& row : layouts.first(shown)) text += row_text(row);
  if (shown < layouts.size()) text += fmt::format("{} more: --all\n", layouts.size() - shown);
  const SimulatedLayout& best = layouts.front();
  const Simulation& s = best.simulation;
  text += fmt::format("\nrecommended: {}\n  It takes {}", to_string(best.layout),
                      readable_time(s.seconds));
  if (layouts.size() > 1) {
    const SimulatedLayout& next = layouts[1];
    text += fmt::format(", {:.1f} % less than the next, {}",
                        100 * (1 - s.seconds / next.simulation.seconds), to_string(next.layout));
  }
  text += fmt::format(
      ".\n  Its ranks spend {:.0f} % of the time on communication, and {:.0f} % idle.\n",
      percent(s.communication, s), percent(s.bubble + s.tail, s));
  return text + topology_warning(best.layout, setting.ranks_per_node);
}

std::string scaling_text(std::span<const SimulatedLayout> best) {
  std::string text = fmt::format("{:>6} {:>6} {:>11} {:>10} {:>10} {:>10}  {}\n", "nodes", "ranks",
                                 "time", "tokens/s", "node-hours", "efficiency", "layout");
  std::string end;
  for (const SimulatedLayout& row : best) {
    const double efficiency = best.front().node_hours() / row.node_hours();
    text += fmt::format("{:>6} {:>6} {:>11} {:>10.0f} {:>10.3g} {:>8.0f} %  {}\n", row.nodes,
                        row.layout.world_size(), readable_time(row.simulation.seconds),
                        rate(row.simulation), row.node_hours(), 100 * efficiency,
                        to_string(row.layout));
    if (end.empty() && efficiency < kWorthwhile) {
      end = fmt::format("efficiency falls below {:.0f} % at {} nodes\n", 100 * kWorthwhile,
                        row.nodes);
    }
  }
  return text +
         (end.empty() ? fmt::format("efficiency stays above {:.0f} %\n", 100 * kWorthwhile) : end);
}

nlohmann::ordered_json simulation_json(const SimulatedLayout& simulated) {
  const Simulation& s = simulated.simulation;
  const auto quantiles = [](const Quantiles& q) {
    return nlohmann::ordered_json{{"p50", q.at(0.5)}, {"p90", q.at(0.9)}, {"p99", q.at(0.99)}};
  };
  return {{"layout", layout_json(simulated.layout)},
          {"nodes", simulated.nodes},
          {"seconds", s.seconds},
          {"node_hours", simulated.node_hours()},
          {"prompt_tokens", s.prompt_tokens},
          {"completion_tokens", s.answer_tokens},
          {"completion_tokens_per_second", rate(s)},
          {"ttft_seconds", quantiles(s.ttft)},
          {"tpot_seconds", quantiles(s.tpot)},
          {"phase_seconds",
           {{"load", s.load_seconds},
            {"prefill", s.prefill},
            {"decode", s.decode},
            {"communication", s.communication},
            {"host", s.host},
            {"bubble", s.bubble},
            {"tail", s.tail}}},
          {"cache_in_use", s.cache},
          {"steps", s.steps},
          {"preemptions", s.preemptions},
          {"prefix_tokens_taken_over", s.prefix_tokens},
          {"refused", s.refused}};
}

std::string topology_warning(const Layout& layout, int ranks_per_node) {
  std::string axes;
  for (const Primitive axis : {Primitive::tp, Primitive::sp, Primitive::ep}) {
    if (size_of(layout, axis) == 1 || within_node(layout, axis, ranks_per_node)) continue;
    axes += fmt::format("{}{}={}", axes.empty() ? "" : " and ", name(axis), size_of(layout, axis));
  }
  if (axes.empty()) return {};
  return fmt::format(
      "warning: {} spans nodes of {} ranks and sends in every layer: keep tp, then sp and ep,\n"
      "  within a node, and put pp and dp across nodes\n",
      axes, ranks_per_node);
}

}  // namespace weft
