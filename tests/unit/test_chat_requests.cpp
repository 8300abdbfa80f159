// Requests to /v1/chat/completions, from the line of a prompt file to token ids.
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "app/requests/body_parameters.h"
#include "app/requests/prompt_tokens.h"
#include "app/requests/prompts.h"
#include "base/error.h"
#include "catch.h"
#include "temp_dir.h"

namespace {

using namespace weft;
using testing::message_of;
using testing::TempDir;

Prompt parse(const std::string& body) {
  return parse_prompt(
      R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":)" + body + "}",
      {.index = 0, .line = 1, .custom_id = std::nullopt}, {});
}

PromptLine accepted(const std::string& body) {
  const Prompt prompt = parse(body);
  if (const auto* error = std::get_if<PromptError>(&prompt)) FAIL(error->message);
  return std::get<PromptLine>(prompt);
}

/// The request rendered by a template.
std::string rendered(const std::string& source, const std::string& body) {
  return ChatTemplate("t", source).render(std::get<Conversation>(accepted(body).prompt)).str();
}

/// Of the letters of "hi", one token each.
std::unique_ptr<Tokenizer> hi_tokenizer(const TempDir& dir) {
  dir.write("tokenizer.json",
            R"({"model":{"type":"BPE","vocab":{"h":0,"i":1},"merges":[]},"added_tokens":[],)"
            R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}})");
  return load_tokenizer(dir.path());
}

const std::string kHello = R"("messages":[{"role":"user","content":"hi"}])";

}  // namespace

TEST_CASE("a chat request reaches the template as it is written", "[prompts][chat]") {
  CHECK(rendered(
            "{{ messages | tojson }}",
            R"({"messages":[{"role":"user","z":{"b":1,"a":[true,null,2.50]},"content":"é"}]})") ==
        R"([{"role": "user", "z": {"b": 1, "a": [true, null, 2.5]}, "content": "é"}])");
  CHECK(
      rendered("{{ tools | tojson }}",
               "{" + kHello + R"(,"tools":[{"type":"function","function":{"name":"f","a":1}}]})") ==
      R"([{"type": "function", "function": {"name": "f", "a": 1}}])");
  CHECK(rendered("{{ tools is none }}", "{" + kHello + R"(,"tools":null})") == "True");
  CHECK(rendered("{{ messages[0].content }}",
                 R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},)"
                 R"({"text":"b","type":"text"}]}]})") == "a\nb");

  const std::string options = "{{ enable_thinking }} {{ x.y }} {{ add_generation_prompt }}";
  CHECK(rendered(
            options,
            "{" + kHello + R"(,"chat_template_kwargs":{"enable_thinking":false,"x":{"y":1}}})") ==
        "False 1 True");
  CHECK(rendered(
            options,
            "{" + kHello + R"(,"chat_template_kwargs":{"x":{}},"add_generation_prompt":false})") ==
        "  False");
  CHECK(rendered("{{ strftime_now('%Y') }}",
                 "{" + kHello + R"(,"chat_template_kwargs":{"strftime_now":"2026-01-31"}})") ==
        "2026");
}

TEST_CASE("a chat request's sampling parameters", "[prompts][chat]") {
  CHECK(accepted("{" + kHello + R"(,"max_tokens":5})").sampling.max_tokens == 5);
  CHECK(accepted("{" + kHello + R"(,"max_completion_tokens":6})").sampling.max_tokens == 6);
  CHECK(accepted("{" + kHello +
                 R"(,"max_completion_tokens":6,"max_tokens":6,"temperature":0,)"
                 R"("logprobs":false,"tool_choice":"auto","n":1,"model":"m",)"
                 R"("response_format":{"type":"text"},"stream":false})")
            .sampling.greedy());
  CHECK_FALSE(accepted("{" + kHello + "}").sampling.logprobs.has_value());
  CHECK(accepted("{" + kHello + R"(,"logprobs":true})").sampling.logprobs == 0);
  CHECK(accepted("{" + kHello + R"(,"logprobs":true,"top_logprobs":20,"n":3})").sampling.logprobs ==
        20);
  CHECK(accepted("{" + kHello + R"(,"n":3,"presence_penalty":1})").choices == 3);
}

