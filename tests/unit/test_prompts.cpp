#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "app/requests/prompts.h"
#include "base/cancelled.h"
#include "base/error.h"
#include "catch.h"
#include "temp_dir.h"

namespace {

using namespace weft;
using testing::message_of;
using testing::TempDir;

Prompt parse(std::string_view line, PromptRules rules = {}) {
  return parse_prompt(line, {.index = 4, .line = 7, .custom_id = std::nullopt}, rules);
}

/// A completions request with this body.
std::string request(const std::string& body) {
  return R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":)" + body + "}";
}
std::string with(const std::string& parameters) {
  return request(R"({"model":"m","prompt":"hi",)" + parameters + "}");
}

PromptLine accepted(const std::string& line, PromptRules rules = {}) {
  const Prompt prompt = parse(line, std::move(rules));
  if (const auto* error = std::get_if<PromptError>(&prompt)) FAIL(error->message);
  return std::get<PromptLine>(prompt);
}

PromptError refused(const std::string& line, PromptRules rules = {}) {
  const Prompt prompt = parse(line, std::move(rules));
  REQUIRE(std::holds_alternative<PromptError>(prompt));
  return std::get<PromptError>(prompt);
}

std::vector<Prompt> read_all(const std::filesystem::path& file, const PromptRules& rules = {}) {
  PromptReader reader(file, rules);
  std::vector<Prompt> prompts;
  while (auto prompt = reader.next()) prompts.push_back(std::move(*prompt));
  return prompts;
}

PromptRules rules_for(InputFormat format, std::string field = "prompt") {
  PromptRules rules;
  rules.format = format;
  rules.field = std::move(field);
  return rules;
}

}  // namespace

TEST_CASE("a request's parameters are all honoured", "[prompts]") {
  const PromptLine line = accepted(with(
      R"("max_tokens":5.0,"min_tokens":2,"temperature":0.25,"top_p":0.5,"top_k":0.3e1,"min_p":0.1,"seed":-1.0,)"
      R"("stop":["a","\u00e9"],"stop_token_ids":[4.0,0],"ignore_eos":true,"include_stop_str_in_output":true)"));
  CHECK(line.source.custom_id == "a");
  CHECK(line.source.index == 4);
  CHECK(line.model == "m");
  CHECK(std::get<std::string>(line.prompt) == "hi");
  CHECK(line.sampling.max_tokens == 5);
  CHECK(line.sampling.min_tokens == 2);
  CHECK(line.sampling.temperature == 0.25);
  CHECK(line.sampling.top_p == 0.5);
  CHECK(line.sampling.top_k == 3);
  CHECK(line.sampling.min_p == 0.1);
  CHECK(line.sampling.seed == ~std::uint64_t{0});
  CHECK(line.sampling.stop == std::vector<std::string>{"a", "\xc3\xa9"});
  CHECK(line.sampling.stop_token_ids == std::vector<TokenId>{0, 4});
  CHECK(line.sampling.ignore_eos);
  CHECK(line.sampling.include_stop);
  CHECK(line.choices == 1);
  CHECK_FALSE(line.echo);
  CHECK_FALSE(line.sampling.logprobs.has_value());
  CHECK(accepted(with(R"("top_k":-1)")).sampling.top_k == 0);
  CHECK(accepted(with(R"("stop":"x")")).sampling.stop == std::vector<std::string>{"x"});
  CHECK(accepted(with(R"("bad_words":"x")")).sampling.bad_words == std::vector<std::string>{"x"});
  CHECK(std::get<std::vector<TokenId>>(accepted(request(R"({"prompt":[3,1,2]})")).prompt) ==
        std::vector<TokenId>{3, 1, 2});
}

