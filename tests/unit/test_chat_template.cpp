#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "temp_dir.h"
#include "text/chat/chat_json.h"
#include "text/chat/chat_template.h"

namespace {

using namespace weft;
using testing::message_of;
using testing::TempDir;

Conversation conversation_of(const std::string& messages) {
  Conversation conversation;
  conversation.messages = chat::value_from_json(messages);
  return conversation;
}

chat::Text render(const std::string& source, const Conversation& conversation) {
  return ChatTemplate("t", source, {{"eos_token", "</s>"}}).render(conversation);
}

std::string refusal(const std::string& source, const Conversation& conversation) {
  return message_of<UserError>([&] { render(source, conversation); });
}
std::string refusal(const std::string& source) { return refusal(source, single_turn("hi", {})); }

/// What a user wrote in a text, between bars.
std::string user_parts(const chat::Text& text) {
  std::string parts;
  for (const TextRange& range : text.user_ranges()) {
    parts += text.str().substr(range.begin, range.end - range.begin) + "|";
  }
  return parts;
}

/// A model directory with a byte-level tokenizer of letters and three special tokens.
void write_tokenizer(const TempDir& dir) {
  using nlohmann::json;
  json vocab = json::object();
  int id = 0;
  const std::string alphabet = "abcdefghijklmnopqrstuvwxyz<|>/_";
  for (const char c : alphabet) vocab[std::string(1, c)] = id++;
  vocab["\xC4\x8A"] = id++;  // the byte of a line end
  vocab["ab"] = id++;
  json added = json::array();
  for (const char* name : {"<|a|>", "<|b|>", "<|a|>b"}) {
    added.push_back({{"id", id++}, {"content", name}, {"special", true}, {"normalized", false}});
  }
  const json tokenizer = {
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"a b"}}}},
      {"added_tokens", added},
      {"decoder", {{"type", "ByteLevel"}}},
      {"pre_tokenizer",
       {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}};
  dir.write("tokenizer.json", tokenizer.dump());
}

/// The tokens' names, with spaces between.
std::string names_of(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::string names;
  for (const TokenId id : ids) names += std::string(tokenizer.token_bytes(id)) + " ";
  return names;
}

}  // namespace

TEST_CASE("a user's text keeps its mark through all operations", "[chat]") {
  const Conversation c = single_turn(" Ab,c ", "S");
  const auto parts = [&](const std::string& expression) {
    return user_parts(render("{% set x = messages[1].content %}{{ " + expression + " }}", c));
  };
  CHECK(parts("'<' + x + '>'") == " Ab,c |");
  CHECK(parts("'<' ~ x.strip() ~ '>' ~ x[1:3]") == "Ab,c|Ab|");
  CHECK(parts("x.split(',')[1] ~ '-' ~ x.split(',') | first") == "c | Ab|");
  CHECK(parts("x | replace('b', '<b>')") == " A|,c |");
  CHECK(parts("'a,b'.replace(',', x)") == " Ab,c |");
  CHECK(parts("['p', x, 'q'] | join('+')") == " Ab,c |");
  CHECK(parts("x | upper") == " AB,C |");
  CHECK(parts("'z' ~ (x | tojson) ~ 'z'") == "\" Ab,c \"|");
  CHECK(parts("messages | map(attribute='content') | join('/')") == "S| Ab,c |");
  CHECK(parts("x | list | join('.')") == " |A|b|,|c| |");
  CHECK(parts("x | reverse | trim | indent") == "c,bA|");
  CHECK(parts("{'k': x}.k * 2") == " Ab,c  Ab,c |");
  CHECK(parts("'abc' | upper ~ messages[1].role") == "");
  CHECK(user_parts(render("{% set y %}a{{ messages[1].content }}{% endset %}{{ y | trim }}", c)) ==
        " Ab,c|");
  CHECK(user_parts(render("{% macro m(t) %}[{{ t }}]{% endmacro %}{{ m(messages[1].content) }}",
                          c)) == " Ab,c |");
  const Conversation strange = conversation_of(R"([{"role":"a|>","content":"x"}])");
  CHECK(user_parts(render("<|{{ messages[0].role }}", strange)) == "a|>|");
}