TEST_CASE("what a chat request may not ask for is named", "[prompts][chat]") {
  struct Case {
    std::string body;
    std::string param;
    std::string message;
  };
  const auto message = [](const std::string& text) { return R"({"messages":[)" + text + "]}"; };
  const auto with = [](const std::string& text) { return "{" + kHello + "," + text + "}"; };
  const std::vector<Case> cases = {
      {"{}", "messages", "'messages' is missing"},
      {R"({"messages":5})", "messages", "must be a list"},
      {R"({"messages":[]})", "messages", "'messages' is empty"},
      {message("5"), "messages", "messages[0] must be an object"},
      {message(R"({"content":"x"})"), "messages", "messages[0].role is missing"},
      {message(R"({"role":5})"), "messages", "messages[0].role must be a string"},
      {message(R"({"role":"user","content":5})"), "messages", "messages[0].content must be"},
      {message(R"({"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]})"),
       "messages", "messages[0].content[1] is of type \"image_url\"; this version supports only"},
      {message(R"({"role":"user","content":["x"]})"), "messages", "must be an object"},
      {message(R"({"role":"user","content":[{"type":"text"}]})"), "messages", "a string \"text\""},
      {message(R"({"role":"user","n":18446744073709551615})"), "messages", "more than 64 bits"},
      {with(R"("prompt":"x")"), "prompt", "is not supported"},
      {with(R"("tools":{})"), "tools", "must be a list of objects"},
      {with(R"("tools":[{"type":"function"}])"), "tools", "must be a list of objects"},
      {with(R"("continue_final_message":true)"), "continue_final_message", "supports only false"},
      {with(R"("tool_choice":"required")"), "tool_choice", "supports only \"auto\""},
      {with(R"("chat_template":"x")"), "chat_template", "supports only null"},
      {with(R"("chat_template_kwargs":[])"), "chat_template_kwargs", "must be an object"},
      {with(R"("chat_template_kwargs":{"messages":[]})"), "chat_template_kwargs", "cannot set"},
      {with(R"("chat_template_kwargs":{"strftime_now":"today"})"), "chat_template_kwargs",
       "must be a date"},
      {with(R"("add_generation_prompt":1)"), "add_generation_prompt", "true or false"},
      {with(R"("max_tokens":1,"max_completion_tokens":2)"), "max_completion_tokens", "differ"},
      {with(R"("max_completion_tokens":0)"), "max_completion_tokens", "from 1"},
      {with(R"("logprobs":1)"), "logprobs", "true or false"},
      {with(R"("logprobs":true,"top_logprobs":21)"), "top_logprobs", "from 0 to 20"},
      {with(R"("top_logprobs":2)"), "top_logprobs", "needs 'logprobs'"},
      {with(R"("echo":true)"), "echo", "not supported"},
      {with(R"("n":129)"), "n", "from 1 to 128"},
  };
  for (const Case& c : cases) {
    INFO(c.body);
    const Prompt prompt = parse(c.body);
    REQUIRE(std::holds_alternative<PromptError>(prompt));
    CHECK(std::get<PromptError>(prompt).param == c.param);
    CHECK_THAT(std::get<PromptError>(prompt).message, Catch::Matchers::Contains(c.message));
  }
}

TEST_CASE("a model without a chat template refuses chats and nothing else", "[prompts][chat]") {
  const TempDir dir;
  const auto tokenizer = hi_tokenizer(dir);
  PromptTokens tokens(dir.path(), tokenizer.get());
  PromptLine text;
  text.prompt = "hi";
  CHECK(tokens.of(text) == std::vector<std::vector<TokenId>>{{0, 1}});
  text.prompt = PromptArray{"i", std::vector<TokenId>{7}, "h"};
  CHECK(tokens.of(text) == std::vector<std::vector<TokenId>>{{1}, {7}, {0}});
  CHECK(tokens.bad_words({}, 2) == nullptr);
  const auto words = tokens.bad_words({"hi", "i"}, 2);
  CHECK(std::vector<TokenId>(words->always().begin(), words->always().end()) ==
        std::vector<TokenId>{1});
  CHECK(tokens.bad_words({"hi", "i"}, 2) == words);  // made once
  const PromptLine chat = accepted("{" + kHello + "}");
  for (int i = 0; i < 2; ++i) {
    CHECK_THAT(message_of<UserError>([&] { tokens.of(chat); }),
               Catch::Matchers::Contains("has no chat template"));
  }
  dir.write("chat_template.jinja", "{{ messages[0].content * 2 }}");
  CHECK(PromptTokens(dir.path(), tokenizer.get()).of(chat) ==
        std::vector<std::vector<TokenId>>{{0, 1, 0, 1}});
  CHECK_THAT(message_of<UserError>([&] { PromptTokens(dir.path(), nullptr).of(chat); }),
             Catch::Matchers::Contains("no tokenizer"));
}