TEST_CASE("parameters of choices, penalties and log-probabilities are honoured", "[prompts]") {
  PromptRules rules;
  rules.vocab = 100;
  const PromptLine line = accepted(
      with(R"("n":3,"best_of":3,"echo":true,"logprobs":5,"max_tokens":0,"presence_penalty":-2,)"
           R"("frequency_penalty":0.5,"repetition_penalty":1.25,"logit_bias":{"99":-100,"0":1.5},)"
           R"("allowed_token_ids":[5,4,5],"bad_words":["no","never"])"),
      rules);
  CHECK(line.choices == 3);
  CHECK(line.echo);
  CHECK(line.sampling.logprobs == 5);
  CHECK(line.sampling.max_tokens == 0);
  CHECK(line.sampling.presence_penalty == -2);
  CHECK(line.sampling.frequency_penalty == 0.5);
  CHECK(line.sampling.repetition_penalty == 1.25);
  REQUIRE(line.sampling.logit_bias.size() == 2);
  CHECK(line.sampling.logit_bias[0].token == 0);
  CHECK(line.sampling.logit_bias[0].bias == 1.5F);
  CHECK(line.sampling.logit_bias[1].token == 99);
  CHECK(line.sampling.logit_bias[1].bias == -100);
  CHECK(line.sampling.allowed_token_ids == std::vector<TokenId>{4, 5});
  CHECK(line.sampling.bad_words == std::vector<std::string>{"no", "never"});
  CHECK(accepted(with(R"("logprobs":0)")).sampling.logprobs == 0);
  // What a job sets, a request can take back.
  rules.defaults.presence_penalty = 1;
  rules.defaults.bad_words = {"x"};
  CHECK(accepted(with(R"("bad_words":[])"), rules).sampling.bad_words.empty());
  CHECK(accepted(with(R"("presence_penalty":0)"), rules).sampling.presence_penalty == 0);
  CHECK(accepted(with(R"("presence_penalty":null)"), rules).sampling.presence_penalty == 1);
}

TEST_CASE("several prompts in one request", "[prompts]") {
  const PromptLine texts = accepted(request(R"({"prompt":["a","","b"]})"));
  CHECK(std::get<PromptArray>(texts.prompt) == PromptArray{"a", "", "b"});
  const PromptLine ids = accepted(request(R"({"prompt":[[1],[2,3]]})"));
  CHECK(std::get<PromptArray>(ids.prompt) ==
        PromptArray{std::vector<TokenId>{1}, std::vector<TokenId>{2, 3}});
}

TEST_CASE("a request without parameters gets the job's", "[prompts]") {
  PromptRules rules;
  rules.defaults.temperature = 0.75;
  rules.defaults.max_tokens = 99;
  rules.defaults.seed = 5;
  rules.defaults.stop = {"END"};
  for (const std::string& line : {request(R"({"prompt":"hi"})"),
                                  with(R"("temperature":null,"max_tokens":null,"stop":null)")}) {
    const PromptLine prompt = accepted(line, rules);
    CHECK(prompt.sampling.temperature == 0.75);
    CHECK(prompt.sampling.max_tokens == 99);
    CHECK(prompt.sampling.stop == rules.defaults.stop);
    CHECK(prompt.sampling.seed == derived_seed(5, "a"));
  }
  CHECK(accepted(with(R"("stop":[])"), rules).sampling.stop.empty());
  CHECK(derived_seed(5, "a") != derived_seed(6, "a"));
  CHECK(derived_seed(5, "a") != derived_seed(5, "b"));
  CHECK(derived_seed(0, "line-1") == digest_of(std::string_view("0\nline-1")).low);
}

TEST_CASE("parameters that ask for nothing are accepted", "[prompts]") {
  for (const std::string parameters :
       {R"("n":1)", R"("n":null,"best_of":1)", R"("echo":false)", R"("logprobs":null)",
        R"("stream":false,"stream_options":null)", R"("suffix":"")", R"("logit_bias":{})",
        R"("presence_penalty":0,"frequency_penalty":0.0)", R"("repetition_penalty":1.0)",
        R"("user":"u","metadata":{"a":1})", R"("bad_words":[])",
        R"("safety_identifier":"s","prompt_cache_key":"k","prompt_cache_retention":"24h")"}) {
    INFO(parameters);
    CHECK(std::holds_alternative<PromptLine>(parse(with(parameters))));
  }
}

