#include "app/job/sampling_parameters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <type_traits>

#include "app/job/yaml_value.h"
#include "base/error.h"

namespace weft {
namespace {

using Params = SamplingParams;

constexpr std::int64_t kKiB = 1024;
constexpr std::int64_t kMaxCount = std::numeric_limits<TokenId>::max();

// clang-format off
constexpr SamplingParameter kParameters[] = {
    {"temperature", types::number(0, 100), &Params::temperature, kEverywhere,
     "0 takes the likeliest token every time (greedy)."},
    {"top_p", types::number_above(0, 1), &Params::top_p, kEverywhere,
     "Sample from the likeliest tokens that together have this probability."},
    {"top_k", types::integer(-1, kMaxCount), &Params::top_k, kEverywhere,
     "Sample from that many likeliest tokens; 0 or -1: from all."},
    {"min_p", types::number(0, 1), &Params::min_p, kEverywhere,
     "Sample from tokens at least this likely, relative to the likeliest."},
    {"presence_penalty", types::number(-2, 2), &Params::presence_penalty, kEverywhere,
     "Taken off the logits of tokens that were generated already."},
    {"frequency_penalty", types::number(-2, 2), &Params::frequency_penalty, kEverywhere,
     "Taken off a token's logit as often as it was generated already."},
    {"repetition_penalty", types::number_above(0, 100), &Params::repetition_penalty, kEverywhere,
     "Divides positive and multiplies negative logits of tokens of prompt and answer."},
    {"logit_bias", types::biases(-100, 100), std::monostate(), kInBodies,
     "Added to the logits of these tokens."},
    {"allowed_token_ids", types::token_ids(), &Params::allowed_token_ids, kInJob | kInBodies,
     "Nothing else is generated; empty, in jobs only: everything may be."},
    {"bad_words", types::texts(1024, kKiB * 256), &Params::bad_words, kEverywhere,
     "Texts that are never generated.", "--bad-word"},
    {"max_tokens", types::integer(1, kMaxCount), &Params::max_tokens, kEverywhere,
     "Most tokens to generate; a body with `echo` may say 0.", "-n,--max-tokens"},
    {"min_tokens", types::integer(0, kMaxCount), &Params::min_tokens, kEverywhere,
     "No end before that many tokens; up to `max_tokens`."},
    {"seed", types::integer64(), &Params::seed, kEverywhere,
     "Seed of the random numbers; a request without one derives its own from the job's and its `custom_id`."},
    {"ignore_eos", types::boolean(), &Params::ignore_eos, kEverywhere,
     "Go on after the model's end tokens."},
    {"stop", types::texts(16, kKiB * 64), &Params::stop, kEverywhere,
     "Texts that end a completion; they are cut off."},
    {"include_stop_str_in_output", types::boolean(), &Params::include_stop, kInBodies,
     "The stop text that was found stays in the answer."},
    {"stop_token_ids", types::token_ids(), &Params::stop_token_ids, kInJob | kInBodies,
     "Tokens that end a completion, as end tokens do."},
    {"n", types::integer(1, 128), std::monostate(), kInBodies,
     "Choices of each prompt; up to 4096 completions of all prompts of a request together."},
    {"best_of", types::integer(1, 128), std::monostate(), kInBodies, "Only the value of `n`."},
};
// clang-format on

template <class T>
constexpr bool kIsList =
    std::is_same_v<T, SharedList<std::string>> || std::is_same_v<T, SharedList<TokenId>>;

void read(const YamlValue& value, double& target) { target = value.number(); }
void read(const YamlValue& value, std::int64_t& target) { target = value.integer(); }
void read(const YamlValue& value, std::uint64_t& target) { target = value.integer64(); }
void read(const YamlValue& value, bool& target) { target = value.boolean(); }
void read(const YamlValue& value, SharedList<std::string>& target) { target = value.texts(); }
void read(const YamlValue& value, SharedList<TokenId>& target) {
  std::vector<TokenId> ids;
  for (const std::int64_t id : value.integers(0, kMaxCount)) {
    ids.push_back(static_cast<TokenId>(id));
  }
  target = std::move(ids);
}

std::string written_item(TokenId id) { return fmt::format("{}", id); }
std::string written_item(const std::string& text) { return yaml_quoted(text); }

template <class T>
std::string written_value(const T& value) {
  if constexpr (kIsList<T>) {
    std::vector<std::string> items;
    for (const auto& item : value) items.push_back(written_item(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  } else {
    return fmt::format("{}", value);
  }
}

}  // namespace

std::span<const SamplingParameter> sampling_parameters() { return kParameters; }

const SamplingParameter& sampling_parameter(std::string_view name) {
  for (const SamplingParameter& parameter : kParameters) {
    if (parameter.name == name) return parameter;
  }
  fail("there is no sampling parameter '{}'", name);
}

void set_parameter(const SamplingParameter& parameter, const YamlValue& value, Params& sampling) {
  check_type(parameter.type, value);
  std::visit(
      [&](auto member) {
        if constexpr (!std::is_same_v<decltype(member), std::monostate>) {
          read(value, sampling.*member);
        }
      },
      parameter.member);
}

std::string written(const SamplingParameter& parameter, const Params& sampling) {
  return std::visit(
      [&](auto member) -> std::string {
        if constexpr (std::is_same_v<decltype(member), std::monostate>) {
          return {};
        } else {
          return written_value(sampling.*member);
        }
      },
      parameter.member);
}

void settle(Params& sampling) {
  sampling.top_k = std::max<std::int64_t>(sampling.top_k, 0);
  for (SharedList<TokenId>* list : {&sampling.allowed_token_ids, &sampling.stop_token_ids}) {
    if (list->empty()) continue;
    std::vector<TokenId>& ids = list->edit();
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  }
}

std::string body_parameters_markdown() {
  std::string text = "| parameter of `body` | value | without it | meaning |\n|---|---|---|---|\n";
  for (const SamplingParameter& parameter : kParameters) {
    if (!parameter.allowed(kInBodies)) continue;
    std::string standard = written(parameter, {});
    if (parameter.name == "seed") {
      standard = "derived, see below";
    } else if (parameter.allowed(kInJob)) {
      standard = fmt::format("`sampling.{}` of the job", parameter.name);
    } else if (!standard.empty()) {
      standard = '`' + standard + '`';
    }
    text += fmt::format("| `{}` | {} | {} | {} |\n", parameter.name, in_words(parameter.type),
                        standard, parameter.meaning);
  }
  return text;
}

}  // namespace weft