TEST_CASE("names of special tokens are tokens in prompts and text in chats", "[prompts][chat]") {
  const TempDir dir;
  dir.write(
      "tokenizer.json",
      R"({"model":{"type":"BPE","vocab":{"h":0,"i":1,"<":2,">":3},"merges":[]},)"
      R"("added_tokens":[{"id":4,"content":"<h>","special":true,"normalized":false}],)"
      R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false},)"
      R"("post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<h>",)"
      R"("type_id":0}},{"Sequence":{"id":"A","type_id":0}}],)"
      R"("special_tokens":{"<h>":{"id":"<h>","ids":[4],"tokens":["<h>"]}}}})");
  dir.write("chat_template.jinja", "<h>{{ messages[0].content }}");
  const auto tokenizer = load_tokenizer(dir.path());
  PromptTokens tokens(dir.path(), tokenizer.get());
  using Ids = std::vector<std::vector<TokenId>>;
  const auto ids = [&](std::string_view url, const std::string& body, SpecialTokens job) {
    PromptRules rules;
    rules.special_tokens = job;
    const Prompt prompt = parse_prompt(R"({"custom_id":"a","method":"POST","url":"/v1/)" +
                                           std::string(url) + R"(","body":)" + body + "}",
                                       {.index = 0, .line = 1, .custom_id = std::nullopt}, rules);
    if (const auto* error = std::get_if<PromptError>(&prompt)) FAIL(error->message);
    return tokens.of(std::get<PromptLine>(prompt));
  };
  const auto completion = [&](const std::string& more, SpecialTokens job) {
    return ids("completions", R"({"prompt":["<h>i","i"])" + more + "}", job);
  };
  const auto chat = [&](const std::string& more, SpecialTokens job) {
    return ids("chat/completions", R"({"messages":[{"role":"u","content":"<h>i"}])" + more + "}",
               job);
  };
  using enum SpecialTokens;
  const std::string yes = R"(,"parse_special":true)";
  const std::string no = R"(,"parse_special":false)";
  CHECK(completion("", automatic) == Ids{{4, 4, 1}, {4, 1}});
  CHECK(completion(R"(,"add_special_tokens":false)", automatic) == Ids{{4, 1}, {1}});
  CHECK(completion(yes, text) == Ids{{4, 4, 1}, {4, 1}});
  CHECK(chat("", parse) == Ids{{4, 4, 1}});
  CHECK(chat(yes, automatic) == Ids{{4, 4, 1}});
  CHECK(tokens.names_left_as_text() == 0);
  CHECK(completion("", text) == Ids{{4, 2, 0, 3, 1}, {4, 1}});
  CHECK(completion(no, automatic) == Ids{{4, 2, 0, 3, 1}, {4, 1}});
  CHECK(tokens.names_left_as_text() == 2);
  CHECK(chat("", automatic) == Ids{{4, 2, 0, 3, 1}});
  CHECK(chat(no, parse) == Ids{{4, 2, 0, 3, 1}});
  CHECK(tokens.names_left_as_text() == 4);
  // Lines that are no requests of an API.
  PromptRules rules;
  rules.format = InputFormat::text;
  for (const SpecialTokens job : {automatic, text, parse}) {
    rules.special_tokens = job;
    const Prompt line =
        parse_prompt("<h>", {.index = 0, .line = 1, .custom_id = std::nullopt}, rules);
    CHECK(std::get<PromptLine>(line).parse_special == (job != text));
  }
}

TEST_CASE("tools are refused where the template does not ask for them", "[prompts][chat]") {
  const TempDir dir;
  const auto tokenizer = hi_tokenizer(dir);
  const auto tokens = [&](const std::string& source, const std::string& tools) {
    dir.write("chat_template.jinja", source);
    const PromptLine chat = accepted("{" + kHello + R"(,"tools":)" + tools + "}");
    return PromptTokens(dir.path(), tokenizer.get()).of(chat).front();
  };
  const std::string one = R"([{"type":"function","function":{"name":"h"}}])";
  const std::string deaf = "{{ messages[0].content }}";
  CHECK(tokens("{{ tools[0].function.name }}{{ messages[0].content }}", one) ==
        std::vector<TokenId>{0, 0, 1});
  CHECK(tokens(deaf, "[]") == std::vector<TokenId>{0, 1});
  CHECK(tokens(deaf, "null") == std::vector<TokenId>{0, 1});
  try {
    tokens(deaf, one);
    FAIL("tools were dropped");
  } catch (const RequestFault& fault) {
    CHECK(fault.param == "tools");
    CHECK(fault.code == "unsupported_value");
  }
}

TEST_CASE("a template gets the content that it reads", "[prompts][chat]") {
  const std::string text = R"({"messages":[{"role":"user","content":"a b"}]})";
  const std::string parts = R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},)"
                            R"({"type":"text","text":"b"}]}]})";
  const std::string reads_text = "{{ messages[0].content }}";
  const std::string reads_parts =
      "{% for p in messages[0].content %}{% if p.type == 'text' %}[{{ p.text }}]{% endif %}"
      "{% endfor %}";
  const std::string reads_both = "{% if messages[0].content is string %}" + reads_text +
                                 "{% else %}" + reads_parts + "{% endif %}";
  const std::string reads_first = "{{ messages[0].content[0].text }}";
  CHECK(rendered(reads_text, text) == "a b");
  CHECK(rendered(reads_text, parts) == "a\nb");
  CHECK(rendered(reads_parts, text) == "[a b]");
  CHECK(rendered(reads_parts, parts) == "[a][b]");
  CHECK(rendered(reads_both, text) == "a b");
  CHECK(rendered(reads_both, parts) == "[a][b]");
  CHECK(rendered(reads_first, text) == "a b");
  CHECK(rendered(reads_first, parts) == "a\nb");
}

