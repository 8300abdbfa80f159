#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "app/output/report.h"
#include "app/output/results.h"
#include "app/requests/body_parameters.h"
#include "catch.h"
#include "support/pieces.h"

namespace {

using namespace weft;
using nlohmann::json;

/// "say ", a quoted e acute with a line end, in three tokens: the letter is cut in two.
const test::Pieces& pieces() {
  static const test::Pieces all(
      {"zero", "one", "two", "three", "yes", "say \"\xc3", "\xa9\"\n", " more", "<end>"});
  return all;
}

PromptLine a_prompt() {
  PromptLine prompt;
  prompt.source = {.index = 3, .line = 4, .custom_id = "req-\"1\""};
  prompt.prompt = "x";
  prompt.model = "m";
  return prompt;
}

Completion a_completion(std::vector<TokenId> tokens = {5, 6}) {
  Completion completion;
  completion.index = 3;
  completion.tokens = std::move(tokens);
  completion.reason = FinishReason::stop;
  completion.logits_digest = {.high = 1, .low = 2};
  completion.prompt_tokens = 7;
  completion.completion_tokens = 3;
  completion.queued_at = 1;
  completion.first_token_at = 1.5;
  completion.finished_at = 2.5;
  return completion;
}

std::string row_of(const PromptLine& prompt, std::vector<Completion> completions,
                   bool digest = false, std::int64_t created = 0) {
  return completion_row(prompt, std::move(completions), {&pieces(), digest, created});
}

/// The first choice of a row.
json choice_of(const PromptLine& prompt, const Completion& completion) {
  return json::parse(row_of(prompt, {completion}))["response"]["body"]["choices"][0];
}

/// The id in every row of `a_prompt`.
const std::string kId = digest_of(std::string_view("3\nreq-\"1\"")).hex();

}  // namespace

TEST_CASE("a completion's row, byte for byte", "[results]") {
  CHECK(row_of(a_prompt(), {a_completion()}, false, 17) ==
        "{\"id\":\"weft-" + kId + "\",\"custom_id\":\"req-\\\"1\\\"\",\"response\":" +
            "{\"status_code\":200,\"request_id\":\"req-" + kId + "\",\"body\":{\"id\":\"cmpl-" +
            kId + "\",\"object\":\"text_completion\",\"created\":17,\"model\":\"m\"," +
            "\"choices\":[{\"index\":0,\"text\":\"say \\\"\xc3\xa9\\\"\\n\"," +
            "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":7," +
            "\"completion_tokens\":3,\"total_tokens\":10}}},\"error\":null}");
}

TEST_CASE("a row that is too long is refused by its exact length", "[results]") {
  const std::vector<Completion> completions(3, a_completion());
  for (const bool digest : {false, true}) {
    const std::string row = row_of(a_prompt(), completions, digest);
    RowOptions options{&pieces(), digest, 0, row.size()};
    CHECK(completion_row(a_prompt(), completions, options) == row);
    --options.longest;
    try {
      completion_row(a_prompt(), completions, options);
      FAIL("not refused");
    } catch (const RequestFault& fault) {
      CHECK(fault.code == "response_too_large");
    }
  }
  CHECK(RowOptions().longest <= kJournalRowCap);
}

TEST_CASE("a name that looks like the row's own text stays a name", "[results]") {
  PromptLine prompt = a_prompt();
  prompt.source.custom_id = "\"choices\":[]";
  const json row = json::parse(row_of(prompt, {a_completion()}));
  CHECK(row["custom_id"] == *prompt.source.custom_id);
  CHECK(row["response"]["body"]["choices"].size() == 1);
}

