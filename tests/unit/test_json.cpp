#include "io/json.h"

#include <ctime>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "app/requests/prompts.h"
#include "base/cancelled.h"
#include "base/progress_counter.h"
#include "catch.h"
#include "io/safetensors.h"
#include "model_files.h"
#include "text/chat/chat_json.h"
#include "text/json_file.h"

namespace {

using namespace weft;
using namespace weft::testing;

/// `count` times `item`, with commas between them.
std::string repeated(std::string_view item, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text.append(i == 0 ? "" : ",").append(item);
  return text;
}

/// `count` members with keys of their own and this value.
std::string members(std::string_view value, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += fmt::format("{}\"k{}\":{}", i == 0 ? "" : ",", i, value);
  }
  return text;
}

/// Processor time of this thread; the least of three tries.
double seconds_of(const std::function<void()>& action) {
  const auto now = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  double least = 1e9;
  for (int i = 0; i < 3; ++i) {
    const double begin = now();
    action();
    least = std::min(least, now() - begin);
  }
  return least;
}

using TextOf = std::function<std::string(std::size_t)>;

/// How many times as long `read` takes for a text of 32 times the items: about 32 where the time
/// grows with the length, 1000 where it grows with its square.
double growth(const TextOf& text_of, const std::function<void(const std::string&)>& read) {
  constexpr std::size_t few = 1500;
  const std::string small = text_of(few);
  const std::string large = text_of(32 * few);
  const double base = seconds_of([&] { read(small); });
  return seconds_of([&] { read(large); }) / std::max(base, 1e-5);
}

constexpr double kLinear = 200;  // with room for caches that no longer hold it, and for noise

/// Texts of every shape, by their number of items.
std::vector<std::pair<std::string, TextOf>> shapes() {
  return {{"empty objects", [](std::size_t n) { return "[" + repeated("{}", n) + "]"; }},
          {"empty lists", [](std::size_t n) { return "[" + repeated("[]", n) + "]"; }},
          {"objects", [](std::size_t n) { return "[" + repeated(R"({"a":{"b":[1]}})", n) + "]"; }},
          {"numbers", [](std::size_t n) { return "[" + repeated("-1.5", n) + "]"; }},
          {"strings", [](std::size_t n) { return "[" + repeated("\"x\"", n) + "]"; }},
          {"one string", [](std::size_t n) { return "\"" + std::string(8 * n, 'x') + "\""; }},
          {"members", [](std::size_t n) { return "{" + members("{}", n) + "}"; }},
          {"pairs", [](std::size_t n) { return "{" + members(R"({"a":[],"b":{}})", n) + "}"; }}};
}

std::string request_with(const std::string& metadata) {
  return R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":)"
         R"({"messages":[{"role":"user","content":"x"}],"metadata":)" +
         metadata + "}}";
}

std::string complains(std::string_view text, const JsonLimits& limits = {}) {
  return user_error([&] { parse_json(text, "f", limits); });
}

}  // namespace

TEST_CASE("the time of reading JSON grows with its length", "[json]") {
  for (const auto& [name, text_of] : shapes()) {
    INFO(name);
    CHECK(growth(text_of, [](const std::string& text) { parse_json(text, "f"); }) < kLinear);
    CHECK(growth(text_of, [](const std::string& text) { chat::value_from_json(text); }) < kLinear);
    CHECK(growth(text_of, [](const std::string& text) {
            const Prompt prompt = parse_prompt(request_with(text), {}, {});
            REQUIRE(std::holds_alternative<PromptLine>(prompt));
          }) < kLinear);
  }
}

TEST_CASE("the time of opening a checkpoint grows with its tensors", "[json]") {
  const TempDir dir;
  const auto path = dir.path() / "model.safetensors";
  const TextOf file_of = [](std::size_t n) {
    return safetensors(
        "{" + members(R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})", n) + "}", "");
  };
  CHECK(growth(file_of, [&](const std::string& bytes) {
          write_file(path, bytes);
          CHECK(!SafetensorsFile(path).entries().empty());
        }) < kLinear);
}

TEST_CASE("a tree of JSON is what the library makes of it", "[json]") {
  for (const char* text :
       {"null", "true", "-7", "18446744073709551615", "1e3", "\"a\\u00e9\\n\"", "[]", "{}",
        R"([1,[2,[3,{}],"x"],{"a":null,"b":[{"c":false},{}]},18446744073709551616])",
        R"({"z":{"y":[[],[[]],{"x":{}}]},"a":-0.0})"}) {
    CHECK(parse_json(text, "f") == nlohmann::json::parse(text));
    CHECK(parse_json(text, "f").dump() == nlohmann::json::parse(text).dump());
  }
}