TEST_CASE("every other parameter is refused by name", "[prompts]") {
  struct Case {
    std::string parameters;
    std::string param;
    std::string code;
  };
  const std::vector<Case> cases = {
      {R"("n":0)", "n", "invalid_value"},
      {R"("n":129)", "n", "invalid_value"},
      {R"("n":true)", "n", "invalid_type"},
      {R"("n":2,"best_of":3)", "best_of", "unsupported_value"},
      {R"("n":2,"best_of":1)", "best_of", "unsupported_value"},
      {R"("echo":1)", "echo", "invalid_type"},
      {R"("logprobs":21)", "logprobs", "invalid_value"},
      {R"("logprobs":true)", "logprobs", "invalid_type"},
      {R"("prompt_logprobs":1)", "prompt_logprobs", "unsupported_value"},
      {R"("top_logprobs":1)", "top_logprobs", "unsupported_parameter"},
      {R"("stream":true)", "stream", "unsupported_value"},
      {R"("suffix":"x")", "suffix", "unsupported_value"},
      {R"("logit_bias":{"100":1})", "logit_bias", "invalid_value"},
      {R"("logit_bias":{"-1":1})", "logit_bias", "invalid_value"},
      {R"("logit_bias":{"05":1})", "logit_bias", "invalid_value"},
      {R"("logit_bias":{"":1})", "logit_bias", "invalid_value"},
      {R"("logit_bias":{"5":101})", "logit_bias", "invalid_value"},
      {R"("logit_bias":{"5":"1"})", "logit_bias", "invalid_type"},
      {R"("logit_bias":[5])", "logit_bias", "invalid_type"},
      {R"("presence_penalty":2.1)", "presence_penalty", "invalid_value"},
      {R"("frequency_penalty":"1")", "frequency_penalty", "invalid_type"},
      {R"("repetition_penalty":0)", "repetition_penalty", "invalid_value"},
      {R"("repetition_penalty":1e-60)", "repetition_penalty", "invalid_value"},
      {R"("allowed_token_ids":[])", "allowed_token_ids", "invalid_value"},
      {R"("allowed_token_ids":[100])", "allowed_token_ids", "invalid_value"},
      {R"("allowed_token_ids":5)", "allowed_token_ids", "invalid_type"},
      {R"("bad_words":5)", "bad_words", "invalid_type"},
      {R"("bad_words":[""])", "bad_words", "invalid_value"},
      {R"("bad_words":[1])", "bad_words", "invalid_type"},
      {R"("response_format":{"type":"json_object"})", "response_format", "unsupported_value"},
      {R"("temprature":0)", "temprature", "unsupported_parameter"},
      {R"("messages":[])", "messages", "unsupported_parameter"},
      {R"("max_completion_tokens":null)", "max_completion_tokens", "unsupported_parameter"},
      {R"("temperature":-0.1)", "temperature", "invalid_value"},
      {R"("temperature":"0")", "temperature", "invalid_type"},
      {R"("temperature":true)", "temperature", "invalid_type"},
      {R"("top_p":0)", "top_p", "invalid_value"},
      {R"("top_p":1.01)", "top_p", "invalid_value"},
      {R"("top_k":-2)", "top_k", "invalid_value"},
      {R"("top_k":1.5)", "top_k", "invalid_type"},
      {R"("min_p":2)", "min_p", "invalid_value"},
      {R"("max_tokens":0)", "max_tokens", "invalid_value"},
      {R"("max_tokens":18446744073709551615)", "max_tokens", "invalid_value"},
      {R"("max_tokens":99999999999999999999999)", "max_tokens", "invalid_type"},
      {R"("max_tokens":3,"min_tokens":4)", "min_tokens", "invalid_value"},
      {R"("seed":1.5)", "seed", "invalid_type"},
      {R"("stop":5)", "stop", "invalid_type"},
      {R"("stop":[""])", "stop", "invalid_value"},
      {R"("stop":["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"])",
       "stop", "invalid_value"},
      {R"("stop_token_ids":5)", "stop_token_ids", "invalid_type"},
      {R"("stop_token_ids":[100])", "stop_token_ids", "invalid_value"},
      {R"("stop_token_ids":[-1])", "stop_token_ids", "invalid_value"},
      {R"("ignore_eos":1)", "ignore_eos", "invalid_type"},
      {R"("model":3)", "model", "invalid_type"},
  };
  PromptRules rules;
  rules.vocab = 100;
  for (const Case& c : cases) {
    INFO(c.parameters);
    // The outer braces of `with` already hold "model": a second one would be a duplicate key.
    const std::string line = c.param == "model" ? request(R"({"prompt":"hi",)" + c.parameters + "}")
                                                : with(c.parameters);
    const PromptError error = refused(line, rules);
    CHECK(error.param == c.param);
    CHECK(error.code == c.code);
    CHECK(error.type == "invalid_request_error");
    CHECK_THAT(error.message, Catch::Matchers::Contains(c.param));
    CHECK(error.source.custom_id == "a");
  }
}

