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

DrawPlace place_of(const LogitRow& row) { return {row.position, row.sequence->request.choice}; }

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
void take_known(std::span<const LogitRow> rows, std::vector<Choice>& choices) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].known()) choices[i].token = rows[i].token();
  }
}

/// Of those rows of which something was asked.
std::vector<bool> scored_of(std::span<const LogitRow> rows, std::span<const std::int32_t> asked) {
  std::vector<bool> scored;
  for (const std::int32_t row : asked)
    scored.push_back(at(rows, row).sampling().logprobs.has_value());
  return scored;
}

void take_answers(const RowAnswers& answers, std::span<const std::int32_t> asked,
                  const std::vector<bool>& scored, std::vector<Choice>& choices) {
  for (std::size_t i = 0; i < asked.size(); ++i) {
    Choice& choice = choices[static_cast<std::size_t>(asked[i])];
    choice.token = answers.choices[i].token;
    if (!scored[i]) continue;
    PositionLogprobs& logprobs = choice.logprobs.emplace();
    logprobs.logprob = answers.choices[i].logprob;
    for (const ScoredToken& one : answers.top_of(i)) {
      logprobs.top.push_back({one.token, one.logprob});
    }
  }
}

}  // namespace

TokenChooser::TokenChooser(Vocabulary& vocabulary, std::vector<TokenId> eos, bool digest)
    : vocabulary_(vocabulary), eos_(std::move(eos)), digest_(digest) {
  // Models name end tokens that their vocabulary lacks: no logit is theirs.
  std::erase_if(eos_, [&](TokenId token) { return token < 0 || token >= vocabulary.vocab(); });
}

std::vector<Choice> TokenChooser::choose(const Tensor& logits, std::span<const LogitRow> rows) {
  std::vector<Choice> choices(rows.size());
  if (digest_) {
    const std::vector<Digest> digests = vocabulary_.row_digests(logits);
    for (std::size_t row = 0; row < choices.size(); ++row) choices[row].row_digest = digests[row];
  }
  std::vector<std::int32_t> which(rows.size());
  std::iota(which.begin(), which.end(), 0);
  if (SampledRows* const sampled = vocabulary_.sampled()) {
    which = choose_in_place(*sampled, logits, rows, choices);
    if (which.empty()) return choices;
  }
  choose_on_host(logits, rows, which, choices);
  return choices;
}

std::vector<std::int32_t> TokenChooser::choose_in_place(SampledRows& sampled, const Tensor& logits,
                                                        std::span<const LogitRow> rows,
                                                        std::vector<Choice>& choices) {
  RowQuestions asked = questions_about(rows, eos_, vocabulary_.vocab(), sampled.limits());
  take_known(rows, choices);
  if (asked.rows.empty()) return std::move(asked.left);
  const RowAnswers answers = sampled.choose(logits, asked.query.view());
  take_answers(answers, asked.rows, scored_of(rows, asked.rows), choices);
  return std::move(asked.left);
}

bool TokenChooser::can_start(std::span<const LogitRow> rows) const {
  SampledRows* const sampled = vocabulary_.sampled();
  if (digest_ || sampled == nullptr) return false;
  return questions_about(rows, eos_, vocabulary_.vocab(), sampled->limits()).left.empty();
}

std::optional<StartedChoices> TokenChooser::start(const Tensor& logits,
                                                  std::span<const LogitRow> rows,
                                                  const Tensor& kept) {
  SampledRows* const sampled = vocabulary_.sampled();
  if (digest_ || sampled == nullptr) return std::nullopt;
  RowQuestions asked = questions_about(rows, eos_, vocabulary_.vocab(), sampled->limits());
  if (!asked.left.empty()) return std::nullopt;
  StartedChoices started;
  started.choices.resize(rows.size());
  take_known(rows, started.choices);
  started.rows = std::move(asked.rows);
  if (started.rows.empty()) return started;
  started.scored = scored_of(rows, started.rows);
  started.started = sampled->start(logits, asked.query.view(), kept);
  return started;
}

std::vector<Choice> TokenChooser::finish(StartedChoices started) {
  if (started.rows.empty()) return std::move(started.choices);
  const RowAnswers answers = vocabulary_.sampled()->finish(started.started);
  take_answers(answers, started.rows, started.scored, started.choices);
  return std::move(started.choices);
}

