// Tokens chosen where the logits are: the host's tokens and log-probabilities, to the bit.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "catch.h"
#include "comm/mpi_group.h"
#include "compare.h"
#include "cuda/staged_group.h"
#include "ops/make_cpu_ops.h"
#include "staged_run.h"
#include "support/row_sampling.h"

namespace weft::test {
namespace {

using testing::Random;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// What rows of logits can look like.
enum class Look { random, ties, equal, holes, lowest, infinite, wide, peaked, kCount };

float logit(Look look, Random& random) {
  const float plain = random.uniform(-8, 8);
  switch (look) {
    case Look::ties:
      return std::floor(plain / 3);
    case Look::equal:
      return -3.5F;
    case Look::holes:
      return random.between(0, 1) == 0 ? (plain > 0 ? kNaN : -kInfinity) : plain;
    case Look::lowest:
      return plain > 7 ? kNaN : -kInfinity;
    case Look::infinite:
      return plain > 7.9F ? kInfinity : plain;
    case Look::wide:
      return random.wide(40);
    case Look::peaked:
      return plain > 7.8F ? plain * 3 : plain;
    default:
      return plain;
  }
}

/// Further kinds, at the edges of what parameters can be.
std::vector<SamplingParams> extreme_kinds(std::int64_t vocab) {
  std::vector<SamplingParams> kinds(21);
  for (SamplingParams& params : kinds) params.max_tokens = 100;
  kinds[0].temperature = 1e-6;
  kinds[1].temperature = std::numeric_limits<double>::denorm_min();
  kinds[2].temperature = 1e6;
  kinds[3].temperature = 1e300;
  kinds[4].top_p = 1e-9;
  kinds[5].top_p = 0.999999;
  kinds[5].temperature = 3;
  kinds[6].top_k = 1;
  kinds[7].top_k = vocab - 1;
  kinds[7].top_p = 0.6;
  kinds[8].top_k = 257;
  kinds[8].min_p = 0.01;
  kinds[9].min_p = 1;
  kinds[10].min_p = 1e-12;
  kinds[10].top_p = 0.3;
  kinds[10].logprobs = 7;
  kinds[11].temperature = 0;
  kinds[11].logprobs = 100;
  kinds[12].allowed_token_ids = {0};
  kinds[12].logprobs = 1;
  kinds[13].temperature = 0;
  for (TokenId token = 0; token < vocab; token += 3) kinds[13].allowed_token_ids.push_back(token);
  kinds[14] = kinds[13];
  kinds[14].temperature = 0.8;
  kinds[14].top_k = 4;
  kinds[14].top_p = 0.9;
  kinds[15].top_p = 0.4;
  kinds[15].presence_penalty = 1.5;
  kinds[15].repetition_penalty = 1.2;
  kinds[15].logit_bias = {{0, 100}};
  kinds[15].min_tokens = 60;
  kinds[16].logprobs = 200;  // more than a sampler gives: the host's among the others
  kinds[16].top_p = 0.8;
  // A temperature, which log-probabilities are without and min_p is with.
  for (std::size_t i = 17; i < 21; ++i) {
    kinds[i].temperature = i % 2 == 0 ? 0.4 : 2.5;
    kinds[i].min_p = i < 19 ? 0.3 : 0.02;
    kinds[i].logprobs = 3;
  }
  return kinds;
}

/// Rows with their logits, for one call.
struct Fixture {
  std::int64_t vocab = 0;
  std::vector<Sequence> sequences;
  std::vector<float> logits;
  std::vector<LogitRow> rows;

  void add(const SamplingParams& params, Look look, Random& random) {
    const auto token = [&] { return static_cast<TokenId>(random.between(0, vocab - 1)); };
    sequences.push_back(sequence_of({token(), token()}, params, random.between(0, 3)));
    for (int i = 0; i < 6; ++i) sequences.back().append(token(), {}, 1000);
    for (std::int64_t i = 0; i < vocab; ++i) logits.push_back(logit(look, random));
  }
  void finish() {
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      rows.push_back({&sequences[i], i % 9 == 8 ? 1 : 8});  // some are prompt tokens
    }
  }
};

/// A row of each kind, of changing looks.
Fixture fixture(std::int64_t vocab, std::uint64_t seed) {
  Random random(seed);
  Fixture all;
  all.vocab = vocab;
  std::vector<SamplingParams> kinds = extreme_kinds(vocab);
  if (vocab >= 300) {
    const std::vector<SamplingParams> usual = kinds_of_sampling();
    kinds.insert(kinds.end(), usual.begin(), usual.end());
  }
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    SamplingParams params = kinds[i];
    params.seed = seed * 1000 + i;
    all.add(params, static_cast<Look>((i + seed) % static_cast<std::size_t>(Look::kCount)), random);
  }
  all.finish();
  return all;
}

