#include "engine/sampler.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "engine/log_probabilities.h"
#include "engine/logit_edits.h"
#include "engine/row_draw.h"
#include "engine/sampling_requests.h"

namespace weft {
namespace {

/// Blocks of logits that are brought together at a time, or few more.
constexpr std::size_t kMostBlocks = 1024;

DrawPlace coordinates_of(const LogitRow& row) {
  return {row.position, row.sequence->request.choice};
}

const LogitRow& at(std::span<const LogitRow> rows, std::int32_t row) {
  return rows[static_cast<std::size_t>(row)];
}

std::vector<LogprobRow> logprob_rows(std::span<const LogitRow> rows,
                                     std::span<const std::int32_t> which) {
  std::vector<LogprobRow> wanted;
  for (const std::int32_t row : which) {
    if (const auto& top = at(rows, row).sampling().logprobs) wanted.push_back({row, *top});
  }
  return wanted;
}

/// What is known without looking at logits.
void take_known(std::span<const LogitRow> rows, std::vector<SampledToken>& sampled_tokens) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].known()) sampled_tokens[i].token = rows[i].token();
  }
}

/// Of those rows of which something was asked.
std::vector<bool> scored_of(std::span<const LogitRow> rows, std::span<const std::int32_t> asked) {
  std::vector<bool> scored;
  for (const std::int32_t row : asked)
    scored.push_back(at(rows, row).sampling().logprobs.has_value());
  return scored;
}

void take_results(const RowResults& results, std::span<const std::int32_t> asked,
                  const std::vector<bool>& scored, std::vector<SampledToken>& sampled_tokens) {
  for (std::size_t i = 0; i < asked.size(); ++i) {
    SampledToken& choice = sampled_tokens[static_cast<std::size_t>(asked[i])];
    choice.token = results.results[i].token;
    choice.non_finite = !results.finite[i];
    if (!scored[i]) continue;
    PositionLogprobs& logprobs = choice.logprobs.emplace();
    logprobs.logprob = results.results[i].logprob;
    for (const ScoredToken& one : results.top_of(i)) {
      logprobs.top.push_back({one.token, one.logprob});
    }
  }
}

}  // namespace

Sampler::Sampler(Vocabulary& vocabulary, std::vector<TokenId> eos, bool digest)
    : vocabulary_(vocabulary), eos_(std::move(eos)), digest_(digest) {
  // Models name end tokens that their vocabulary lacks: no logit is theirs.
  std::erase_if(eos_, [&](TokenId token) { return token < 0 || token >= vocabulary.vocab(); });
}

std::vector<SampledToken> Sampler::sample(const Tensor& logits, std::span<const LogitRow> rows) {
  std::vector<SampledToken> sampled_tokens(rows.size());
  if (digest_) {
    const std::vector<Digest> digests = vocabulary_.row_digests(logits);
    for (std::size_t row = 0; row < sampled_tokens.size(); ++row)
      sampled_tokens[row].row_digest = digests[row];
  }
  std::vector<std::int32_t> which(rows.size());
  std::iota(which.begin(), which.end(), 0);
  if (DeviceSampling* const device_sampling = vocabulary_.device_sampling()) {
    which = sample_on_device(*device_sampling, logits, rows, sampled_tokens);
    if (which.empty()) return sampled_tokens;
  }
  sample_on_host(logits, rows, which, sampled_tokens);
  return sampled_tokens;
}

std::vector<std::int32_t> Sampler::sample_on_device(DeviceSampling& device_sampling,
                                                    const Tensor& logits,
                                                    std::span<const LogitRow> rows,
                                                    std::vector<SampledToken>& sampled_tokens) {
  SplitRequests asked = split_requests(rows, eos_, vocabulary_.vocab(), device_sampling.limits());
  take_known(rows, sampled_tokens);
  if (asked.rows.empty()) return std::move(asked.left);
  const RowResults results = device_sampling.sample(logits, asked.query.view());
  take_results(results, asked.rows, scored_of(rows, asked.rows), sampled_tokens);
  return std::move(asked.left);
}

bool Sampler::can_start(std::span<const LogitRow> rows) const {
  DeviceSampling* const device_sampling = vocabulary_.device_sampling();
  if (digest_ || device_sampling == nullptr) return false;
  return split_requests(rows, eos_, vocabulary_.vocab(), device_sampling->limits()).left.empty();
}

