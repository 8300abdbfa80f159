// The forward pass against Transformers: tests/reference/logits holds its numbers and the config
// that `weft synth` makes the same weights from.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "comm/group.h"
#include "io/json.h"
#include "support/replica.h"
#include "unit/catch.h"

namespace weft::test {
namespace {

/// Base64 of little-endian f32 values.
std::vector<float> floats_of(const std::string& base64) {
  std::vector<unsigned char> bytes;
  std::uint32_t bits = 0;
  int filled = 0;
  const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (const char c : base64) {
    const std::size_t value = alphabet.find(c);
    if (value == std::string::npos) break;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    filled += 6;
    if (filled >= 8) {
      filled -= 8;
      bytes.push_back(static_cast<unsigned char>(bits >> filled & 0xffU));
    }
  }
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

/// |a - b|_2 / |b|_2 and max |a - b| / max |b|.
struct Distance {
  double l2 = 0;
  double max = 0;
};

Distance distance(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0;
  double norm = 0;
  double most_different = 0;
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - b[i];
    difference += d * d;
    norm += static_cast<double>(b[i]) * b[i];
    most_different = std::max(most_different, std::abs(d));
    largest = std::max(largest, static_cast<double>(std::abs(b[i])));
  }
  return {std::sqrt(difference / norm), most_different / largest};
}

std::vector<float> weft_logits(const nlohmann::json& reference, DType dtype) {
  const SyntheticModel model(reference["config"], dtype, reference["seed"]);
  const std::unique_ptr<Group> alone = make_self_group();
  Replica replica(model.path(), {}, *alone);
  return logits_of(replica, reference["prompt"], reference["positions"]);
}

/// Largest distance of prompt and likeliest tokens' log-probabilities from Transformers'
/// log-softmax at the positions that the reference keeps.
double logprob_distance(const nlohmann::json& reference, std::int64_t chunk) {
  const SyntheticModel model(reference["config"], DType::f32, reference["seed"]);
  const std::unique_ptr<Group> alone = make_self_group();
  ReplicaOptions options;
  options.prefill_chunk = chunk;
  Replica replica(model.path(), options, *alone);
  Request request;
  request.prompt = reference["prompt"].get<std::vector<TokenId>>();
  request.echo = true;
  request.sampling.max_tokens = 0;
  request.sampling.logprobs = 4;
  const Completion scored = replica.complete({request}).front();
  REQUIRE(scored.prompt_logprobs.size() == request.prompt.size() - 1);
  CHECK(scored.tokens.empty());
  const std::vector<float> logits = floats_of(reference["f32"]["transformers_f32"]);
  const std::size_t vocab = logits.size() / reference["positions"].size();
  double most = 0;
  for (std::size_t i = 0; i < reference["positions"].size(); ++i) {
    const std::size_t position = reference["positions"][i];
    if (position + 1 == request.prompt.size()) continue;
    const float* const row = logits.data() + i * vocab;
    const double largest = *std::max_element(row, row + vocab);
    double sum = 0;
    for (std::size_t t = 0; t < vocab; ++t) sum += std::exp(row[t] - largest);
    const auto expected = [&](TokenId token) { return row[token] - largest - std::log(sum); };
    const PositionLogprobs& at = scored.prompt_logprobs[position];
    most = std::max(most, std::abs(at.logprob - expected(request.prompt[position + 1])));
    REQUIRE(at.top.size() == 4);
    for (const TokenLogprob& one : at.top) {
      most = std::max(most, std::abs(one.logprob - expected(one.token)));
    }
  }
  return most;
}

}  // namespace

TEST_CASE("prompts are scored as by Transformers", "[reference]") {
  for (const auto& file : std::filesystem::directory_iterator(WEFT_TEST_REFERENCE "/logits")) {
    if (file.path().extension() != ".json") continue;
    const nlohmann::json reference = read_json(file.path());
    INFO(reference["case"].get<std::string>());
    // Logits of magnitude 4 that are 1e-5 of that off, and f32 log-probabilities.
    CHECK(logprob_distance(reference, 0) < 1e-4);
    CHECK(logprob_distance(reference, 7) < 1e-4);
  }
}

TEST_CASE("logits agree with Transformers", "[reference]") {
  std::size_t cases = 0;
  for (const auto& file : std::filesystem::directory_iterator(WEFT_TEST_REFERENCE "/logits")) {
    if (file.path().extension() != ".json") continue;
    ++cases;
    const nlohmann::json reference = read_json(file.path());
    INFO(reference["case"].get<std::string>());

    const Distance f32 = distance(weft_logits(reference, DType::f32),
                                  floats_of(reference["f32"]["transformers_f32"]));
    CHECK(f32.l2 < 1e-5);
    CHECK(f32.max < 1e-5);

    // bf16 weights: at most as far from Transformers' f32 as Transformers' own bf16 is.
    const Distance bf16 = distance(weft_logits(reference, DType::bf16),
                                   floats_of(reference["bf16"]["transformers_f32"]));
    const nlohmann::json& own = reference["bf16"]["bf16_from_f32"];
    CHECK(bf16.l2 <= own["relative_l2"].get<double>());
    CHECK(bf16.max <= own["relative_max"].get<double>());
    if (std::getenv("WEFT_TEST_VERBOSE") != nullptr) {
      WARN(reference["case"].get<std::string>()
           << ": f32 " << f32.l2 << ", bf16 " << bf16.l2 << " against " << own["relative_l2"]);
    }
  }
  REQUIRE(cases == 21);
}

}  // namespace weft::test