TEST_CASE("what is not strict JSON is refused with its place", "[json]") {
  CHECK(complains(R"({"a":1,"b":{"a":1,"b":2,"a":3}})") == "f:1:27: duplicate key \"a\"");
  CHECK(complains("[1,]") ==
        "f:1:4: not valid JSON: syntax error while parsing value - "
        "unexpected ']'; expected '[', '{', or a literal");
  CHECK(contains(complains("[1] 2"), "f:1:5: not valid JSON"));
  CHECK(contains(complains("{\"a\":1"), "f:1:6: not valid JSON"));
  CHECK(contains(complains("[\"\xff\"]"), "not valid JSON"));
  CHECK(complains("[[]]", {.depth = 1}) == "f:1:2: nested deeper than 1");
  CHECK(complains("[[],[[]]]", {.depth = 3}).empty());
  // The files of tokenizers, and what templates get, by the same reader.
  const TempDir dir;
  const auto file = dir.write("x.json", R"({"a":1,"a":2})");
  CHECK(contains(user_error([&] { read_json_file(file); }), "x.json:1:10: duplicate key \"a\""));
  CHECK(contains(message_of<chat::Fault>([] { chat::value_from_json(R"({"a":1,"a":2})"); }),
                 "duplicate key"));
}

TEST_CASE("foreign encodings and packed files are named", "[json]") {
  using namespace std::string_view_literals;
  const std::string_view utf8 = "{\"a\": 1}";
  const auto wide = [&](std::size_t width, bool last, std::string_view mark) {
    std::string text(mark);
    for (const char c : utf8) {
      std::string unit(width, '\0');
      unit[last ? width - 1 : 0] = c;
      text += unit;
    }
    return text;
  };
  const TempDir dir;
  const auto named = [&](std::string_view text, std::string_view name) {
    INFO(name);
    CHECK(contains(complains(text), name));
    PromptReader reader(dir.write("prompts", text), {});
    CHECK(contains(user_error([&] { reader.next(); }), name));
  };
  named(wide(2, false, "\xFF\xFE"), "UTF-16");
  named(wide(2, true, "\xFE\xFF"), "UTF-16");
  named(wide(2, false, ""), "UTF-16");
  named(wide(2, true, ""), "UTF-16");
  named(wide(4, false, "\xFF\xFE\0\0"sv), "UTF-32");
  named(wide(4, true, "\0\0\xFE\xFF"sv), "UTF-32");
  named(wide(4, false, ""), "UTF-32");
  named(wide(4, true, ""), "UTF-32");
  named(
      "\xFD"
      "7zXZ\0\0\x04"sv,
      "xz");
  named("BZh91AY"sv, "bzip2");
  named("\x04\x22\x4D\x18zzzz"sv, "lz4");
  named("PK\x03\x04zzzz"sv, "zip");
  CHECK(contains(complains("\x1F\x8B\x08zzzzzzz"), "gzip"));
}

TEST_CASE("within a long text there are signs of life, and a stop is heard", "[json]") {
  const std::string text = "[" + repeated("{}", 50000) + "]";
  const std::int64_t before = progress_count();
  parse_json(text, "f");
  CHECK(progress_count() - before >= 10);
  int asked = 0;
  const auto stop = [&] { return ++asked == 3; };
  CHECK_THROWS_AS(parse_json(text, "f", {.stop = stop}), Cancelled);
  CHECK(asked == 3);

  // Of a prompt file: of which one line may be all.
  const TempDir dir;
  const auto file = dir.write("p.jsonl", request_with(text) + "\n");
  const auto survey = [&](int after) {
    asked = 0;
    return survey_prompts(file, {}, [&] { return ++asked == after; });
  };
  CHECK_THROWS_AS(survey(5), Cancelled);
  CHECK(survey(0).requests == 1);
  const auto endless = dir.write("x.jsonl", std::string(std::size_t{5} << 20, 'x'));
  asked = 0;
  LineReader lines(endless, 100, [&] { return ++asked == 4; });
  LineReader::Line line;
  CHECK_THROWS_AS(lines.next(line), Cancelled);
}
