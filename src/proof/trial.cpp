#include "proof/trial.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/philox.h"
#include "model/config.h"
#include "plan/sizing.h"

namespace weft {
namespace {

/// Pages of 16 tokens for one sequence of the longest kind and little beside it.
constexpr std::int64_t kTightPages = kProofLength / 16 + 2;

ReplicaOptions plain_options() {
  ReplicaOptions options;
  options.max_sequence_length = kProofLength;
  options.share_from = 40;
  return options;
}

/// Layouts of one replica of exactly `ranks` ranks that the model allows.
std::vector<Layout> legal_layouts(const ProofModel& model, int ranks) {
  const ModelFacts facts{parse_config(model.config), {}, model.dtype};
  std::vector<Layout> legal;
  for (const Layout& layout : layouts_of(ranks, facts.config.has_experts())) {
    if (layout.dp == 1 && violations(layout, layout_limits(facts), ranks).empty()) {
      legal.push_back(layout);
    }
  }
  return legal;
}

}  // namespace

std::vector<Schedule> proof_schedules() {
  std::vector<Schedule> schedules;
  const auto add = [&](std::string name, auto change, std::uint64_t order = 0) {
    ReplicaOptions options = plain_options();
    change(options);
    schedules.push_back({std::move(name), options, order});
  };
  add("65 at a time", [](ReplicaOptions& o) { o.max_sequences = 65; });
  for (const std::int64_t batch : {1, 2, 17}) {
    add(
        fmt::format("{} at a time", batch), [&](ReplicaOptions& o) { o.max_sequences = batch; },
        static_cast<std::uint64_t>(batch));
  }
  for (const std::int64_t chunk : {1, 7, 127, 128, 129}) {
    add(fmt::format("chunks of {}", chunk), [&](ReplicaOptions& o) { o.prefill_chunk = chunk; });
  }
  add("small steps", [](ReplicaOptions& o) {
    o.max_batch_tokens = 33;
    o.page_tokens = 16;
  });
  add("preemption", [](ReplicaOptions& o) {
    o.page_tokens = 16;
    o.pages = kTightPages;
  });
  add("pages of 128, no prefix sharing", [](ReplicaOptions& o) {
    o.page_tokens = 128;
    o.prefix_sharing = false;
  });
  add(
      "everything shared, reversed",
      [](ReplicaOptions& o) {
        o.share_from = 1;
        o.page_tokens = 16;
      },
      99);
  add("all-gather, two threads", [](ReplicaOptions& o) {
    o.transport = Transport::all_gather;
    o.threads = 2;
  });
  add("all-to-all, plain instructions", [](ReplicaOptions& o) {
    o.transport = Transport::all_to_all;
    o.isa = Isa::plain;
  });
  return schedules;
}

std::vector<Trial> trials_of(const std::vector<ProofModel>& models, const ProofScope& scope) {
  const std::vector<Schedule> schedules = proof_schedules();
  std::vector<Trial> trials;
  std::vector<Trial> everything;  // every layout with every schedule
  for (std::size_t model = 0; model < models.size(); ++model) {
    std::vector<Layout> largest;
    for (int ranks = 1; ranks <= scope.ranks; ++ranks) {
      const std::vector<Layout> layouts = legal_layouts(models[model], ranks);
      if (!layouts.empty()) largest = layouts;
      for (const Layout& layout : layouts) {
        trials.push_back({model, layout, schedules.front()});
        for (const Schedule& schedule : schedules) everything.push_back({model, layout, schedule});
      }
    }
    // The first, the middle and the last of the largest layouts are unlike each other.
    for (std::size_t i = 1; i < schedules.size(); ++i) {
      for (const std::size_t which : {std::size_t{0}, largest.size() / 2, largest.size() - 1}) {
        trials.push_back({model, largest[which], schedules[i]});
      }
    }
  }
  if (scope.full) {
    trials = everything;
  } else {
    const Philox philox(scope.seed);
    for (std::int64_t i = 0; i < scope.random; ++i) {
      const Philox::Block words = philox.at(static_cast<std::uint64_t>(i), 0);
      trials.push_back(everything[words[0] % everything.size()]);
    }
  }
  std::stable_sort(trials.begin(), trials.end(), [](const Trial& a, const Trial& b) {
    return a.layout.replica_size() < b.layout.replica_size();
  });
  return trials;
}

}  // namespace weft
