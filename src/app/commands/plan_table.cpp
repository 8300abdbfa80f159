#include "app/commands/plan_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <tuple>

#include "app/commands/plan_speed.h"
#include "app/engine_settings.h"
#include "base/error.h"
#include "layout/legality.h"
#include "plan/planned_step.h"

namespace weft {
namespace {

constexpr std::size_t kShown = 10;
constexpr std::size_t kColumns = 100;

/// "   2    1    1    1    4 ".
std::string axes_columns(const Layout& layout) {
  return fmt::format("{:>4} {:>4} {:>4} {:>4} {:>4} ", layout.tp, layout.pp, layout.sp, layout.ep,
                     layout.dp);
}

std::string header(bool speed) {
  const std::string axes =
      fmt::format("{:>4} {:>4} {:>4} {:>4} {:>4} ", "tp", "pp", "sp", "ep", "dp");
  if (speed) {
    return axes + fmt::format("{:>10} {:>10} {:>9} {:>8} {:>10} {:>11} {:>11}\n", "weights",
                              "memory", "kv tokens", "decoding", "decode", "decode t/s",
                              "prefill t/s");
  }
  return axes + fmt::format("{:>11} {:>11} {:>11} {:>11} {:>11} {:>10}\n", "weights", "kv cache",
                            "activations", "buffers", "total", "kv tokens");
}

std::string possible_row(const PlannedLayout& row) {
  const Footprint& most = row.most;
  if (!row.speed) {
    return fmt::format("{}{:>11} {:>11} {:>11} {:>11} {:>11} {:>10}\n", axes_columns(row.layout),
                       human_bytes(most.weights), human_bytes(most.kv_cache),
                       human_bytes(most.activations), human_bytes(most.buffers),
                       human_bytes(most.total()), row.kv_tokens);
  }
  const SpeedPrediction& speed = *row.speed;
  return fmt::format("{}{:>10} {:>10} {:>9} {:>8} {:>10} {:>11.0f} {:>11.0f}\n",
                     axes_columns(row.layout), human_bytes(most.weights), human_bytes(most.total()),
                     row.kv_tokens, speed.decode_step.on_rank.sequences,
                     readable_step(speed.decode.seconds), speed.decode.tokens_per_second,
                     speed.prefill.tokens_per_second);
}

/// `text` in lines of at most kColumns, all but the first behind `indent` blanks.
std::string wrapped(std::string_view text, std::size_t indent) {
  std::string lines;
  while (text.size() > kColumns - indent) {
    std::size_t end = text.rfind(' ', kColumns - indent);
    if (end == std::string_view::npos || end == 0) end = kColumns - indent;
    lines += std::string(text.substr(0, end)) + "\n" + std::string(indent, ' ');
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return lines + std::string(text) + "\n";
}

/// Every reason, the others below the first.
std::string impossible_rows(const PlannedLayout& row) {
  std::string rows = axes_columns(row.layout);
  const std::size_t indent = rows.size() + 2;
  for (const std::string& text : row.violations) {
    const bool first = &text == &row.violations.front();
    rows += first ? "  " : std::string(indent, ' ');
    rows += wrapped((first ? "not possible: " : "and: ") + text, indent);
  }
  return rows;
}

/// What the best layout has most of.
double merit(const PlannedLayout& row, PlanOrder order) {
  if (order == PlanOrder::decode && row.speed) return row.speed->decode.tokens_per_second;
  if (order == PlanOrder::prefill && row.speed) return row.speed->prefill.tokens_per_second;
  return static_cast<double>(row.kv_tokens) * row.layout.dp;
}

std::string counted_layouts(std::size_t count) {
  return fmt::format("{} layout{}", count, count == 1 ? "" : "s");
}

/// What the columns of speed mean.
std::string speed_legend(const PlanSetting& setting, const PlannedLayout& any) {
  return fmt::format(
      "  decoding: sequences of a decode step on every sp rank, each behind {} tokens: as many as\n"
      "  engine.max_sequences and the cache allow; prefill: {} rows of every sp rank; t/s: tokens "
      "of "
      "all\n"
      "  replicas together\n",
      any.speed->decode_step.on_rank.context, setting.engine.max_batch_tokens);
}

}  // namespace

PlanOrder plan_order(std::string_view name) {
  if (name == "decode") return PlanOrder::decode;
  if (name == "prefill") return PlanOrder::prefill;
  if (name == "memory") return PlanOrder::memory;
  fail_user("--sort: '{}' is none of decode, prefill, memory", name);
}

LayoutVerdict judge_in(const PlanSetting& setting, const Layout& layout) {
  return judge(layout, setting.model, engine_config_of(setting.engine, setting.memory),
               setting.ranks, setting.memory, *setting.ops);
}

PlannedLayout planned(const PlanSetting& setting, const Layout& layout) {
  const LayoutVerdict verdict = judge_in(setting, layout);
  PlannedLayout row;
  row.layout = layout;
  row.violations = verdict.violations;
  if (!row.violations.empty()) return row;
  row.most = verdict.footprints[largest_rank(verdict)];
  const SchedulerLimits& limits = verdict.sizes->limits;
  row.kv_tokens = layout.sp * limits.kv_blocks * limits.block_tokens;
  if (setting.limits)
    row.speed = predict_speed(verdict, *setting.limits, setting.digest, setting.ranks_per_node);
  return row;
}

std::vector<PlannedLayout> planned_layouts(const PlanSetting& setting, PlanOrder order) {
  std::vector<PlannedLayout> layouts;
  for (const Layout& layout : layouts_of(setting.ranks, setting.model.config.has_experts())) {
    layouts.push_back(planned(setting, layout));
  }
  std::stable_sort(layouts.begin(), layouts.end(),
                   [&](const PlannedLayout& a, const PlannedLayout& b) {
                     const bool possible = a.violations.empty();
                     if (possible != b.violations.empty()) return possible;
                     return possible && merit(a, order) > merit(b, order);
                   });
  return layouts;
}

std::string table_text(const PlanSetting& setting, std::span<const PlannedLayout> layouts,
                       PlanOrder order, bool all) {
  const auto possible = static_cast<std::size_t>(
      std::count_if(layouts.begin(), layouts.end(),
                    [](const PlannedLayout& row) { return row.violations.empty(); }));
  const bool speed = setting.limits.has_value();
  const char* const by = !speed || order == PlanOrder::memory ? "most room for keys and values"
                         : order == PlanOrder::decode         ? "fastest decode"
                                                              : "fastest prefill";
  std::string text = fmt::format(
      "{} of {} ranks, {} of them possible, {} first\n"
      "  memory: of the rank that holds most; kv tokens: in the caches of one replica\n",
      counted_layouts(layouts.size()), setting.ranks, possible, by);
  if (speed && possible > 0) text += speed_legend(setting, layouts.front());
  text += header(speed);
  const std::size_t shown = all ? possible : std::min(possible, kShown);
  for (const PlannedLayout& row : layouts.first(shown)) text += possible_row(row);
  if (all) {
    for (const PlannedLayout& row : layouts.subspan(possible)) text += impossible_rows(row);
  } else if (shown < layouts.size()) {
    text += fmt::format("{} more are possible, {} are not: --all shows them, and why not\n",
                        possible - shown, layouts.size() - possible);
  }
  return speed ? text + speed_footnote(*setting.limits) : text;
}

nlohmann::ordered_json table_json(std::span<const PlannedLayout> layouts) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const PlannedLayout& row : layouts) {
    nlohmann::ordered_json object = {{"layout", layout_json(row.layout)}};
    if (!row.violations.empty()) {
      object["not_possible"] = row.violations;
    } else {
      object["memory_bytes"] = footprint_json(row.most);
      object["kv_tokens"] = row.kv_tokens;
      if (row.speed) object["speed_at_best"] = speed_json(*row.speed);
    }
    rows.push_back(std::move(object));
  }
  return rows;
}

}  // namespace weft