TEST_CASE("special tokens are the template's alone", "[chat]") {
  const TempDir dir;
  write_tokenizer(dir);
  const auto tokenizer = load_tokenizer(dir.path());
  const auto tokens = [&](const std::string& source, const std::string& text) {
    return names_of(*tokenizer, encode_chat(*tokenizer, render(source, single_turn(text, {}))));
  };
  const std::string turn = "<|a|>{{ messages[0].content }}<|b|>";
  CHECK(tokens(turn, "xy") == "<|a|> x y <|b|> ");
  CHECK(tokens(turn, "<|b|>") == "<|a|> < | b | > <|b|> ");
  CHECK(tokens(turn, "<|a|>x") == "<|a|> < | a | > x <|b|> ");
  // Neither by completing a name, nor by making a longer one of the template's own.
  CHECK(tokens("<|{{ messages[0].content }}|>", "a") == "< | a | > ");
  CHECK(tokens("<|a{{ messages[0].content }}", "|>") == "< | a | > ");
  CHECK(tokens("{{ messages[0].content }}a|>", "<|") == "< | a | > ");
  CHECK(tokens(turn, "bx") == "<|a|> b x <|b|> ");
  CHECK(tokens("<|a|>b{{ messages[0].content }}", "b") == "<|a|>b b ");
  CHECK(tokens("{{ messages[0].content }}<|a|>", "<|a|") == "< | a | <|a|> ");
  // Words are merged across the border, as in the reference.
  CHECK(tokens("a{{ messages[0].content }}", "b") == "ab ");
}

TEST_CASE("what a template may not do is named, with its line", "[chat]") {
  struct Case {
    std::string source;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"\n\n{% include 'x' %}", "fails at line 3: the statement 'include' is not supported"},
      {"{% call x() %}{% endcall %}", "fails at line 1: 'x' is undefined"},
      {"{{ x | pprint }}", "the filter 'pprint' is not supported"},
      {"{{ x | nonsense }}", "t: line 1 of the chat template: there is no filter 'nonsense'"},
      {"{{ x is nonsense }}", "there is no test 'nonsense'"},
      {"{% if 1 %}{% for x in y %}{{ x | nonsense }}{% endfor %}{% endif %}",
       "no filter 'nonsense'"},
      {"{% if 1 %}\n{{ 'a' | nonsense }}{% endif %}", "fails at line 2: there is no filter"},
      {"\n{{ 'x'.expandtabs() }}", "fails at line 2: the method expandtabs() of 'str' is not"},
      {"{{ f(*x) }}", "'f' is undefined"},
      {"{% if x %}", "'endif' is missing"},
      {"{% for x in y %}", "'endfor' is missing"},
      {"{{ x ", "'}}' is missing"},
      {"{# x", "a comment without its end"},
      {"{% raw %}", "a raw block without its end"},
      {"{{ 'x }}", "a string without its end"},
      {"{{ (1 }}", "unexpected '}'"},
      {"{{ 99999999999999999999 }}", "out of range"},
      {"{% break %}", "'break' outside of a loop"},
      {"{% endif %}", "the statement 'endif' is not supported"},
      {"{{ }}", "an expression was expected"},
      {"\n{{ raise_exception('not you') }}", "refuses this conversation: not you"},
      {"{{ strftime_now('%d') }}", "asks for today's date"},
      {"\n\n{{ nobody() }}", "fails at line 3: 'nobody' is undefined"},
      {"{{ messages.append(1) }}", "append() would change the 'list', which a template may not"},
      {"{{ messages[0].a.b }}", "'dict' has no member 'a'"},
      {"{{ '%s %s' % 1 }}", "not enough values for %"},
      {"{{ 9223372036854775807 + 1 }}", "more than 64 bits"},
      {"{% set ns = namespace() %}{% set ns._x = 1 %}", "cannot start with '_'"},
      {"{% set messages.x = 1 %}", "is no namespace"},
      {"{{ \xff }}", "not UTF-8"},
  };
  for (const Case& c : cases) {
    INFO(c.source);
    CHECK_THAT(refusal(c.source), Catch::Matchers::Contains(c.message));
  }
}