std::optional<StartedSampling> Sampler::start(const Tensor& logits, std::span<const LogitRow> rows,
                                              const Tensor& device_tokens) {
  DeviceSampling* const device_sampling = vocabulary_.device_sampling();
  if (digest_ || device_sampling == nullptr) return std::nullopt;
  SplitRequests asked = split_requests(rows, eos_, vocabulary_.vocab(), device_sampling->limits());
  if (!asked.left.empty()) return std::nullopt;
  StartedSampling started;
  started.sampled_tokens.resize(rows.size());
  take_known(rows, started.sampled_tokens);
  started.rows = std::move(asked.rows);
  if (started.rows.empty()) return started;
  started.scored = scored_of(rows, started.rows);
  started.started = device_sampling->start(logits, asked.query.view(), device_tokens);
  return started;
}

std::vector<SampledToken> Sampler::finish(StartedSampling started) {
  if (started.rows.empty()) return std::move(started.sampled_tokens);
  const RowResults results = vocabulary_.device_sampling()->finish(started.started);
  take_results(results, started.rows, started.scored, started.sampled_tokens);
  return std::move(started.sampled_tokens);
}

void Sampler::sample_on_host(const Tensor& logits, std::span<const LogitRow> rows,
                             std::span<const std::int32_t> which,
                             std::vector<SampledToken>& sampled_tokens) {
  std::vector<bool> finite;
  std::vector<TokenId> greedy = vocabulary_.argmax(logits, &finite);
  const std::vector<LogprobRow> scored = logprob_rows(rows, which);
  std::optional<LogProbabilities> probabilities;
  if (!scored.empty()) probabilities.emplace(vocabulary_, logits, scored);

  const Edits edits = edit(logits, rows, which);
  if (!edits.places.empty()) greedy = vocabulary_.argmax(logits);
  sample_tokens(logits, rows, which, greedy, sampled_tokens);
  vocabulary_.replace(logits, edits.places, edits.raw);
  for (const std::int32_t row : which) {
    const auto i = static_cast<std::size_t>(row);
    const bool used = !rows[i].known() || rows[i].sampling().logprobs;
    sampled_tokens[i].non_finite = used && !finite[i];
  }

  if (!probabilities) return;
  std::vector<TokenId> tokens;
  for (const LogprobRow& row : scored) {
    tokens.push_back(sampled_tokens[static_cast<std::size_t>(row.row)].token);
  }
  std::vector<PositionLogprobs> found = probabilities->of(vocabulary_, logits, tokens);
  for (std::size_t i = 0; i < scored.size(); ++i) {
    sampled_tokens[static_cast<std::size_t>(scored[i].row)].logprobs = std::move(found[i]);
  }
}

Sampler::Edits Sampler::edit(const Tensor& logits, std::span<const LogitRow> rows,
                             std::span<const std::int32_t> which) {
  Edits all;
  std::vector<LogitEdit> edits;
  for (const std::int32_t row : which) {
    if (at(rows, row).known()) continue;
    for (const LogitEdit& edit :
         logit_edits(*at(rows, row).sequence, at(rows, row).drafted(), eos_)) {
      all.places.push_back({row, edit.token});
      edits.push_back(edit);
    }
  }
  if (edits.empty()) return all;
  all.raw = vocabulary_.values(logits, all.places);
  std::vector<float> changed;
  for (std::size_t i = 0; i < edits.size(); ++i) {
    changed.push_back(edited(all.raw[i], edits[i], at(rows, all.places[i].row).sampling()));
  }
  vocabulary_.replace(logits, all.places, changed);
  return all;
}

void Sampler::sample_tokens(const Tensor& logits, std::span<const LogitRow> rows,
                            std::span<const std::int32_t> which, std::span<const TokenId> greedy,
                            std::vector<SampledToken>& sampled_tokens) {
  std::vector<std::int32_t> allowed;
  std::vector<std::int32_t> top_k;
  std::vector<std::int32_t> drawn;
  for (const std::int32_t number : which) {
    const LogitRow& row = at(rows, number);
    const SamplingParams& params = row.sampling();
    const auto i = static_cast<std::size_t>(number);
    sampled_tokens[i].token = row.known() ? row.token() : greedy[i];
    if (row.known()) continue;
    if (!params.allowed_token_ids.empty()) {
      allowed.push_back(number);
    } else if (!params.greedy()) {
      const bool few = params.top_k > 0 && params.top_k < vocabulary_.vocab();
      (few ? top_k : drawn).push_back(number);
    }
  }
  // Which of these are called is the same on every rank: all of them know all the requests.
  if (!allowed.empty()) sample_allowed(logits, rows, allowed, sampled_tokens);
  if (!top_k.empty()) sample_top_k(logits, rows, top_k, sampled_tokens);
  if (!drawn.empty()) draw(logits, rows, drawn, greedy, sampled_tokens);
}

