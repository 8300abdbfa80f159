#include "app/commands/plan_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/commands/plan_speed.h"
#include "app/engine_settings.h"
#include "layout/legality.h"
#include "plan/planned_step.h"

namespace weft {
namespace {

/// "   2    1    1    1    4 ".
std::string axes_columns(const Layout& layout) {
  return fmt::format("{:>4} {:>4} {:>4} {:>4} {:>4} ", layout.tp, layout.pp, layout.sp, layout.ep,
                     layout.dp);
}

/// `context`: how many tokens the decodes of all rows are behind.
std::string possible_row(const LayoutVerdict& verdict, const PlanSetting& setting,
                         std::int64_t context) {
  const Footprint& most = verdict.footprints[largest_rank(verdict)];
  const SchedulerLimits& limits = verdict.sizes->limits;
  const std::string speed =
      setting.limits ? speed_columns(verdict, *setting.limits, setting.digest, context) : "";
  return fmt::format("{}{:>12} {:>12} {:>12} {:>12} {:>12} {:>10}{}\n",
                     axes_columns(verdict.layout), human_bytes(most.weights),
                     human_bytes(most.kv_cache), human_bytes(most.activations),
                     human_bytes(most.buffers), human_bytes(most.total()),
                     verdict.layout.sp * limits.kv_blocks * limits.block_tokens, speed);
}

/// Every reason, the others below the first.
std::string impossible_rows(const LayoutVerdict& verdict) {
  std::string rows = axes_columns(verdict.layout);
  for (const std::string& text : verdict.violations) {
    const bool first = &text == &verdict.violations.front();
    rows +=
        fmt::format("{}{}\n", first ? "  not possible: " : std::string(36, ' ') + "and: ", text);
  }
  return rows;
}

/// What every possible layout has room for: only decodes behind as many tokens can be compared.
std::int64_t common_context(const PlanSetting& setting, const std::vector<Layout>& layouts) {
  std::int64_t context = kAnyContext;
  for (const Layout& layout : layouts) {
    const LayoutVerdict verdict = judge_in(setting, layout);
    if (!verdict.sizes) continue;
    context = std::min(context, decode_step(*verdict.sizes, layout).on_rank.context);
  }
  return context;
}

}  // namespace

LayoutVerdict judge_in(const PlanSetting& setting, const Layout& layout) {
  return judge(layout, setting.model, engine_config_of(setting.engine, setting.memory),
               setting.ranks, setting.memory, *setting.ops);
}

std::string table_text(const PlanSetting& setting) {
  const std::vector<Layout> layouts = layouts_of(setting.ranks, setting.model.config.has_experts());
  const std::int64_t context = setting.limits ? common_context(setting, layouts) : kAnyContext;
  std::string possible;
  std::string impossible;
  for (const Layout& layout : layouts) {
    const LayoutVerdict verdict = judge_in(setting, layout);
    const bool sound = verdict.violations.empty();
    (sound ? possible : impossible) +=
        sound ? possible_row(verdict, setting, context) : impossible_rows(verdict);
  }
  std::string text = fmt::format(
      "layouts of {} ranks; memory is that of the rank that holds most, kv tokens those that the "
      "caches of one replica hold\n"
      "{:>4} {:>4} {:>4} {:>4} {:>4} {:>12} {:>12} {:>12} {:>12} {:>12} {:>10}{}\n{}{}",
      setting.ranks, "tp", "pp", "sp", "ep", "dp", "weights", "kv cache", "activations", "buffers",
      "total", "kv tokens", setting.limits ? speed_header() : "", possible, impossible);
  if (!setting.limits) return text;
  if (!possible.empty()) {
    text += fmt::format(
        "tok/s are those of all replicas together. decode: {} sequences at a time on every sp rank "
        "of every replica\n(engine.max_sequences), each behind {} tokens, as many as all these "
        "layouts have room for; prefill: {} rows\n(engine.max_batch_tokens) of every "
        "sp rank of every replica\n",
        std::min(setting.engine.max_sequences, setting.engine.max_batch_tokens), context,
        setting.engine.max_batch_tokens);
  }
  return text + speed_footnote(*setting.limits);
}

}  // namespace weft
