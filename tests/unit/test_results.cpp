#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/report.h"
#include "app/results.h"
#include "catch.h"

namespace {

using namespace weft;
using nlohmann::json;

PromptLine a_prompt() {
  PromptLine prompt;
  prompt.source = {.index = 3, .line = 4, .custom_id = "req-\"1\""};
  prompt.prompt = "x";
  prompt.model = "m";
  return prompt;
}

Completion a_completion() {
  Completion completion;
  completion.index = 3;
  completion.tokens = {5, 6};
  completion.reason = FinishReason::stop;
  completion.logits_digest = {.high = 1, .low = 2};
  completion.prompt_tokens = 7;
  completion.completion_tokens = 3;
  completion.queued_at = 1;
  completion.first_token_at = 1.5;
  completion.finished_at = 2.5;
  return completion;
}

/// The id in every row of `a_prompt`.
const std::string kId = digest_of(std::string_view("3\nreq-\"1\"")).hex();

}  // namespace

TEST_CASE("a completion's row, byte for byte", "[results]") {
  const std::string row = completion_row(a_prompt(), a_completion(), "say \"\xc3\xa9\"\n", false);
  CHECK(row ==
        "{\"id\":\"weft-" + kId + "\",\"custom_id\":\"req-\\\"1\\\"\",\"response\":" +
            "{\"status_code\":200,\"request_id\":\"req-" + kId + "\",\"body\":{\"id\":\"cmpl-" +
            kId + "\",\"object\":\"text_completion\",\"created\":0,\"model\":\"m\"," +
            "\"choices\":[{\"index\":0,\"text\":\"say \\\"\xc3\xa9\\\"\\n\"," +
            "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":7," +
            "\"completion_tokens\":3,\"total_tokens\":10}}},\"error\":null}");
}

TEST_CASE("a chat's row, byte for byte", "[results]") {
  PromptLine prompt = a_prompt();
  prompt.prompt = single_turn("x", {});
  CHECK(completion_row(prompt, a_completion(), "yes", false) ==
        "{\"id\":\"weft-" + kId + "\",\"custom_id\":\"req-\\\"1\\\"\",\"response\":" +
            "{\"status_code\":200,\"request_id\":\"req-" + kId + "\",\"body\":{\"id\":\"chatcmpl-" +
            kId + "\",\"object\":\"chat.completion\",\"created\":0,\"model\":\"m\"," +
            "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"yes\"}," +
            "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":7," +
            "\"completion_tokens\":3,\"total_tokens\":10}}},\"error\":null}");
}

TEST_CASE("with digests a row carries the receipt", "[results]") {
  const json row = json::parse(completion_row(a_prompt(), a_completion(), "", true));
  CHECK(row["weft"]["logits_digest"] == "00000000000000010000000000000002");
  CHECK(row["weft"]["tokens"] == json({5, 6}));
}

TEST_CASE("a row depends on nothing but request and answer", "[results]") {
  Completion later = a_completion();
  later.queued_at = 100;
  later.finished_at = 200;
  CHECK(completion_row(a_prompt(), later, "t", true) ==
        completion_row(a_prompt(), a_completion(), "t", true));
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
  CHECK(json::parse(row)["custom_id"].is_null());
  CHECK(json::parse(row)["error"]["param"].is_null());
}

TEST_CASE("percentiles are by nearest rank", "[report]") {
  std::vector<double> hundred;
  for (int i = 100; i > 0; --i) hundred.push_back(i);
  CHECK(percentiles_of(hundred).p50 == 50);
  CHECK(percentiles_of(hundred).p90 == 90);
  CHECK(percentiles_of(hundred).p99 == 99);
  CHECK(percentiles_of({7}).p99 == 7);
  CHECK(percentiles_of({}).p50 == 0);
}

TEST_CASE("the report counts and fits a screen", "[report]") {
  RunReport report;
  report.model = "models/m";
  report.processor = "cpu avx2 x 2 threads";
  report.layout.dp = 2;
  report.hosts = {"n1", "n1", "n2"};
  report.requests = 3;
  report.succeeded = 2;
  report.failed = 1;
  report.resumed = 1;
  report.preemptions = 4;
  report.wall_seconds = 5;
  report.load_seconds = 2;
  report.prefill_seconds = 1;
  report.decode_seconds = 2;
  report.results = "out/results.jsonl";
  add_completion(report, a_completion());
  CHECK(time_to_first_token(a_completion()) == 0.5);
  CHECK(time_per_output_token(a_completion()) == 0.5);
  CHECK(tokens_per_second(report) == 1);

  const std::string text = to_text(report);
  CHECK(std::count(text.begin(), text.end(), '\n') < 20);
  for (const char* part : {"3 of 3 done, 1 failed; 1 by earlier runs", "n1 x 2, n2 x 1", "dp=2",
                           "7 in, 3 out", "500.0 ms p50", "out/results.jsonl"}) {
    CHECK_THAT(text, Catch::Matchers::Contains(part));
  }
  const json summary = json::parse(to_json(report));
  CHECK(summary["requests"]["failed"] == 1);
  CHECK(summary["tokens"]["completion"] == 3);
  CHECK(summary["ttft_seconds"]["p99"] == 0.5);
  CHECK(summary["layout"]["dp"] == 2);
}