void TokenChooser::choose_on_host(const Tensor& logits, std::span<const LogitRow> rows,
                                  std::span<const std::int32_t> which,
                                  std::vector<Choice>& choices) {
  std::vector<TokenId> greedy = vocabulary_.argmax(logits);
  const std::vector<LogprobRow> scored = logprob_rows(rows, which);
  std::optional<LogProbabilities> probabilities;
  if (!scored.empty()) probabilities.emplace(vocabulary_, logits, scored);

  const Edits edits = edit(logits, rows, which);
  if (!edits.places.empty()) greedy = vocabulary_.argmax(logits);
  choose_tokens(logits, rows, which, greedy, choices);
  vocabulary_.replace(logits, edits.places, edits.raw);

  if (!probabilities) return;
  std::vector<TokenId> tokens;
  for (const LogprobRow& row : scored) {
    tokens.push_back(choices[static_cast<std::size_t>(row.row)].token);
  }
  std::vector<PositionLogprobs> found = probabilities->of(vocabulary_, logits, tokens);
  for (std::size_t i = 0; i < scored.size(); ++i) {
    choices[static_cast<std::size_t>(scored[i].row)].logprobs = std::move(found[i]);
  }
}

TokenChooser::Edits TokenChooser::edit(const Tensor& logits, std::span<const LogitRow> rows,
                                       std::span<const std::int32_t> which) {
  Edits all;
  std::vector<LogitEdit> edits;
  for (const std::int32_t row : which) {
    if (at(rows, row).known()) continue;
    for (const LogitEdit& edit : logit_edits(*at(rows, row).sequence, eos_)) {
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

void TokenChooser::choose_tokens(const Tensor& logits, std::span<const LogitRow> rows,
                                 std::span<const std::int32_t> which,
                                 std::span<const TokenId> greedy, std::vector<Choice>& choices) {
  std::vector<std::int32_t> allowed;
  std::vector<std::int32_t> top_k;
  std::vector<std::int32_t> drawn;
  for (const std::int32_t number : which) {
    const LogitRow& row = at(rows, number);
    const SamplingParams& params = row.sampling();
    const auto i = static_cast<std::size_t>(number);
    choices[i].token = row.known() ? row.token() : greedy[i];
    if (row.known()) continue;
    if (!params.allowed_token_ids.empty()) {
      allowed.push_back(number);
    } else if (!params.greedy()) {
      const bool few = params.top_k > 0 && params.top_k < vocabulary_.vocab();
      (few ? top_k : drawn).push_back(number);
    }
  }
  // Which of these are called is the same on every rank: all of them know all the requests.
  if (!allowed.empty()) choose_allowed(logits, rows, allowed, choices);
  if (!top_k.empty()) choose_top_k(logits, rows, top_k, choices);
  if (!drawn.empty()) draw(logits, rows, drawn, greedy, choices);
}

void TokenChooser::choose_allowed(const Tensor& logits, std::span<const LogitRow> rows,
                                  std::span<const std::int32_t> which,
                                  std::vector<Choice>& choices) {
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
    TokenId& token = choices[static_cast<std::size_t>(row)].token;
    token = candidates.empty() ? *std::min_element(params.allowed_token_ids.begin(),
                                                   params.allowed_token_ids.end())
                               : draw_candidate(candidates, params, place_of(at(rows, row)));
  }
}

void TokenChooser::choose_top_k(const Tensor& logits, std::span<const LogitRow> rows,
                                std::span<const std::int32_t> which, std::vector<Choice>& choices) {
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
      choices[static_cast<std::size_t>(which[first])].token =
          draw_candidate(candidates, row.sampling(), place_of(row));
    }
  }
}

void TokenChooser::draw(const Tensor& logits, std::span<const LogitRow> rows,
                        std::span<const std::int32_t> which, std::span<const TokenId> greedy,
                        std::vector<Choice>& choices) {
  const auto blocks = static_cast<std::size_t>(vocabulary_.blocks());
  const std::vector<float> maxima = vocabulary_.maxima(which);
  std::vector<RowDraw> draws;
  for (std::size_t i = 0; i < which.size(); ++i) {
    const LogitRow& row = at(rows, which[i]);
    draws.emplace_back(row.sampling(), place_of(row), greedy[static_cast<std::size_t>(which[i])],
                       which[i], std::span(maxima).subspan(i * blocks, blocks));
  }
  while (true) {
    std::vector<RowDraw*> open;
    std::vector<RowMass> asked;
    for (RowDraw& draw : draws) {
      if (draw.done()) continue;
      open.push_back(&draw);
      asked.push_back(draw.mass());
    }
    if (open.empty()) break;
    const std::vector<float> masses = vocabulary_.masses(logits, asked);
    std::vector<RowBlock> wanted;
    std::vector<RowDraw*> waiting;
    for (std::size_t i = 0; i < open.size(); ++i) {
      open[i]->weigh(std::span(masses).subspan(i * blocks, blocks));
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
    choices[static_cast<std::size_t>(which[i])].token = draws[i].token();
  }
}

}  // namespace weft