std::vector<SampledToken> by_host(const Fixture& fixture) {
  static const std::unique_ptr<Ops> ops = make_cpu_ops(1);
  return RowSampling(fixture.vocab, *ops, {1, 270}).sample(fixture.logits, fixture.rows);
}

void check_same(const std::vector<SampledToken>& is, const std::vector<SampledToken>& expected) {
  REQUIRE(is.size() == expected.size());
  for (std::size_t i = 0; i < is.size(); ++i) {
    INFO("row " << i << ": token " << is[i].token << ", expected " << expected[i].token);
    CHECK(is[i] == expected[i]);
  }
}

}  // namespace

TEST_CASE("tokens chosen on the GPU are the host's", "[cuda][sampling]") {
  const auto ops = testing::make_device(1);
  REQUIRE(ops->sampler() != nullptr);
  for (const std::int64_t vocab : {1, 2, 31, 255, 256, 257, 300, 1000, 2600}) {
    for (std::uint64_t seed = 0; seed < 9; ++seed) {
      if (vocab > 1000 && seed > 2) continue;
      INFO("vocab " << vocab << ", seed " << seed);
      const Fixture rows = fixture(vocab, seed);
      check_same(RowSampling(vocab, *ops, {1, 270}).sample(rows.logits, rows.rows), by_host(rows));
    }
  }
}

TEST_CASE("many draws of few tokens on the GPU", "[cuda][sampling]") {
  // Ends of top_p and min_p between tokens, blocks whose share rounds away, refusals in a row.
  const auto ops = testing::make_device();
  Random random(5);
  Fixture all;
  all.vocab = 520;
  for (int i = 0; i < 64; ++i) {
    SamplingParams params;
    params.max_tokens = 100;
    params.seed = static_cast<std::uint64_t>(i);
    params.temperature = i % 3 == 0 ? 5 : 0.5;
    params.top_p = i % 2 == 0 ? 0.1 : 0.02;
    if (i % 4 == 3) params.min_p = 0.9;
    all.add(params, i % 5 == 0 ? Look::equal : i % 5 == 1 ? Look::ties : Look::random, random);
  }
  all.finish();
  check_same(RowSampling(all.vocab, *ops, {1, 270}).sample(all.logits, all.rows), by_host(all));
}

TEST_CASE("a vocabulary of more blocks than tokens are put in order", "[cuda][sampling]") {
  const auto ops = testing::make_device(4);
  Random random(6);
  Fixture all;
  all.vocab = 270'001;
  for (const std::int64_t top_k : {0, 1, 1024}) {
    SamplingParams params;
    params.max_tokens = 100;
    params.seed = 3;
    params.top_k = top_k;
    if (top_k == 0) params.top_p = 0.5;
    params.logprobs = 20;
    all.add(params, top_k == 1 ? Look::ties : Look::random, random);
  }
  all.finish();
  check_same(RowSampling(all.vocab, *ops, {1, 270}).sample(all.logits, all.rows), by_host(all));
}

TEST_CASE("a vocabulary of more blocks than a warp has lanes", "[cuda][sampling]") {
  // Lanes see several blocks each: equal maxima in them, and the largest in the last block alone.
  const auto ops = testing::make_device(1);
  Random random(8);
  Fixture all;
  all.vocab = 70 * 256 + 5;
  for (const Look look : {Look::equal, Look::ties, Look::ties, Look::random, Look::lowest}) {
    for (const std::int64_t top_k : {0, 3}) {
      SamplingParams params;
      params.max_tokens = 100;
      params.temperature = top_k == 0 ? 0 : 1;
      params.top_k = top_k;
      all.add(params, look, random);
      if (look == Look::random) all.logits.back() = 100;
    }
  }
  all.finish();
  check_same(RowSampling(all.vocab, *ops, {1, 270}).sample(all.logits, all.rows), by_host(all));
}

TEST_CASE("what a sampler cannot take is the host's", "[cuda][sampling]") {
  const auto ops = testing::make_device();
  const SamplerLimits limits = ops->sampler()->limits();
  Random random(7);
  Fixture all;
  all.vocab = 3000;
  std::vector<SamplingParams> kinds(5);
  for (SamplingParams& params : kinds) params.max_tokens = 100;
  kinds[1].top_k = limits.candidates + 1;
  for (TokenId token = 0; token <= limits.candidates; ++token) {
    kinds[2].allowed_token_ids.push_back(token * 2);
  }
  kinds[3].logprobs = limits.top + 1;
  kinds[4].presence_penalty = 1;
  for (const SamplingParams& params : kinds) all.add(params, Look::random, random);
  all.finish();
  check_same(RowSampling(all.vocab, *ops, {1, 270}).sample(all.logits, all.rows), by_host(all));
}