TEST_CASE("a chat's row, byte for byte", "[results]") {
  PromptLine prompt = a_prompt();
  prompt.prompt = single_turn("x", {});
  CHECK(row_of(prompt, {a_completion({4})}) ==
        "{\"id\":\"weft-" + kId + "\",\"custom_id\":\"req-\\\"1\\\"\",\"response\":" +
            "{\"status_code\":200,\"request_id\":\"req-" + kId + "\",\"body\":{\"id\":\"chatcmpl-" +
            kId + "\",\"object\":\"chat.completion\",\"created\":0,\"model\":\"m\"," +
            "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"yes\"}," +
            "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":7," +
            "\"completion_tokens\":3,\"total_tokens\":10}}},\"error\":null}");
}

TEST_CASE("several choices of several prompts", "[results]") {
  PromptLine prompt = a_prompt();
  prompt.prompt = PromptArray{"a", "b"};
  prompt.choices = 2;
  std::vector<Completion> completions;
  for (const std::int64_t choice : {2, 0, 3, 1}) {
    completions.push_back(a_completion({static_cast<TokenId>(choice)}));
    completions.back().choice = choice;
    completions.back().prompt_tokens = choice < 2 ? 5 : 11;
    completions.back().completion_tokens = 1 + choice;
  }
  const json row = json::parse(row_of(prompt, completions, true));
  const json& body = row["response"]["body"];
  REQUIRE(body["choices"].size() == 4);
  const char* const texts[] = {"zero", "one", "two", "three"};
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(body["choices"][i]["index"] == i);
    CHECK(body["choices"][i]["text"] == texts[i]);
    CHECK(row["weft"]["choices"][i]["tokens"] == json({i}));
  }
  CHECK(body["usage"] ==
        json({{"prompt_tokens", 16}, {"completion_tokens", 10}, {"total_tokens", 26}}));
}

TEST_CASE("a completion's log-probabilities", "[results]") {
  PromptLine prompt = a_prompt();
  prompt.sampling.logprobs = 2;
  Completion completion = a_completion({5, 6, 4});
  completion.logprobs = {
      {-0.1F, {{5, -0.1F}, {1, -2.5F}}}, {-3.25F, {{1, -0.5F}, {2, -1}}}, {-9999, {{8, -0.25F}}}};
  const json logprobs = choice_of(prompt, completion)["logprobs"];
  CHECK(logprobs["tokens"] ==
        json({R"(bytes:\x73\x61\x79\x20\x22\xc3)", R"(bytes:\xa9\x22\x0a)", "yes"}));
  CHECK(logprobs["token_logprobs"] == json({-0.1, -3.25, -9999.0}));
  CHECK(logprobs["top_logprobs"][0] ==
        json({{R"(bytes:\x73\x61\x79\x20\x22\xc3)", -0.1}, {"one", -2.5}}));
  // The token that stands there is always among them.
  CHECK(logprobs["top_logprobs"][1] ==
        json({{"one", -0.5}, {"two", -1.0}, {R"(bytes:\xa9\x22\x0a)", -3.25}}));
  CHECK(logprobs["top_logprobs"][2] == json({{"<end>", -0.25}, {"yes", -9999.0}}));
  CHECK(logprobs["text_offset"] == json({0, 5, 8}));  // characters, not bytes

  completion.text_bytes = 6;  // a stop string begins inside the second token
  CHECK(choice_of(prompt, completion)["logprobs"]["tokens"].size() == 2);
  completion.text_bytes = 0;
  CHECK(choice_of(prompt, completion)["logprobs"]["tokens"].empty());
}