TEST_CASE("prompts of the wrong kind are refused", "[prompts]") {
  PromptRules rules;
  rules.vocab = 100;
  for (const std::string body :
       {R"({})", R"({"prompt":null})", R"({"prompt":5})", R"({"prompt":[]})",
        R"({"prompt":["a",1]})", R"({"prompt":["a",[1]]})", R"({"prompt":[[1],"a"]})",
        R"({"prompt":[[1,100]]})", R"({"prompt":[1,"a"]})", R"({"prompt":[1,100]})",
        R"({"prompt":[-1]})", R"({"prompt":[1.5]})", R"({"prompt":[18446744073709551615]})",
        R"({"prompt":{"a":1}})"}) {
    INFO(body);
    CHECK(refused(request(body), rules).param == "prompt");
  }
}

TEST_CASE("lines that are no request are refused", "[prompts]") {
  struct Case {
    std::string line;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"{", "line 7, column 1: not valid JSON"},
      {R"({"custom_id":"a")", "line 7, column 16: not valid JSON"},
      {"nonsense", "line 7, column 2: not valid JSON"},
      {"[]", "line 7: not a JSON object"},
      {"\"text\"", "line 7: not a JSON object"},
      {R"({"custom_id":"a","custom_id":"b"})", "line 7, column 28: duplicate key"},
      {std::string(100'000, '['), "line 7, column 6"},
      {"{\"custom_id\":\"\xff\"}", "line 7, column 1"},
      {R"({"a":1e999})", "line 7, column 1"},
      {R"({})", "'custom_id' is missing"},
      {R"({"custom_id":5})", "'custom_id' must be a string, not 5"},
      {R"({"custom_id":""})", "'custom_id' is empty"},
      {R"({"custom_id":"a"})", "'method' is missing"},
      {R"({"custom_id":"a","method":"GET"})", "'method' must be \"POST\", not \"GET\""},
      {R"({"custom_id":"a","method":"POST"})", "'url' is missing"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{}})",
       "'messages' is missing"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{}})",
       "url \"/v1/embeddings\" is not supported"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/completions"})", "'body' is missing"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":[]})",
       "'body' must be an object, not []"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":{},"x":1})",
       "\"x\" is not part of a request"},
  };
  for (const Case& c : cases) {
    INFO(c.line.substr(0, 200));
    CHECK_THAT(refused(c.line).message, Catch::Matchers::StartsWith(c.message));
  }
  CHECK_FALSE(refused("{").source.custom_id.has_value());
}

TEST_CASE("jsonl: a named member is the prompt", "[prompts]") {
  const PromptRules rules = rules_for(InputFormat::jsonl, "question");
  struct Case {
    std::string line;
    std::string id;
  };
  for (const Case& c :
       {Case{R"({"question":"q","answer":[1,{"a":2}]})", "line-7"},
        Case{R"({"question":"q","id":12})", "12"}, Case{R"({"question":"q","id":"x"})", "x"},
        Case{R"({"question":"q","id":"x","custom_id":"y"})", "y"},
        Case{R"({"question":"q","id":null,"custom_id":""})", "line-7"}}) {
    INFO(c.line);
    const PromptLine line = accepted(c.line, rules);
    CHECK(std::get<std::string>(line.prompt) == "q");
    CHECK(line.source.custom_id == c.id);
    CHECK(line.sampling.seed == derived_seed(0, c.id));
  }
  CHECK(refused(R"({"answer":"q"})", rules).message == "'question' is missing");
  CHECK(refused(R"({"question":5})", rules).param == "question");
  CHECK(refused("{", rules).source.custom_id == "line-7");
}

