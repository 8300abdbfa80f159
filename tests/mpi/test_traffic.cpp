// What travels is what the formula says: calls and bytes of every rank, along every axis.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <iterator>
#include <string>
#include <vector>

#include "base/error.h"
#include "comm/mpi_group.h"
#include "layout/legality.h"
#include "plan/sizing.h"
#include "plan/step_traffic.h"
#include "reference_ops/reference_ops.h"
#include "support/moe_configs.h"
#include "support/replica.h"
#include "unit/catch.h"

namespace weft::test {
namespace {

/// Remembers the experts that each call of `route` chose.
class RecordingOps final : public ReferenceOps {
 public:
  RecordingOps() : ReferenceOps(Probabilities::unrounded) {}

  void route(const Tensor& logits, const Tensor& slots, bool normalise, const Tensor& experts,
             const Tensor& weights, const Tensor& loads) override {
    ReferenceOps::route(logits, slots, normalise, experts, weights, loads);
    const std::int32_t* const chosen = experts.as<std::int32_t>();
    routes_.emplace_back(chosen, chosen + experts.elements());
  }
  [[nodiscard]] const std::vector<std::vector<std::int32_t>>& routes() const { return routes_; }

 private:
  std::vector<std::vector<std::int32_t>> routes_;
};

using Routes = std::vector<std::vector<std::int32_t>>;  ///< by call

/// A mistake in what the formula is told of a step.
struct Distortion {
  const char* what;
  void (*apply)(StepRows& step);
};

void one_more(std::vector<std::int64_t>& counts) {
  if (!counts.empty()) ++counts.back();
}

constexpr Distortion kDistortions[] = {
    {"a row more", [](StepRows& step) { ++step.rows; }},
    {"a row of the embedding more", [](StepRows& step) { one_more(step.looked_up); }},
    {"the embedding's shares in reverse",
     [](StepRows& step) { std::reverse(step.looked_up.begin(), step.looked_up.end()); }},
    {"a shared row more", [](StepRows& step) { one_more(step.shared); }},
    {"a chosen row more", [](StepRows& step) { one_more(step.samples); }},
    {"no chosen rows",
     [](StepRows& step) { std::fill(step.samples.begin(), step.samples.end(), 0); }},
    {"a row for experts more", [](StepRows& step) { one_more(step.domains); }},
    {"a layer with experts less",
     [](StepRows& step) {
       if (!step.routes.empty()) step.routes.pop_back();
     }},
};
/// How often each was noticed, by this rank.
using Noticed = std::array<std::int64_t, std::size(kDistortions)>;

/// Every rank's calls of `route`.
std::vector<Routes> routes_of_all(const Routes& mine, Group& world) {
  std::string lengths;
  std::string values;
  for (const std::vector<std::int32_t>& call : mine) {
    const auto length = static_cast<std::int64_t>(call.size());
    lengths.append(reinterpret_cast<const char*>(&length), sizeof length);
    values.append(reinterpret_cast<const char*>(call.data()), call.size() * sizeof(std::int32_t));
  }
  const std::vector<std::string> all_lengths = gather_strings(world, lengths);
  const std::vector<std::string> all_values = gather_strings(world, values);
  std::vector<Routes> all;
  for (std::size_t rank = 0; rank < all_lengths.size(); ++rank) {
    Routes& routes = all.emplace_back();
    const char* from = all_values[rank].data();
    for (std::size_t at = 0; at < all_lengths[rank].size(); at += sizeof(std::int64_t)) {
      std::int64_t length = 0;
      std::memcpy(&length, all_lengths[rank].data() + at, sizeof length);
      std::vector<std::int32_t>& call = routes.emplace_back(static_cast<std::size_t>(length));
      const std::size_t bytes = call.size() * sizeof(std::int32_t);
      if (bytes > 0) std::memcpy(call.data(), from, bytes);
      from += bytes;
    }
  }
  return all;
}

/// A run that is over, once more without computing: its steps, as a scheduler of its own puts them
/// together, and the traffic that the formula gives them.
class Replay {
 public:
  Replay(Replica& replica, const std::vector<Request>& requests,
         const std::vector<Completion>& completions, const std::vector<Routes>& routes,
         const Distortion* distortion = nullptr)
      : model_(replica.model()),
        distortion_(distortion),
        limits_(replica.limits()),
        scheduler_(limits_),
        completions_(completions),
        routes_(routes) {
    for (const Request& request : requests) {
      const auto length = static_cast<std::int64_t>(request.prompt.size());
      scheduler_.add(static_cast<std::int64_t>(sequences_.size()), length,
                     length + request.sampling.max_tokens);
      sequences_.emplace_back(request, nullptr);
    }
  }