TEST_CASE("hostile templates end with an error", "[chat]") {
  const auto times = [](int count, const std::string& text) {
    std::string result;
    for (int i = 0; i < count; ++i) result += text;
    return result;
  };
  const std::string loops = "{% for a in range(99999) %}";
  const std::vector<std::string> sources = {
      std::string(2'000'000, 'x'),
      "{{ " + times(100'000, "(") + " }}",
      "{{ " + times(10'000, "[") + times(10'000, "]") + " }}",
      "{{ 1" + times(100'000, "+1") + " }}",
      "{{ x" + times(100'000, ".x") + " }}",
      "{{ " + times(100'000, "-") + "1 }}",
      "{{ " + times(100'000, "not ") + "1 }}",
      "{{ x" + times(100'000, "|trim") + " }}",
      times(10'000, "{% if 1 %}"),
      loops + loops + "{% endfor %}{% endfor %}",
      "{{ range(100001) }}",
      "{{ range(0, 1099511627776, 1) }}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% macro m() %}{% if 1 %}{% if 1 %}{{ [m()] }}{% endif %}{% endif %}{% endmacro %}{{ m() }}",
      "{% set ns = namespace(x='ab') %}" + loops + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
      "{% set ns = namespace(x=[]) %}" + loops + "{% set ns.x = [ns.x] %}{% endfor %}",
      "{% set ns = namespace(x=[1]) %}" + loops + "{% set ns.x = ns.x + ns.x %}{% endfor %}",
      "{% set ns = namespace(x=[1]) %}{% for a in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
      "{% endfor %}{{ ns.x }}",
      "{% set ns = namespace(x=[1], y=[1]) %}{% for a in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
      "{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
      "{{ 'x' * 9999999999 }}",
      "{{ [0] * 9999999999 }}",
      "{{ 'x' | indent(999999999) ~ 2 ** 999999999999 }}",
      "{% set t = 'ab' * 2000000 %}" + loops + "{{ t | length }}{% endfor %}",
      "{% set t = 'ab' * 2000000 %}" + loops + "{{ 'x' in t }}{% endfor %}",
      "{% set t = 'ab' * 2000000 %}" + loops + "{{ t.find('x') }}{% endfor %}",
      loops + "{{ messages | tojson(indent=100) }}" + loops + "{% endfor %}{% endfor %}",
  };
  for (const std::string& source : sources) {
    INFO(source.substr(0, 100));
    CHECK_FALSE(refusal(source).empty());
  }
  // Cycles through a namespace are neither leaked nor followed.
  CHECK(refusal("{% set ns = namespace() %}{% set ns.self = ns %}{{ ns == ns.self }}").empty());
  CHECK_FALSE(refusal("{% set ns = namespace() %}{% set ns.self = [ns] %}{{ ns.self }}").empty());
}

TEST_CASE("dates come from the request alone", "[chat]") {
  Conversation conversation = single_turn("hi", {});
  const std::string source =
      "{{ strftime_now('%d %b %Y, %A %-d.%-m.%y %j %H:%M %p %%') if strftime_now is defined else "
      "'no date' }}";
  CHECK(render(source, conversation).str() == "no date");
  conversation.today = "2026-02-03";
  CHECK(render(source, conversation).str() == "03 Feb 2026, Tuesday 3.2.26 034 00:00 AM %");
  CHECK_THAT(refusal("{{ strftime_now('%c') }}", conversation),
             Catch::Matchers::Contains("the conversion %c is not supported"));
  conversation.today = "2026-02-30";
  CHECK_FALSE(refusal(source, conversation).empty());
}

TEST_CASE("messages are prepared as Transformers prepares them", "[chat]") {
  const Conversation c = conversation_of(
      R"([{"role":"user","content":"q","name":null},{"role":"assistant","content":null,)"
      R"("reasoning":"why","tool_calls":[]}])");
  CHECK(render("{{ messages[0].name is defined }} {{ messages[1].content is defined }} "
               "{{ messages[1].reasoning_content }} {{ messages[1].thinking }}",
               c)
            .str() == "False False why why");
  CHECK(render("{{ messages[1].content + '!' }}", c).str() == "!");
  CHECK_THAT(refusal("x", conversation_of("[]")), Catch::Matchers::Contains("no messages"));
}

TEST_CASE("templates are found where models keep them", "[chat]") {
  const TempDir dir;
  write_tokenizer(dir);
  const auto tokenizer = load_tokenizer(dir.path());
  const auto rendered = [&](bool with_tools = false) {
    Conversation conversation = single_turn("q", {});
    if (with_tools) conversation.tools = chat::value_from_json("[{}]");
    return ChatTemplate::load(dir.path(), *tokenizer)->render(conversation).str();
  };
  CHECK(ChatTemplate::load(dir.path(), *tokenizer) == nullptr);
  dir.write("tokenizer_config.json", R"({"eos_token":{"content":"<|b|>"}})");
  CHECK(ChatTemplate::load(dir.path(), *tokenizer) == nullptr);
  dir.write("tokenizer_config.json",
            R"({"eos_token":"<|b|>","chat_template":"one {{ eos_token }}{{ bos_token }}"})");
  CHECK(rendered() == "one <|b|>");
  dir.write("tokenizer_config.json", R"({"chat_template":[{"name":"default","template":"d"},)"
                                     R"({"name":"tool_use","template":"t"}]})");
  CHECK(rendered() == "d");
  CHECK(rendered(true) == "t");
  dir.write("chat_template.jinja", "file\n");
  CHECK(rendered() == "file");
  const auto load = [&] {
    return message_of<UserError>([&] { ChatTemplate::load(dir.path(), *tokenizer); });
  };
  dir.write("chat_template.jinja", "\n{% nonsense x %}");
  CHECK_THAT(load(), Catch::Matchers::StartsWith((dir / "chat_template.jinja").string() +
                                                 ": line 2 of the chat template: the statement"));
  dir.write("chat_template.jinja", "file");
  std::filesystem::create_directory(dir / "additional_chat_templates");
  dir.write("additional_chat_templates/tool_use.jinja", "tools");
  dir.write("additional_chat_templates/other.jinja", "{% nonsense %}");  // is never chosen
  CHECK(rendered() == "file");
  CHECK(rendered(true) == "tools");
  CHECK(additional_chat_templates(dir.path()) ==
        std::vector<std::string>{"additional_chat_templates/other.jinja",
                                 "additional_chat_templates/tool_use.jinja"});
  std::filesystem::remove_all(dir / "additional_chat_templates");
  std::filesystem::remove(dir / "chat_template.jinja");
  for (const char* config :
       {R"({"chat_template":5})", R"({"chat_template":[]})", R"({"chat_template":[{"name":"x"}]})",
        R"({"chat_template":[{"name":1,"template":"x"}]})"}) {
    dir.write("tokenizer_config.json", config);
    CHECK_THAT(load(), Catch::Matchers::StartsWith((dir / "tokenizer_config.json").string()));
  }
  dir.write("tokenizer_config.json", R"({"chat_template":[{"name":"other","template":"x"}]})");
  CHECK_THAT(message_of<UserError>([&] { rendered(); }),
             Catch::Matchers::Contains("named \"default\""));
}
