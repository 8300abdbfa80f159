#include "proof/trial.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/philox.h"
#include "model/config/config.h"
#include "plan/sizing.h"

namespace weft {
namespace {

constexpr std::int64_t kBatches[] = {1, 2, 17, 65};
constexpr std::int64_t kChunks[] = {0, 1, 7, 127, 128, 129};  // 0: all tokens

ReplicaOptions plain_options() {
  ReplicaOptions options;
  options.max_sequences = 65;
  options.max_sequence_length = kProofLength;
  options.sp_threshold = 40;
  return options;
}

/// Just room for one sequence of the longest kind.
void make_tight(Schedule& schedule) {
  schedule.options.kv_blocks = ceil_div(kProofLength, schedule.options.block_tokens);
  // One or two at a time may always find room.
  schedule.preempts = schedule.options.max_sequences > 2;
}

std::vector<Schedule> schedules_of(const ProofScope& scope) {
  std::vector<Schedule> schedules = proof_schedules();
  if (scope.full || scope.random > 0) {
    for (Schedule& schedule : crossed_schedules()) schedules.push_back(std::move(schedule));
  }
  return schedules;
}

/// Layouts of exactly `ranks` ranks that the model allows.
std::vector<Layout> legal_layouts(const ProofModel& model, int ranks) {
  const ModelFacts facts{parse_config(model.config), {}, model.dtype};
  std::vector<Layout> legal;
  for (const Layout& layout : layouts_of(ranks, facts.config.has_experts())) {
    if (violations(layout, layout_limits(facts), ranks).empty()) legal.push_back(layout);
  }
  return legal;
}

/// Every so-manieth trial, as the scope has it.
std::vector<Trial> part_of(std::vector<Trial> trials, const ProofScope& scope) {
  if (scope.parts == 1) return trials;
  std::vector<Trial> kept;
  for (auto i = static_cast<std::size_t>(scope.part - 1); i < trials.size();
       i += static_cast<std::size_t>(scope.parts)) {
    kept.push_back(std::move(trials[i]));
  }
  return kept;
}

/// `most` of the trials, spread evenly; all where there are no more.
std::vector<Trial> thinned(std::vector<Trial> trials, std::int64_t most) {
  const auto count = static_cast<std::int64_t>(trials.size());
  if (most == 0 || most >= count) return trials;
  std::vector<Trial> kept;
  for (std::int64_t i = 0; i < most; ++i) {
    kept.push_back(std::move(trials[static_cast<std::size_t>(i * count / most)]));
  }
  return kept;
}

}  // namespace

std::vector<Schedule> proof_schedules() {
  std::vector<Schedule> schedules;
  const auto add = [&](std::string name, auto change, std::uint64_t order = 0) {
    Schedule schedule{std::move(name), plain_options(), order};
    change(schedule.options);
    schedules.push_back(std::move(schedule));
  };
  add("65 at a time", [](ReplicaOptions&) {});
  for (const std::int64_t batch : kBatches) {
    add(
        fmt::format("{} at a time, reordered", batch),
        [&](ReplicaOptions& o) { o.max_sequences = batch; }, static_cast<std::uint64_t>(batch));
  }
  for (const std::int64_t chunk : kChunks) {
    if (chunk == 0) continue;
    add(fmt::format("chunks of {}", chunk), [&](ReplicaOptions& o) { o.prefill_chunk = chunk; });
  }
  add("small steps", [](ReplicaOptions& o) {
    o.max_batch_tokens = 33;
    o.block_tokens = 16;
  });
  add("preemption", [](ReplicaOptions&) {});
  make_tight(schedules.back());
  add("pages of 128, nothing shared", [](ReplicaOptions& o) {
    o.block_tokens = 128;
    o.prefix_sharing = false;
    o.sp_threshold = kProofLength + 1;
  });
  add(
      "everything shared, reordered",
      [](ReplicaOptions& o) {
        o.sp_threshold = 1;
        o.block_tokens = 16;
      },
      99);
  add("all-gather, two threads", [](ReplicaOptions& o) {
    o.transport = Transport::all_gather;
    o.threads = 2;
  });
  add("drafts", [](ReplicaOptions& o) {
    o.max_draft = 8;
    o.max_sequences = 9;
  });
  add("drafts, preemption", [](ReplicaOptions& o) { o.max_draft = 16; });
  make_tight(schedules.back());
  add("all-to-all, plain instructions", [](ReplicaOptions& o) {
    o.transport = Transport::all_to_all;
    o.isa = Isa::plain;
  });
  return schedules;
}

std::vector<Schedule> crossed_schedules() {
  std::vector<Schedule> schedules;
  for (const std::int64_t batch : kBatches) {
    for (const std::int64_t chunk : kChunks) {
      for (const std::uint64_t order : {0U, 4U}) {
        for (const bool tight : {false, true}) {
          Schedule schedule{
              fmt::format("{} at a time, {}{}{}", batch,
                          chunk == 0 ? "whole prompts" : fmt::format("chunks of {}", chunk),
                          order == 0 ? "" : ", reordered", tight ? ", tight cache" : ""),
              plain_options(), order};
          schedule.options.max_sequences = batch;
          schedule.options.prefill_chunk = chunk;
          if (tight) make_tight(schedule);
          // A prompt to be shared waits for blocks on all ranks: in the midst of the others it
          // would empty the caches. So only the longest are shared there.
          if (tight && order != 0) schedule.options.sp_threshold = 250;
          schedules.push_back(std::move(schedule));
        }
      }
    }
  }
  return schedules;
}

std::vector<Trial> trials_of(const std::vector<ProofModel>& models, const ProofScope& scope) {
  const std::vector<Schedule> schedules = schedules_of(scope);
  const std::size_t named = proof_schedules().size();
  std::vector<Trial> trials;
  std::vector<Trial> plain;  // every layout with the plainest schedule
  for (std::size_t model = 0; model < models.size(); ++model) {
    std::vector<Layout> largest;
    for (int ranks = 1; ranks <= scope.ranks; ++ranks) {
      const std::vector<Layout> layouts = legal_layouts(models[model], ranks);
      if (!layouts.empty()) largest = layouts;
      for (const Layout& layout : layouts) plain.push_back({model, layout, schedules.front()});
    }
    // Three layouts that are unlike each other, others for every schedule.
    const std::size_t some = std::min<std::size_t>(3, largest.size());
    for (std::size_t i = 1; i < named; ++i) {
      for (std::size_t j = 0; j < some; ++j) {
        const std::size_t which = (i + j * largest.size() / some) % largest.size();
        trials.push_back({model, largest[which], schedules[i]});
      }
    }
  }
  if (scope.full) {
    trials.clear();
    for (const Trial& trial : plain) {
      for (const Schedule& schedule : schedules) {
        trials.push_back({trial.model, trial.layout, schedule});
      }
    }
  } else {
    trials.insert(trials.end(), plain.begin(), plain.end());
    const Philox philox(scope.seed);
    for (std::int64_t i = 0; i < scope.random; ++i) {
      const Philox::Block words = philox.at(static_cast<std::uint64_t>(i), 0);
      trials.push_back(plain[words[0] % plain.size()]);
      trials.back().schedule = schedules[words[1] % schedules.size()];
    }
  }
  std::stable_sort(trials.begin(), trials.end(), [](const Trial& a, const Trial& b) {
    return a.layout.world_size() < b.layout.world_size();
  });
  for (std::size_t i = 0; i < trials.size(); ++i) trials[i].shares = i;
  return thinned(part_of(std::move(trials), scope), scope.most);
}

}  // namespace weft