  Traffic traffic() {
    std::deque<std::vector<Slice>> in_flight;
    for (;;) {
      while (static_cast<int>(in_flight.size()) < limits_.batches) {
        std::vector<Slice> slices = scheduler_.next();
        if (slices.empty()) break;
        StepRows step = rows_of(slices);
        if (distortion_ != nullptr) distortion_->apply(step);
        total_ += step_traffic(model_.partition(), model_.shape(), model_.groups().coordinates().sp,
                               step, true);
        in_flight.push_back(std::move(slices));
      }
      if (in_flight.empty()) return total_;
      for (const Slice& slice : in_flight.front()) land(slice);
      in_flight.pop_front();
    }
  }

 private:
  StepPart part(const std::vector<Slice>& slices, int sp_rank) const {
    return part_of_step(slices, scheduler_, limits_.block_tokens, sp_rank, limits_.sp,
                        [&](std::int64_t id) -> const Sequence& {
                          return sequences_[static_cast<std::size_t>(id)];
                        });
  }

  StepRows rows_of(const std::vector<Slice>& slices) {
    const Partition& mine = model_.partition();
    const RankCoordinates& coordinates = model_.groups().coordinates();
    const StepPart own = part(slices, coordinates.sp);
    StepRows step;
    step.rows = own.batch.rows();
    step.looked_up = lookups_of(mine, own.batch.tokens);
    step.shared = own.batch.shared.rows_of;
    step.samples.assign(static_cast<std::size_t>(limits_.sp), 0);
    for (const Sample& sample : own.samples) ++step.samples[static_cast<std::size_t>(sample.owner)];
    if (!mine.config.has_experts()) return step;
    const int domains = mine.moe.coordinates.domains();
    const int first = coordinates.sp / domains * domains;
    for (int domain = 0; domain < domains; ++domain) {
      step.domains.push_back(part(slices, first + domain).batch.rows());
    }
    if (domains == 1 && step.rows == 0 && own.batch.shared.slots.empty()) return step;
    for (std::int64_t layer = sparse_layers(mine); layer > 0; --layer, ++calls_) {
      std::vector<std::int32_t> chosen;
      for (int domain = 0; domain < domains; ++domain) {
        const int rank = rank_of(model_.groups().layout(), {0, coordinates.pp, first + domain, 0});
        const auto& theirs = routes_[static_cast<std::size_t>(rank)].at(calls_);
        chosen.insert(chosen.end(), theirs.begin(), theirs.end());
      }
      step.routes.push_back(count_routes(mine.moe, step.domains, chosen));
    }
    return step;
  }

  void land(const Slice& slice) {
    Sequence& sequence = sequences_[static_cast<std::size_t>(slice.sequence)];
    bool finished = false;
    if (slice.samples) {
      const auto& tokens = completions_[static_cast<std::size_t>(slice.sequence)].tokens;
      SampledToken choice;
      choice.token = tokens.at(static_cast<std::size_t>(sequence.generated()));
      finished = sequence.take(choice, true, {}, 1024).has_value();
    }
    scheduler_.complete(slice, finished);
  }

  Model& model_;
  const Distortion* distortion_;
  SchedulerLimits limits_;
  Scheduler scheduler_;
  const std::vector<Completion>& completions_;
  const std::vector<Routes>& routes_;
  std::size_t calls_ = 0;  ///< of `route`, so far
  std::vector<Sequence> sequences_;
  Traffic total_;
};

std::vector<Request> greedy_requests(std::int64_t vocab) {
  std::vector<Request> requests = varied_requests(5, vocab, 5, 80, 4);
  for (Request& request : requests) {
    request.sampling.temperature = 0;
    request.sampling.ignore_eos = true;
  }
  requests.back().prompt.resize(3);  // of which four sp ranks have none or one each
  return requests;
}

std::string written(const Traffic& traffic) {
  std::string text;
  for (const Primitive axis : communicating_axes()) {
    for (const Operation operation : moving_operations()) {
      const Transfer transfer = traffic.of(axis, operation);
      if (transfer.calls == 0) continue;
      text += fmt::format("{} {}: {} calls, {} sent, {} received\n", name(axis), name(operation),
                          transfer.calls, transfer.sent, transfer.received);
    }
  }
  return text;
}

/// Along each axis the ranks together receive what they send.
void check_balance(const Traffic& mine, const Layout& layout, Group& world) {
  std::vector<Traffic> all(static_cast<std::size_t>(world.size()));
  world.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)),
                   equal_counts(world, sizeof(Traffic)));
  Traffic sum;
  for (const Traffic& traffic : all) sum += traffic;
  for (const Primitive axis : communicating_axes()) {
    CHECK(sum.total(axis).sent == sum.total(axis).received);
  }
  // Not every rank meets every axis: a stage may have nothing but experts.
  CHECK((sum.total(Primitive::tp).calls > 0) == (layout.tp > 1));
  CHECK((sum.total(Primitive::sp).calls > 0) == (layout.sp > 1));
  CHECK((sum.total(Primitive::pp).calls > 0) == (layout.pp > 1));
}