TEST_CASE("a file gives one prompt for each line that is not blank", "[prompts]") {
  const TempDir dir;
  const auto file = dir.write("p.txt",
                              "\xEF\xBB\xBF"
                              "first\r\n\n \t\r\n  second \nthird");
  const PromptRules rules = rules_for(InputFormat::text);
  const std::vector<Prompt> prompts = read_all(file, rules);
  REQUIRE(prompts.size() == 3);
  const std::vector<std::string> texts = {"first", "  second ", "third"};
  const std::vector<std::int64_t> lines = {1, 4, 5};
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto& line = std::get<PromptLine>(prompts[i]);
    CHECK(std::get<std::string>(line.prompt) == texts[i]);
    CHECK(line.source.index == static_cast<std::int64_t>(i));
    CHECK(line.source.line == lines[i]);
    CHECK(line.source.custom_id == "line-" + std::to_string(lines[i]));
  }
  const PromptSurvey survey = survey_prompts(file, rules);
  CHECK(survey.requests == 3);
  CHECK(survey.digest == digest_of(testing::contents_of(file)));

  PromptReader reader(file, rules);
  CHECK(reader.skip());
  CHECK(reader.position() == 1);
  CHECK(std::get<std::string>(std::get<PromptLine>(*reader.next()).prompt) == "  second ");
  CHECK(reader.skip());
  CHECK_FALSE(reader.skip());
  CHECK_FALSE(reader.next());
  CHECK(read_all(dir.write("empty", ""), rules).empty());
}

TEST_CASE("lines of any length come whole, up to the cap", "[prompts]") {
  const TempDir dir;
  // Around the size of the pieces that are read, and one above the cap.
  const std::vector<std::size_t> lengths = {
      (1U << 20) - 2, (1U << 20) - 1, 1U << 20,           (1U << 20) + 1,
      3'000'000,      kPromptLineCap, kPromptLineCap + 1, 1};
  std::string text;
  for (const std::size_t length : lengths) text += std::string(length, 'x') + '\n';
  const auto prompts = read_all(dir.write("p.txt", text), rules_for(InputFormat::text));
  REQUIRE(prompts.size() == lengths.size());
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] > kPromptLineCap) {
      CHECK(std::get<PromptError>(prompts[i]).code == "line_too_long");
    } else {
      CHECK(std::get<std::string>(std::get<PromptLine>(prompts[i]).prompt).size() == lengths[i]);
    }
  }
}

TEST_CASE("duplicate ids are refused with both lines", "[prompts]") {
  const TempDir dir;
  const auto line = [](const std::string& id) {
    return R"({"custom_id":")" + id +
           R"(","method":"POST","url":"/v1/completions","body":{"prompt":"x"}})"
           "\n";
  };
  const auto file = dir.write(
      "p.jsonl", line("a") + "\n" + line("b") + "{\n{\n" + line("c") + line("b") + line("a"));
  const std::string message = message_of<UserError>([&] { survey_prompts(file, {}); });
  CHECK(message ==
        file.string() + ":7: custom_id 'b' was already given on line 3; 2 such lines in all");
  for (const int stop : {1, 7, 8}) {  // the eighth is read for its id, a second time
    int asked = 0;
    CHECK_THROWS_AS(survey_prompts(file, {}, [&] { return ++asked == stop; }), Cancelled);
    CHECK(asked == stop);
  }
  const auto fine = dir.write("q.jsonl", line("a") + line("b") + "{\n{\n");
  CHECK(survey_prompts(fine, {}).requests == 4);
  const auto mixed =
      dir.write("r.jsonl", "{\"prompt\":\"x\",\"id\":\"line-2\"}\n{\"prompt\":\"y\"}\n");
  CHECK_THAT(message_of<UserError>([&] { survey_prompts(mixed, rules_for(InputFormat::jsonl)); }),
             Catch::Matchers::EndsWith(":2: custom_id 'line-2' was already given on line 1"));
}