TEST_CASE("an echo and its log-probabilities", "[results]") {
  PromptLine prompt = a_prompt();
  prompt.prompt = std::vector<TokenId>{1, 2};
  prompt.echo = true;
  Completion completion = a_completion({4});
  completion.prompt = {1, 2};
  CHECK(choice_of(prompt, completion)["text"] == "onetwoyes");
  CHECK(choice_of(prompt, completion)["logprobs"].is_null());
  prompt.sampling.logprobs = 0;
  completion.prompt_logprobs = {{-1.5F, {}}};
  completion.logprobs = {{-2, {}}};
  const json logprobs = choice_of(prompt, completion)["logprobs"];
  CHECK(logprobs["tokens"] == json({"one", "two", "yes"}));
  CHECK(logprobs["token_logprobs"] == json({nullptr, -1.5, -2.0}));
  CHECK(logprobs["top_logprobs"] == json({nullptr, {{"two", -1.5}}, {{"yes", -2.0}}}));
  CHECK(logprobs["text_offset"] == json({0, 3, 6}));
  // Scored only.
  completion.tokens.clear();
  completion.logprobs.clear();
  CHECK(choice_of(prompt, completion)["text"] == "onetwo");
  CHECK(choice_of(prompt, completion)["logprobs"]["tokens"].size() == 2);
}

TEST_CASE("a chat's log-probabilities", "[results]") {
  PromptLine prompt = a_prompt();
  prompt.prompt = single_turn("x", {});
  prompt.sampling.logprobs = 1;
  Completion completion = a_completion({6});
  completion.logprobs = {{-0.75F, {{4, -0.5F}}}};
  CHECK(choice_of(prompt, completion)["logprobs"] ==
        json({{"content",
               {{{"token", R"(bytes:\xa9\x22\x0a)"},
                 {"logprob", -0.75},
                 {"bytes", {0xa9, 0x22, 0x0a}},
                 {"top_logprobs",
                  json::array(
                      {{{"token", "yes"}, {"logprob", -0.5}, {"bytes", {121, 101, 115}}}})}}}}}));
}

TEST_CASE("without a tokenizer tokens have their ids", "[results]") {
  PromptLine prompt = a_prompt();
  prompt.sampling.logprobs = 0;
  Completion completion = a_completion({6});
  completion.logprobs = {{-0.75F, {}}};
  const json row = json::parse(completion_row(prompt, std::span(&completion, 1), {}));
  const json choice = row["response"]["body"]["choices"][0];
  CHECK(choice["text"] == "");
  CHECK(choice["logprobs"]["tokens"] == json({"token_id:6"}));
}

TEST_CASE("with digests a row carries the receipt", "[results]") {
  const json row = json::parse(row_of(a_prompt(), {a_completion()}, true));
  CHECK(row["weft"]["logits_digest"] == "00000000000000010000000000000002");
  CHECK(row["weft"]["tokens"] == json({5, 6}));
}

TEST_CASE("a row depends on nothing but request and answer", "[results]") {
  Completion later = a_completion();
  later.queued_at = 100;
  later.finished_at = 200;
  CHECK(row_of(a_prompt(), {later}, true) == row_of(a_prompt(), {a_completion()}, true));
}

TEST_CASE("an error's row, byte for byte", "[results]") {
  PromptError error;
  error.source = {.index = 3, .line = 4, .custom_id = "req-\"1\""};
  error.message = "no";
  error.param = "top_p";
  CHECK(error_row(error) ==
        "{\"id\":\"weft-" + kId + "\",\"custom_id\":\"req-\\\"1\\\"\",\"response\":" +
            "{\"status_code\":400,\"request_id\":\"req-" + kId + "\",\"body\":null},\"error\":" +
            "{\"message\":\"no\",\"type\":\"invalid_request_error\",\"param\":\"top_p\"," +
            "\"code\":\"invalid_value\"}}");
}

TEST_CASE("rows are one line of JSON whatever they hold", "[results]") {
  PromptError error{
      .source = {}, .message = "bytes \xff\n\xc3", .param = std::nullopt, .code = "c"};
  const std::string row = error_row(error);
  CHECK(row.find('\n') == std::string::npos);
  CHECK(json::parse(row)["custom_id"] == "line-0");  // a string, for strict readers
  CHECK(json::parse(row)["error"]["param"].is_null());
}