TEST_CASE("a template gets the arguments of tool calls that it reads", "[prompts][chat]") {
  const auto call = [](const std::string& arguments) {
    return R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"",)"
           R"("tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":)" +
           arguments + "}}]}]}";
  };
  const std::string text = call(R"("{\"c\":\"x\"}")");
  const std::string object = call(R"({"c":"x"})");
  const std::string loop = "{% for m in messages %}{% for t in m.tool_calls or [] %}";
  const std::string end = "{% endfor %}{% endfor %}";
  const std::string as_json = loop + "{{ t.function.arguments | tojson }}" + end;
  const std::string by_item =
      loop + "{% for k, v in t.function.arguments.items() %}{{ k }}={{ v }}{% endfor %}" + end;
  const std::string as_text = loop + "{{ 'A:' + t.function.arguments }}" + end;
  CHECK(rendered(as_json, text) == R"({"c": "x"})");
  CHECK(rendered(as_json, object) == R"({"c": "x"})");
  CHECK(rendered(by_item, text) == "c=x");
  CHECK(rendered(by_item, object) == "c=x");
  CHECK(rendered(as_text, text) == R"(A:{"c":"x"})");
  CHECK(rendered(as_text, object) == R"(A:{"c": "x"})");
  CHECK(rendered(by_item, call(R"("")")).empty());
  CHECK_THAT(message_of<UserError>([&] { rendered(by_item, call(R"("[1]")")); }),
             Catch::Matchers::Contains("messages[1].tool_calls[0].function.arguments: a JSON"));
}

TEST_CASE("what a template leaves out is named", "[prompts][chat]") {
  const auto lost = [](const std::string& source, const std::string& body) {
    std::vector<std::string> parts;
    static_cast<void>(
        ChatTemplate("t", source).render(std::get<Conversation>(accepted(body).prompt), &parts));
    return parts;
  };
  using Parts = std::vector<std::string>;
  const std::string usual =
      "{% for m in messages %}{% if m.role in ['system', 'user', 'assistant'] %}"
      "<{{ m.role }}>{{ m.content }}{% endif %}{% endfor %}";
  const auto messages = [](const std::string& first) {
    return R"({"messages":[)" + first + R"(,{"role":"user","content":"q"}]})";
  };
  const std::string developer = messages(R"({"role":"developer","content":"be brief"})");
  CHECK(rendered(usual, developer) == "<system>be brief<user>q");
  CHECK(lost(usual, developer).empty());
  CHECK(lost("{# developer #}" + usual, developer) == Parts{"messages[0].content"});
  CHECK(lost(usual, messages(R"({"role":"function","name":"f","content":"x"})")) ==
        Parts{"messages[0].content"});
  CHECK(lost(usual, messages(R"({"role":"assistant","content":"","tool_calls":[{"id":"1",)"
                             R"("type":"function","function":{"name":"f","arguments":"{}"}}]})")) ==
        Parts{"messages[0].tool_calls[0]"});
  CHECK(lost(usual, messages(R"({"role":"user","text":"x"})")) == Parts{"messages[0].text"});
  CHECK(lost(usual, messages(R"({"role":"user","content":"x","note":"y","name":"z"})")).empty());
  CHECK(lost(usual, messages(R"({"role":"assistant","content":" \n"})")).empty());
  CHECK(lost("{{ messages[0].content | upper | tojson }}", R"({"messages":[{"role":"user",)"
                                                           R"("content":"x"}]})")
            .empty());
}

TEST_CASE("a lost message costs its row, or is counted", "[prompts][chat]") {
  const TempDir dir;
  const auto tokenizer = hi_tokenizer(dir);
  dir.write("chat_template.jinja", "{{ messages[0].content }}");
  const PromptLine chat =
      accepted(R"({"messages":[{"role":"user","content":"h"},{"role":"user","content":"i"}]})");
  PromptTokens counting(dir.path(), tokenizer.get(), LostMessages::warn);
  CHECK(counting.of(chat) == std::vector<std::vector<TokenId>>{{0}});
  CHECK(counting.with_losses() == 1);
  try {
    PromptTokens(dir.path(), tokenizer.get()).of(chat);
    FAIL("a message was dropped");
  } catch (const RequestFault& fault) {
    CHECK(fault.param == "messages");
    CHECK(fault.code == "lost_message");
    CHECK_THAT(fault.message, Catch::Matchers::Contains("messages[1].content"));
  }
}