void Sampler::sample_allowed(const Tensor& logits, std::span<const LogitRow> rows,
                             std::span<const std::int32_t> which,
                             std::vector<SampledToken>& sampled_tokens) {
  std::vector<RowToken> places;
  for (const std::int32_t row : which) {
    for (const TokenId token : at(rows, row).sampling().allowed_token_ids) {
      places.push_back({row, token});
    }
  }
  const std::vector<float> values = vocabulary_.values(logits, places);
  std::size_t next = 0;
  for (const std::int32_t row : which) {
    const SamplingParams& params = at(rows, row).sampling();
    std::vector<Candidate> candidates;
    for (const TokenId token : params.allowed_token_ids) {
      const float value = values[next++];
      if (value > -std::numeric_limits<float>::infinity()) candidates.push_back({value, token});
    }
    std::sort(candidates.begin(), candidates.end(), Before());
    const auto most = static_cast<std::size_t>(params.top_k);
    if (most > 0 && most < candidates.size()) candidates.resize(most);
    TokenId& token = sampled_tokens[static_cast<std::size_t>(row)].token;
    token = candidates.empty() ? *std::min_element(params.allowed_token_ids.begin(),
                                                   params.allowed_token_ids.end())
                               : draw_candidate(candidates, params, coordinates_of(at(rows, row)));
  }
}

void Sampler::sample_top_k(const Tensor& logits, std::span<const LogitRow> rows,
                           std::span<const std::int32_t> which,
                           std::vector<SampledToken>& sampled_tokens) {
  const auto blocks = static_cast<std::size_t>(vocabulary_.blocks());
  const std::vector<float> maxima = vocabulary_.maxima(which);
  const auto maxima_of = [&](std::size_t i) {
    return std::span(maxima).subspan(i * blocks, blocks);
  };
  for (std::size_t first = 0; first < which.size();) {
    // A few rows at a time: their blocks should stay in the processor's cache.
    std::vector<std::vector<std::int32_t>> best;
    std::vector<RowBlock> wanted;
    std::size_t end = first;
    for (; end < which.size() && wanted.size() < kMostBlocks; ++end) {
      best.push_back(best_blocks(maxima_of(end), at(rows, which[end]).sampling().top_k));
      for (const std::int32_t block : best.back()) wanted.push_back({which[end], block});
    }
    const std::vector<float> values = vocabulary_.block_values(logits, wanted);
    std::span<const float> rest(values);
    for (; first < end; ++first, best.erase(best.begin())) {
      const LogitRow& row = at(rows, which[first]);
      const std::size_t count = best.front().size() * static_cast<std::size_t>(kVocabBlock);
      const std::vector<Candidate> candidates =
          best_tokens(maxima_of(first), best.front(), rest.first(count), row.sampling().top_k);
      rest = rest.subspan(count);
      if (candidates.empty()) continue;  // the greedy token stands
      sampled_tokens[static_cast<std::size_t>(which[first])].token =
          draw_candidate(candidates, row.sampling(), coordinates_of(row));
    }
  }
}

void Sampler::draw(const Tensor& logits, std::span<const LogitRow> rows,
                   std::span<const std::int32_t> which, std::span<const TokenId> greedy,
                   std::vector<SampledToken>& sampled_tokens) {
  const auto blocks = static_cast<std::size_t>(vocabulary_.blocks());
  const std::vector<float> maxima = vocabulary_.maxima(which);
  std::vector<RowDraw> draws;
  for (std::size_t i = 0; i < which.size(); ++i) {
    const LogitRow& row = at(rows, which[i]);
    draws.emplace_back(row.sampling(), coordinates_of(row),
                       greedy[static_cast<std::size_t>(which[i])], which[i],
                       std::span(maxima).subspan(i * blocks, blocks));
  }
  while (true) {
    std::vector<RowDraw*> open;
    std::vector<RowWeightSum> asked;
    for (RowDraw& draw : draws) {
      if (draw.done()) continue;
      open.push_back(&draw);
      asked.push_back(draw.weight_sum());
    }
    if (open.empty()) break;
    const std::vector<float> weight_sums = vocabulary_.weight_sums(logits, asked);
    std::vector<RowBlock> wanted;
    std::vector<RowDraw*> waiting;
    for (std::size_t i = 0; i < open.size(); ++i) {
      open[i]->weigh(std::span(weight_sums).subspan(i * blocks, blocks));
      if (open[i]->done()) continue;
      waiting.push_back(open[i]);
      wanted.push_back(open[i]->block());
    }
    const std::vector<float> values = vocabulary_.block_values(logits, wanted);
    constexpr auto width = static_cast<std::size_t>(kVocabBlock);
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      waiting[i]->pick(std::span(values).subspan(i * width, width));
    }
  }
  for (std::size_t i = 0; i < which.size(); ++i) {
    sampled_tokens[static_cast<std::size_t>(which[i])].token = draws[i].token();
  }
}

}  // namespace weft