TEST_CASE("a sampler refuses what it was not made for", "[cuda][sampling]") {
  const auto ops = testing::make_device();
  RowSampler& sampler = *ops->sampler();
  const Buffer room(ops->memory(), ops->sampling_bytes(2, 10));
  const Buffer buffer(ops->memory(), 20 * sizeof(float));
  const Tensor logits = buffer.tensor(DType::f32, {2, 10});
  const auto refused = [&](const SamplingRequest& request, std::vector<LogitEdit> edits = {},
                           std::size_t top = 0) {
    OwnedSamplingRequests query;
    query.add(request, edits, {});
    SamplingResult choice;
    std::vector<ScoredToken> likeliest(top);
    CHECK_THROWS_AS(
        sampler.sample(logits, query.view(), {room.data(), room.bytes()}, {&choice, 1}, likeliest),
        Error);
  };
  SamplingRequest request;
  request.row = 2;
  refused(request);
  request.row = 0;
  LogitEdit edit;
  edit.token = 10;
  refused(request, {edit});
  request.top = 3;
  refused(request, {}, 2);
  request.top = -1;
  request.kind = RowKind::few;
  request.top_k = static_cast<std::int32_t>(sampler.limits().candidates) + 1;
  refused(request);
  request.kind = RowKind::listed;
  refused(request);
}

TEST_CASE("one digest of choices for every cut of the vocabulary on GPUs",
          "[cuda][sampling][layout]") {
  const auto world = make_world_group();
  for (const std::int64_t vocab : {300, 1000}) {
    for (const std::uint64_t seed : {1U, 2U}) {
      const Fixture rows = fixture(vocab, seed);
      const std::vector<SampledToken> expected = by_host(rows);
      for (int tp = 1; tp <= world->size(); ++tp) {
        if (tp == 1 && world->size() > 1) continue;
        INFO("tp=" << tp << " vocab=" << vocab);
        const auto ops = testing::make_device(1);
        const auto group = make_staged_group(world->split(world->rank() / tp), *ops);
        RowSampling sampler(vocab, *ops, {1, 270}, group.get());
        check_same(sampler.sample(rows.logits, rows.rows), expected);
      }
    }
  }
}

TEST_CASE("one digest of more rows than are dealt out at a time", "[cuda][sampling][layout]") {
  // 64 of the rows that are not greedy are dealt at a time: two whole deals, and a last one of
  // fewer rows than ranks. Each row has other logits and another seed.
  const auto world = make_world_group();
  Random random(9);
  Fixture all;
  all.vocab = 300;
  for (int i = 0; i < 130 + 10; ++i) {
    SamplingParams params;
    params.max_tokens = 100;
    params.seed = static_cast<std::uint64_t>(i);
    params.temperature = i % 14 == 13 ? 0 : 1;
    all.add(params, Look::random, random);
  }
  all.finish();
  const std::vector<SampledToken> expected = by_host(all);
  for (int tp = 1; tp <= world->size(); ++tp) {
    if (tp == 1 && world->size() > 1) continue;
    INFO("tp=" << tp);
    const auto ops = testing::make_device(1);
    const auto group = make_staged_group(world->split(world->rank() / tp), *ops);
    RowSampling sampler(all.vocab, *ops, {1, 270}, group.get());
    check_same(sampler.sample(all.logits, all.rows), expected);
  }
}

TEST_CASE("one digest wherever tokens are chosen", "[cuda][sampling][layout]") {
  const auto world = make_world_group();
  nlohmann::json config = tiny_config("qwen3");
  config["vocab_size"] = 700;
  const SyntheticModel model(config, DType::bf16, 3, world->rank() % 3 + 1);
  const std::vector<SamplingParams> kinds = kinds_of_sampling();
  std::vector<Request> requests;
  for (Request& request : varied_requests(14, 300, 7, 16, 4)) {
    const auto index = static_cast<std::size_t>(request.index);
    const std::uint64_t seed = request.sampling.seed;
    const std::int64_t most = request.sampling.max_tokens;
    request.sampling = kinds[(index + 1) % kinds.size()];
    request.sampling.seed = seed;
    request.sampling.max_tokens = most;
    if (index % 4 == 3) {
      request.echo = true;
      request.sampling.logprobs = 3;
    }
    requests.push_back(request);
  }
  const auto digest = [&](bool sampling, std::unique_ptr<Group> group, int variant) {
    const auto ops = testing::make_device(variant, sampling);
    const auto staged = make_staged_group(std::move(group), *ops);
    ReplicaOptions options;
    options.borrowed_ops = ops.get();
    Replica replica(model.path(), options, *staged);
    CHECK((replica.model().vocabulary().device_sampling() != nullptr) == sampling);
    return digest_of_completions(replica.complete(requests));
  };
  const Digest expected = digest(false, make_self_group(), 0);
  for (int tp = 1; tp <= world->size(); ++tp) {
    if (tp == 1 && world->size() > 1) continue;
    INFO("tp=" << tp);
    CHECK(digest(true, world->split(world->rank() / tp), 1) == expected);
  }
}

}  // namespace weft::test