/// Whether a replay with a mistake comes to another result, or is refused.
bool shows(Replay& wrong, const Traffic& counted) {
  try {
    return wrong.traffic() != counted;
  } catch (const Error&) {
    return true;
  }
}

/// Adds to `noticed`, when given, which mistakes in the formula's steps would have shown.
void check_run(const SyntheticModel& model, const std::vector<Request>& requests,
               ReplicaOptions options, bool with_experts, Group& world,
               Noticed* noticed = nullptr) {
  RecordingOps ops;
  if (with_experts) options.borrowed_ops = &ops;
  options.prefix_sharing = false;
  Replica replica(model.path(), options, world);
  const std::vector<Completion> completions = replica.complete(requests);
  const Traffic counted = replica.model().groups().traffic();
  const std::vector<Routes> routes = routes_of_all(ops.routes(), world);
  const Traffic computed = Replay(replica, requests, completions, routes).traffic();
  INFO("counted:\n" << written(counted) << "computed:\n" << written(computed));
  CHECK(counted == computed);
  check_balance(counted, replica.model().groups().layout(), world);
  if (noticed == nullptr) return;
  for (std::size_t i = 0; i < noticed->size(); ++i) {
    Replay wrong(replica, requests, completions, routes, &kDistortions[i]);
    if (shows(wrong, counted)) ++(*noticed)[i];
  }
}

/// Every mistake must have shown on some rank, in some layout.
void check_noticed(const Noticed& mine, Group& world) {
  std::vector<Noticed> all(static_cast<std::size_t>(world.size()));
  world.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)),
                   equal_counts(world, sizeof(Noticed)));
  for (std::size_t i = 0; i < mine.size(); ++i) {
    INFO(kDistortions[i].what);
    std::int64_t times = 0;
    for (const Noticed& theirs : all) times += theirs[i];
    CHECK(times > 0);
  }
}

/// Without experts; with them, dense layers between and eight a token; with a shared one.
std::vector<MoeCase> models(int ranks) {
  nlohmann::json llama = tiny_config("llama");
  llama["num_hidden_layers"] = 3;
  const std::vector<MoeCase> experts = moe_cases();
  std::vector<MoeCase> models = {{"llama bf16", llama, DType::bf16}, experts[1], experts[3]};
  if (ranks == 3) {
    // Where the ranks' shares are uneven: other segments than a dense layer of this model has.
    models.push_back(experts[3]);
    models.back().name += ", a narrow shared expert";
    models.back().config["shared_expert_intermediate_size"] = 84;
  }
  return models;
}

}  // namespace

TEST_CASE("what travels is what the formula says", "[traffic]") {
  const auto world = make_world_group();
  Noticed noticed = {};
  for (const MoeCase& test : models(world->size())) {
    const SyntheticModel model(test.config, test.dtype, 3);
    const auto requests = greedy_requests(test.config["vocab_size"]);
    int number = 0;
    const ModelReader reader(model.path());
    const ModelFacts facts{reader.config(), reader.caps(), reader.dtype()};
    for (const Layout& layout : layouts_of(world->size(), facts.config.has_experts())) {
      if (layout.dp > 1 || !violations(layout, layout_limits(facts), world->size()).empty()) {
        continue;
      }
      INFO(test.name << " " << to_string(layout));
      ReplicaOptions options;
      options.layout = layout;
      check_run(model, requests, options, facts.config.has_experts(), *world);
      options.prefill_chunk = 40;
      options.sp_threshold = 3;  // even the shortest prompts are split
      options.max_sequences = 3;
      options.max_batch_tokens = 50;
      options.logit_rows = 2;  // tokens are chosen in more than one go
      options.transport = ++number % 2 == 0 ? Transport::all_gather : Transport::all_to_all;
      check_run(model, requests, options, facts.config.has_experts(), *world, &noticed);
    }
  }
  if (world->size() > 1) check_noticed(noticed, *world);
}

TEST_CASE("a step's partial sums are gathered up to the very row that the formula says",
          "[traffic]") {
  const auto world = make_world_group();
  nlohmann::json config = tiny_config("llama");
  config["num_hidden_layers"] = 1;
  const SyntheticModel model(config, DType::bf16, 3);
  std::int64_t rows = 1;
  while (region_gathers(Transport::automatic, rows + 1, config["hidden_size"])) ++rows;
  for (const std::int64_t length : {rows, rows + 1}) {
    Request request;
    for (std::int64_t i = 0; i < length; ++i) request.prompt.push_back(static_cast<TokenId>(i % 7));
    request.sampling.temperature = 0;
    request.sampling.ignore_eos = true;
    request.sampling.max_tokens = 2;
    ReplicaOptions options;
    options.max_batch_tokens = rows + 1;
    REQUIRE(length + 2 <= options.max_sequence_length);
    INFO(length << " rows");
    check_run(model, {request}, options, false, *world);
  }
}

}  // namespace weft::test