TEST_CASE("the report counts and fits a screen", "[report]") {
  RunReport report;
  report.model = "models/m";
  report.processor = "cpu avx2 x 2 threads";
  report.layout.dp = 2;
  report.hosts = {"n1", "n1", "n2"};
  report.cores = 2;
  report.core_limit = "cpu.max of /a";
  report.requests = 3;
  report.succeeded = 2;
  report.failed = 1;
  report.resumed = 1;
  report.preemptions = 4;
  report.prefix_tokens_looked_up = 400;
  report.prefix_tokens_taken_over = 100;
  report.wall_seconds = 5;
  report.load_seconds = 2;
  report.prefill_seconds = 1;
  report.mixed_seconds = 0.25;
  report.decode_seconds = 2;
  report.all_runs = {.runs = 3, .killed = 1, .seconds = 12};
  report.all_tokens = {.prompt = 21, .completion = 18};
  report.experts = {{2, {4, 0}}, {5, {3, 3}}};
  report.communication = {{Primitive::tp, {2, 3, 4}, {1024, 2048, 3072}, {0, 0, 0}}};
  report.results = "out/results.jsonl";
  add_completion(report, a_completion(), true);
  add_completion(report, a_completion(), false);  // another choice of the same prompt
  CHECK(time_to_first_token(a_completion()) == 0.5);
  CHECK(time_per_output_token(a_completion()) == 0.5);
  CHECK(tokens_per_second(report) == 2);

  const std::string text = to_text(report);
  CHECK(std::count(text.begin(), text.end(), '\n') < 30);
  for (const char* part :
       {"3 of 3 done, 1 failed; 1 by earlier runs", "n1 x 2, n2 x 1", "2 a rank (cpu.max of /a)",
        "dp=2", "7 in, 6 out", "100 of 400 tokens in full pages", "(25.0%)", "500.0 ms p50",
        "out/results.jsonl", "prefill 1.00 s, mixed 250.0 ms, decode 2.00 s",
        "all runs   3: 21 tokens in, 18 out; 12.00 s in all, without 1 that were killed",
        "along tp: 2.0 KiB sent by a rank on average, 3.0 KiB at most, in 4 calls"}) {
    CHECK_THAT(text, Catch::Matchers::Contains(part));
  }
  const json summary = json::parse(to_json(report));
  CHECK(summary["requests"]["failed"] == 1);
  CHECK(summary["tokens"]["completion"] == 6);
  CHECK(summary["ttft_seconds"]["p99"] == 0.5);
  CHECK(summary["layout"]["dp"] == 2);
  CHECK(summary["cores"] == json({{"of_a_rank", 2.0}, {"limit", "cpu.max of /a"}}));
  CHECK_THAT(text, !Catch::Matchers::Contains("without a new row"));
  report.results.clear();
  CHECK_THAT(to_text(report), !Catch::Matchers::Contains("without a new row"));
  report.resumed = 3;  // all that there are: this run has added none
  const std::string idle = to_text(report);
  CHECK_THAT(idle, Catch::Matchers::Contains("without a new row"));
  CHECK(std::count(idle.begin(), idle.end(), '\n') == 1);
  CHECK(summary["seconds"]["mixed"] == 0.25);
  CHECK(summary["all_runs"]["runs"] == 3);
  CHECK(summary["all_runs"]["completion_tokens"] == 18);
  CHECK(summary["all_runs"]["wall_seconds"] == 12.0);
  CHECK(summary["experts"][0]["imbalance"] == 2.0);
  CHECK(summary["experts"][1]["tokens"] == nlohmann::json({3, 3}));
  CHECK(expert_imbalance(report.experts).mean == 1.5);
  CHECK(expert_imbalance(report.experts).worst_layer == 2);
  CHECK(summary["communication"]["tp"]["calls"]["max"] == 4);
  CHECK(summary["communication"]["tp"]["sent_bytes"]["avg"] == 2048);
  CHECK(summary["prefix_sharing"]["tokens_taken_over"] == 100);
  CHECK(summary["prefix_sharing"]["hit_rate"] == 0.25);
}