TEST_CASE("a file of another kind is refused, faulty lines are not", "[prompts]") {
  const TempDir dir;
  const auto refusal = [&](const std::string& text, InputFormat format) {
    const auto file = dir.write("p", text);
    const std::string message =
        message_of<UserError>([&] { survey_prompts(file, rules_for(format)); });
    return message.starts_with(file.string()) ? message.substr(file.string().size()) : message;
  };
  std::string table = "id,prompt\n\n";
  for (int i = 0; i < 99; ++i) table += fmt::format("{},why\n", i);
  CHECK_THAT(refusal(table, InputFormat::openai),
             Catch::Matchers::StartsWith(": line 1, column 1") &&
                 Catch::Matchers::EndsWith(
                     "; none of the first 100 lines is a JSON object, which input.format: openai "
                     "expects, with custom_id, method, url and body"));
  CHECK_THAT(refusal("\n[1]\n2\n", InputFormat::jsonl),
             Catch::Matchers::StartsWith(": line 2: not a JSON object; none of the first 2 lines"));
  CHECK_THAT(refusal("why?", InputFormat::jsonl),
             Catch::Matchers::EndsWith("; its only line is no JSON object, which input.format: "
                                       "jsonl expects, with the prompt in 'prompt'"));
  // A batch that is to be completed as text; other objects are text like any other.
  const std::string request =
      R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":{}})";
  std::string batch;
  for (int i = 0; i < 100; ++i) batch += request + "\n";
  CHECK_THAT(refusal(batch + "why?\n", InputFormat::text),
             Catch::Matchers::StartsWith(": each of the first 100 lines is a request of an OpenAI "
                                         "batch") &&
                 Catch::Matchers::Contains("write input.format: openai"));
  CHECK_THAT(refusal("\n" + request, InputFormat::text),
             Catch::Matchers::StartsWith(": its only line is a request of an OpenAI batch"));
  for (const std::string& text : {request + "\nwhy?\n", std::string(R"({"custom_id":"a"})"),
                                  R"(["custom_id","body"])" + request}) {
    CHECK(refusal(text, InputFormat::text).empty());
  }
  // An object of any kind among them, or text.
  CHECK(survey_prompts(dir.write("q", table + "{}\n"), rules_for(InputFormat::text)).requests ==
        101);
  std::string late;
  for (int i = 0; i < 99; ++i) late += "why?\n";
  CHECK(survey_prompts(dir.write("r", late + "{}\nwhy?\n"), {}).requests == 101);
  CHECK_FALSE(refusal(late + "why?\n{}\n", InputFormat::openai).empty());
  CHECK(survey_prompts(dir.write("s", "\n\n"), {}).requests == 0);
}

TEST_CASE("files that cannot be prompts are refused", "[prompts]") {
  const TempDir dir;
  const auto refusal = [&](const std::filesystem::path& file) {
    return message_of<UserError>([&] { PromptReader(file, {}); });
  };
  CHECK_FALSE(refusal(dir / "missing").empty());
  CHECK_FALSE(refusal(dir.path()).empty());
}

TEST_CASE("random bytes cost one row a line and nothing else", "[prompts]") {
  std::uint32_t state = 99;
  const auto random = [&state](std::size_t below) {
    state = state * 1664525U + 1013904223U;
    return static_cast<std::size_t>(state >> 8) % below;
  };
  const std::string base = with(
      R"("max_tokens":5,"temperature":0.25,"stop":["a","\u00e9"],"stop_token_ids":[4],"logit_bias":{})");
  std::string text;
  std::size_t lines = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string line = base;
    for (std::size_t edits = 1 + random(4); edits > 0; --edits) {
      const std::size_t at = random(line.size());
      switch (random(3)) {
        case 0:
          line[at] = static_cast<char>(random(256));
          break;
        case 1:
          line.insert(at, 1, "{}[]\",:0-.e\\tn"[random(14)]);
          break;
        default:
          line.erase(at, 1 + random(3));
          break;
      }
    }
    for (char& c : line) c = c == '\n' ? '?' : c;
    text += line + '\n';
    ++lines;
  }
  const TempDir dir;
  const auto file = dir.write("p.jsonl", text);
  for (const InputFormat format : {InputFormat::openai, InputFormat::jsonl, InputFormat::text}) {
    const std::vector<Prompt> prompts = read_all(file, rules_for(format));
    REQUIRE(prompts.size() == lines);
    std::set<std::int64_t> indices;
    for (const Prompt& prompt : prompts) indices.insert(source_of(prompt).index);
    CHECK(indices.size() == lines);
  }
}
