#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/sentencepiece_settings.h"
#include "text/tokenizer/stream_decoder.h"
#include "text/tokenizer/tokenizer.h"
#include "text/utf8.h"

using nlohmann::json;
using namespace weft;

namespace {

namespace fs = std::filesystem;

// A directory that lives as long as the object.
class ScratchDir {
 public:
  ScratchDir() {
    static int count = 0;
    path_ = fs::temp_directory_path() /
            ("weft-tokenizer-" + std::to_string(::getpid()) + "-" + std::to_string(count++));
    fs::create_directories(path_);
  }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  ~ScratchDir() { fs::remove_all(path_); }

  const fs::path& path() const { return path_; }
  void write(const char* name, const std::string& contents) const {
    std::ofstream(path_ / name, std::ios::binary) << contents;
  }

 private:
  fs::path path_;
};

json reference(const char* name) {
  std::ifstream file(fs::path(__FILE__).parent_path().parent_path() / "reference" / name);
  REQUIRE(file);
  return json::parse(file);
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

std::string from_base64(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned held = 0;
  int bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    held = (held << 6) | static_cast<unsigned>(digits.find(c));
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>((held >> bits) & 0xFF);
    }
  }
  return bytes;
}

std::string input_of(const json& c) {
  return c.contains("hex") ? from_hex(c["hex"]) : c["text"].get<std::string>();
}

std::string replaced(const std::string& text) {
  std::string storage;
  return std::string(well_formed(text, storage));
}

std::string streamed(const Tokenizer& tokenizer, const std::vector<TokenId>& ids,
                     DecodeOptions options) {
  StreamDecoder decoder(tokenizer, options);
  std::string text;
  std::string storage;
  for (const TokenId id : ids) {
    const std::string part = decoder.push(id);
    CHECK(well_formed(part, storage).data() == part.data());
    text += part;
  }
  return text + decoder.flush();
}

void check_cases(const Tokenizer& tokenizer, const json& cases) {
  for (const json& c : cases) {
    const std::string input = input_of(c);
    INFO("input " << input);
    const auto expected = c["ids"].get<std::vector<TokenId>>();
    const auto ids = tokenizer.encode(input);
    CHECK(ids == expected);
    CHECK(tokenizer.encode(input) == expected);  // now from the cache
    const std::string text = c.value("decoded", replaced(input));
    CHECK(tokenizer.decode(expected) == text);
    CHECK(streamed(tokenizer, expected, {}) == text);
    if (c.contains("parsed_ids")) {
      const auto parsed = c["parsed_ids"].get<std::vector<TokenId>>();
      CHECK(tokenizer.encode(input, {.add_special = true, .parse_special = true}) == parsed);
      CHECK(tokenizer.decode(parsed, {.skip_special = false, .continuation = false}) ==
            c["parsed_decoded"].get<std::string>());
    }
  }
}

void check_variants(const char* name) {
  const json table = reference(name);
  for (const json& variant : table["variants"]) {
    INFO("variant " << variant["name"]);
    json root = table["tokenizer"];
    for (const auto& [path, value] : variant["replace"].items()) {
      root[json::json_pointer("/" + path)] = value;
    }
    const ScratchDir dir;
    dir.write("tokenizer.json", root.dump());
    check_cases(*load_tokenizer(dir.path()), variant["cases"]);
  }
}

// The reference's byte-level tokenizer as tokenizer.json.
json byte_level_root() { return reference("tokenizer_byte_level.json")["tokenizer"]; }

std::string user_error(const fs::path& dir) {
  try {
    load_tokenizer(dir);
  } catch (const UserError& e) {
    return e.what();
  }
  return "";
}

// The message with which this tokenizer.json is refused; empty if it is not.
std::string refusal(const std::string& contents) {
  const ScratchDir dir;
  dir.write("tokenizer.json", contents);
  return user_error(dir.path());
}

bool names(const std::string& message, const std::string& what) {
  INFO("message: " << message);
  const bool found = message.find(what) != message.npos;
  CHECK(found);
  return found;
}

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("byte-level tokenizers agree with the reference", "[tokenizer]") {
  check_variants("tokenizer_byte_level.json");
}

TEST_CASE("character-level tokenizers agree with the reference", "[tokenizer]") {
  check_variants("tokenizer_character_level.json");
}

TEST_CASE("SentencePiece models agree with the reference", "[tokenizer]") {
  const json table = reference("tokenizer_sentencepiece.json");
  const ScratchDir dir;
  dir.write("tokenizer.model", from_base64(table["model_base64"]));
  const auto tokenizer = load_tokenizer(dir.path());
  check_cases(*tokenizer, table["cases"]);
  CHECK(tokenizer->vocab_size() == 600);
  CHECK(tokenizer->bos() == 1);
  CHECK(tokenizer->eos() == 2);
  CHECK(tokenizer->token_id("no such piece") == std::nullopt);

  SECTION("control tokens are parsed on request only") {
    const TokenId inst = tokenizer->token_id("[INST]").value();
    const EncodeOptions parse{.add_special = false, .parse_special = true};
    CHECK(tokenizer->encode("[INST]", parse) == std::vector<TokenId>{inst});
    const auto plain = tokenizer->encode("[INST]");
    CHECK(std::find(plain.begin(), plain.end(), inst) == plain.end());
  }
  SECTION("the opening space stays in a continuation") {
    const auto ids = tokenizer->encode("the model", {.add_special = false});
    CHECK(tokenizer->decode(ids) == "the model");
    CHECK(tokenizer->decode(ids, {.skip_special = true, .continuation = true}) == " the model");
  }
  SECTION("a model without the dummy prefix keeps an opening space") {
    dir.write("tokenizer.model",
              from_base64(table["model_base64"]) + std::string("\x1A\x02\x18\x00", 4));
    const auto changed = load_tokenizer(dir.path());
    CHECK(changed->decode(changed->encode(" the")) == " the");
    CHECK(changed->encode("the") != tokenizer->encode("the"));
  }
  SECTION("tokenizer_config.json decides about BOS and further tokens") {
    dir.write("tokenizer_config.json",
              R"({"add_bos_token": false, "add_eos_token": true, "legacy": false,
                  "added_tokens_decoder": {"600": {"content": "<|im_end|>", "special": true}}})");
    const auto changed = load_tokenizer(dir.path());
    const auto ids = changed->encode("the<|im_end|>the", {.parse_special = true});
    const auto the = tokenizer->encode("the", {.add_special = false});
    std::vector<TokenId> head(ids.begin(), ids.begin() + static_cast<long>(the.size()));
    CHECK(head == the);
    CHECK(std::count(ids.begin(), ids.end(), 600) == 1);
    CHECK(ids.back() == 2);
    // Not "legacy": no dummy space behind a special token.
    CHECK(changed->decode(ids, {.skip_special = false}) == "the<|im_end|>the</s>");
  }
}

TEST_CASE("vocab.json with merges.txt is the tokenizer of its family", "[tokenizer]") {
  const json table = reference("tokenizer_byte_level.json");
  const json& root = table["tokenizer"];
  const ScratchDir dir;
  dir.write("vocab.json", root["model"]["vocab"].dump());
  std::string merges = "#version: 0.2\n";
  for (const json& merge : root["model"]["merges"]) {
    merges += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
  }
  dir.write("merges.txt", merges);
  json config{{"tokenizer_class", "Qwen2TokenizerFast"}, {"eos_token", "<|im_end|>"}};
  for (const json& token : root["added_tokens"]) {
    config["added_tokens_decoder"][std::to_string(token["id"].get<int>())] = token;
  }

  SECTION("Qwen2") {
    dir.write("tokenizer_config.json", config.dump());
    const auto tokenizer = load_tokenizer(dir.path());
    check_cases(*tokenizer, table["variants"][0]["cases"]);
    CHECK(tokenizer->eos() == tokenizer->token_id("<|im_end|>"));
    CHECK(tokenizer->eos().has_value());
    CHECK(!tokenizer->bos().has_value());
  }
  SECTION("GPT-2") {
    config["tokenizer_class"] = "GPT2Tokenizer";
    dir.write("tokenizer_config.json", config.dump());
    REQUIRE(table["variants"][2]["name"] == "gpt2");
    check_cases(*load_tokenizer(dir.path()), table["variants"][2]["cases"]);
  }
  SECTION("the family from config.json") {
    dir.write("config.json", R"({"model_type": "qwen3"})");
    CHECK(load_tokenizer(dir.path())->decode(load_tokenizer(dir.path())->encode("x y")) == "x y");
  }
  SECTION("no family") { names(user_error(dir.path()), "Qwen2Tokenizer"); }
}

TEST_CASE("malformed UTF-8 is replaced by maximal subparts", "[tokenizer]") {
  const std::string r(replacement_character);
  const std::array<std::pair<std::string, std::string>, 9> table{{
      {"plain", "plain"},
      {"\x80", r},
      {"\xC0\xAF", r + r},
      {"\xE2\x82", r},
      {"\xE2\x82z", r + "z"},
      {"\xED\xA0\x80", r + r + r},
      {"\xF0\x80\x80\x41", r + r + r + "A"},
      {"\xF1\x80\x80\xE1\x80\xC2", r + r + r},
      {"\xF4\x90\x80\x80", r + r + r + r},
  }};
  for (const auto& [input, expected] : table) {
    CHECK(replaced(input) == expected);
    for (std::size_t cut = 0; cut <= input.size(); ++cut) {  // in two fragments
      Utf8Stream stream;
      std::string out;
      stream.feed(std::string_view(input).substr(0, cut), out);
      stream.feed(std::string_view(input).substr(cut), out);
      stream.finish(out);
      CHECK(out == expected);
    }
  }
}

TEST_CASE("a stream holds back incomplete characters", "[tokenizer]") {
  const ScratchDir dir;
  json root = byte_level_root();
  root["model"]["merges"] = json::array();
  dir.write("tokenizer.json", root.dump());
  const auto tokenizer = load_tokenizer(dir.path());
  const auto ids = tokenizer->encode("é👍");
  REQUIRE(ids.size() == 6);
  StreamDecoder decoder(*tokenizer);
  std::vector<std::string> parts;
  for (const TokenId id : ids) parts.push_back(decoder.push(id));
  CHECK(parts == std::vector<std::string>{"", "é", "", "", "", "👍"});
  CHECK(decoder.flush().empty());
  CHECK(decoder.push(ids[2]).empty());
  CHECK(decoder.flush() == replacement_character);
  CHECK(tokenizer->token_bytes(ids[0]) == "\xC3");
}

TEST_CASE("ids without a token decode to nothing", "[tokenizer]") {
  const ScratchDir dir;
  dir.write("tokenizer.json", byte_level_root().dump());
  const auto tokenizer = load_tokenizer(dir.path());
  const auto size = static_cast<TokenId>(tokenizer->vocab_size());
  for (const TokenId id : {-1, -2147483647 - 1, size, 2147483647}) {
    CHECK(tokenizer->token_bytes(id).empty());
    CHECK(!tokenizer->is_special(id));
    CHECK(tokenizer->decode(std::array{id}).empty());
  }
  CHECK(tokenizer->token_id(" the").has_value());
}

TEST_CASE("an added token that is a word of its own is none beside joiners", "[tokenizer]") {
  const ScratchDir dir;
  json root = byte_level_root();
  const std::size_t id = root["model"]["vocab"].size() + 1000;
  root["added_tokens"].push_back({{"id", id},
                                  {"content", "<w>"},
                                  {"special", false},
                                  {"normalized", false},
                                  {"single_word", true}});
  dir.write("tokenizer.json", root.dump());
  const auto tokenizer = load_tokenizer(dir.path());
  const auto finds = [&](const std::string& text) {
    const auto ids = tokenizer->encode(text);
    return std::find(ids.begin(), ids.end(), static_cast<TokenId>(id)) != ids.end();
  };
  for (const char* beside : {"", " ", "-", "\u2460", "\u200b", "\U0001f600"}) {
    CHECK(finds(beside + std::string("<w>")));
    CHECK(finds("<w>" + std::string(beside)));
  }
  for (const char* beside : {"a", "1", "_", "\u0301", "\u200c", "\u200d", "\u24d0", "\u2160"}) {
    CHECK_FALSE(finds(beside + std::string("<w>")));
    CHECK_FALSE(finds("<w>" + std::string(beside)));
  }
}

TEST_CASE("an added token that the vocabulary has stands for the same bytes", "[tokenizer]") {
  const ScratchDir dir;
  // é is the byte 0xE9 in this vocabulary, and Ġ a space.
  dir.write("tokenizer.json",
            R"({"model":{"type":"BPE","vocab":{"é":0,"Ġ":1,"a":2},"merges":[]},"added_tokens":[)"
            R"({"id":0,"content":"é","special":false,"normalized":false},)"
            R"({"id":1,"content":"Ġ","special":false,"normalized":false},)"
            R"({"id":3,"content":"né","special":false,"normalized":false}],)"
            R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false},)"
            R"("decoder":{"type":"ByteLevel"}})");
  const auto tokenizer = load_tokenizer(dir.path());
  CHECK(tokenizer->encode("é aĠ") == std::vector<TokenId>{0, 1, 2, 1});
  CHECK(tokenizer->token_bytes(0) == "\xE9");
  CHECK(tokenizer->token_bytes(1) == " ");
  CHECK(tokenizer->token_bytes(3) == "né");
  CHECK(tokenizer->decode(std::vector<TokenId>{2, 1, 2}) == "a a");
}

TEST_CASE("several threads may encode at once", "[tokenizer]") {
  const ScratchDir dir;
  dir.write("tokenizer.json", byte_level_root().dump());
  const auto tokenizer = load_tokenizer(dir.path());
  const std::string text = "the model, the слой and 模型 12345 don't";
  const auto expected = tokenizer->encode(text);
  std::array<bool, 4> same{};
  std::vector<std::thread> threads;
  for (bool& ok : same) {
    threads.emplace_back([&] {
      ok = true;
      for (int i = 0; i < 200; ++i) ok = ok && tokenizer->encode(text) == expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const bool ok : same) CHECK(ok);
}

TEST_CASE("merges are applied by rank, whatever was possible before", "[tokenizer]") {
  const auto encoded = [](const json& vocab, const json& merges, const char* text) {
    const ScratchDir dir;
    dir.write("tokenizer.json", json{{"model", {{"vocab", vocab}, {"merges", merges}}}}.dump());
    return load_tokenizer(dir.path())->encode(text);
  };
  const json letters{{"a", 0},  {"b", 1},  {"c", 2},   {"d", 3},
                     {"ab", 4}, {"bc", 5}, {"bcd", 6}, {"abc", 7}};
  // "a b" is out of date once "b c" is done, and must not make "a bc" come early.
  CHECK(encoded(letters, {"b c", "a b", "bc d", "a bc"}, "abcd") == std::vector<TokenId>{0, 6});
  CHECK(encoded(letters, {"b c", "a b", "a bc", "bc d"}, "abcd") == std::vector<TokenId>{7, 3});
  // Leftmost first among equals.
  const json run{{"a", 0}, {"aa", 1}};
  CHECK(encoded(run, {"a a"}, "aaaaa") == std::vector<TokenId>{1, 1, 0});
  // A merge across a space forbids cutting there.
  const json spaced{{"a", 0}, {"▁", 1}, {"b", 2}, {"a▁", 3}, {"a▁b", 4}};
  CHECK(encoded(spaced, {"a ▁", "a▁ b"}, "a▁b") == std::vector<TokenId>{4});
}

TEST_CASE("merging stays near-linear", "[tokenizer]") {
  const ScratchDir dir;
  dir.write("tokenizer.json", byte_level_root().dump());
  const auto tokenizer = load_tokenizer(dir.path());
  for (const char* unit : {"the", " ", "\n", "\xCC\x81\xCC\xA3", "\xFF"}) {
    std::string text;
    while (text.size() < 300'000) text += unit;
    std::vector<TokenId> ids;
    CHECK(seconds([&] { ids = tokenizer->encode(text); }) < 20);  // quadratic takes minutes
    CHECK(!ids.empty());
  }
}

TEST_CASE("damaged files are refused with their name", "[tokenizer]") {
  names(user_error("/nonexistent-directory"), "no tokenizer there");
  names(refusal(""), "tokenizer.json");
  names(refusal(std::string("\x00\x01\xFE\xFF garbage", 12)), "tokenizer.json");
  names(refusal(std::string(1'000'000, '[')), "nested deeper than");
  names(refusal("[]"), "tokenizer.json");
  names(refusal("{}"), "model");
  names(refusal(R"({"model": 3})"), "tokenizer.json");
  names(refusal(R"({"model": {"vocab": {}, "merges": []}})"), "empty");

  const ScratchDir dir;
  dir.write("tokenizer.model", "not a protocol buffer");
  names(user_error(dir.path()), "not a SentencePiece model");
  dir.write("tokenizer.model", "");
  names(user_error(dir.path()), "not a SentencePiece model");
  fs::create_directory(dir.path() / "tokenizer.json");
  names(user_error(dir.path()), "not a regular file");
  fs::remove(dir.path() / "tokenizer.json");
  dir.write("tokenizer.json", "");
  fs::resize_file(dir.path() / "tokenizer.json", 200'000'001);  // sparse
  names(user_error(dir.path()), "at most 200000000 are allowed");
}

TEST_CASE("what is wrong in a tokenizer.json is named", "[tokenizer]") {
  struct Row {
    const char* path;
    const char* value;  // JSON
    const char* message;
  };
  const std::vector<Row> table{
      {"/model/vocab", "[1, 2]", "not an object"},
      {"/model/vocab/a", "-1", "-1"},
      {"/model/vocab/a", "1", "used twice"},
      {"/model/vocab/a", "4194304", "4194304"},
      {"/model/vocab/a", "18446744073709551615", "18446744073709551615"},
      {"/model/vocab/a", "1e300", "token id"},
      {"/model/vocab/a", "\"7\"", "token id"},
      {"/model/merges", "3", "merges"},
      {"/model/merges/0", "\"nosuch piece\"", "nosuch"},
      {"/model/merges/0", "\"a b c\"", "a b c"},
      {"/model/merges/0", "[\"a\"]", "merge 0"},
      {"/model/merges/0", "[1, 2]", "tokenizer.json"},
      {"/model/type", "\"Unigram\"", "Unigram"},
      {"/model/unk_token", "\"<nope>\"", "<nope>"},
      {"/model/end_of_word_suffix", "\"</w>\"", "end_of_word_suffix"},
      {"/model/dropout", "0.1", "dropout"},
      {"/model/byte_fallback", "1", "byte_fallback"},
      {"/added_tokens/0/id", "0", "contradicts"},
      {"/added_tokens/0/id", "-5", "-5"},
      {"/added_tokens/1/id", "600", "600"},
      {"/added_tokens/0/content", "\"\"", "empty"},
      {"/added_tokens", "{}", "not an array"},
      {"/normalizer", R"({"type": "BertNormalizer"})", "BertNormalizer"},
      {"/normalizer", R"({"type": 4})", "type"},
      {"/pre_tokenizer", R"({"type": "UnicodeScripts"})", "UnicodeScripts"},
      {"/pre_tokenizer/pretokenizers/0/behavior", "\"Sideways\"", "Sideways"},
      {"/pre_tokenizer/pretokenizers/0/pattern", R"({"Regex": "(a"})", "(a"},
      {"/pre_tokenizer/pretokenizers/0/pattern", R"({"Regex": "[a&&b]"})", "intersection"},
      {"/pre_tokenizer/pretokenizers/0/pattern", R"j({"Regex": "(?R)"})j", "group"},
      {"/pre_tokenizer/pretokenizers/0/pattern", R"({"Regex": "(a)\\1"})", "escape"},
      {"/pre_tokenizer/pretokenizers/0/pattern", R"({"Regex": "\\p{Klingon}"})", "klingon"},
      {"/pre_tokenizer/pretokenizers/0/pattern", R"({"Glob": "*"})", "pattern"},
      {"/decoder", R"({"type": "WordPiece"})", "WordPiece"},
      {"/decoder", R"({"type": "Strip", "content": " ", "start": -1, "stop": 0})", "start"},
      {"/post_processor", R"({"type": "BertProcessing"})", "BertProcessing"},
      {"/post_processor", R"({"type": "TemplateProcessing", "single": [], "special_tokens": {}})",
       "TemplateProcessing"},
      {"/post_processor",
       R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}},
           {"Sequence": {"id": "A"}}], "special_tokens": {"x": {"ids": [99999]}}})",
       "99999"},
  };
  for (const Row& row : table) {
    INFO(row.path << " = " << row.value);
    json root = byte_level_root();
    REQUIRE(refusal(root.dump()).empty());
    root[json::json_pointer(row.path)] = json::parse(row.value);
    const std::string message = refusal(root.dump());
    names(message, "tokenizer.json");
    names(message, row.message);
  }
}

TEST_CASE("a pattern that backtracks without end is an error", "[tokenizer]") {
  const Regex regex(pcre2_from_oniguruma("(?:a|aa)+[bc]"));
  CHECK_THROWS_AS(regex.find(std::string(100, 'a'), 0), UserError);
}

TEST_CASE("Oniguruma's spelling becomes PCRE2's", "[tokenizer]") {
  const auto matches = [](const char* pattern, std::string_view text) {
    const auto hit = Regex(pcre2_from_oniguruma(pattern)).find(text, 0);
    return hit ? std::string(text.substr(hit->begin, hit->end - hit->begin)) : std::string("-");
  };
  CHECK(matches(R"(\s+)", "a \u0085\u2028\u180e") == " \u0085\u2028");
  CHECK(matches(R"(\w+)", "e\u0301\u203f\u00b2 ") == "e\u0301\u203f\u00b2");
  CHECK(matches(R"([\w]+)", "e\u00b2") == "e");
  CHECK(matches(R"([\s-]+)", "a- -") == "- -");
  CHECK(matches(R"([a[b-d]]+)", "xabcd]") == "abcd");
  CHECK(matches(R"(a{,2})", "aaa") == "aa");
  CHECK(matches(R"(a{x)", "a{x") == "a{x");
  CHECK(matches(R"(\p{^L}+)", "a12b") == "12");
  CHECK(matches(R"(\p{Letter}+)", "12bc") == "bc");
  CHECK(matches(R"(\p{Han}+)", "a\u3005\u4e00\u3001") == "\u3005\u4e00");
  CHECK(matches(R"(\u4e00)", "a\u4e00") == "\u4e00");
  CHECK(matches(R"((?i:'S|'t))", "it'\u017f") == "'\u017f");
  // A word is Oniguruma's: marks belong to it, circled digits do not.
  const char* groups = R"(\d{1,3}(?=(?:\d{3})*\b))";
  CHECK(matches(groups, "1234\u2460") == "1");
  CHECK(matches(groups, "1234") == "1");
  CHECK(matches(groups, "1234\u0301") == "-");
  CHECK(matches(R"(.\b)", "e\u0301\u203f\u00b2-") == "\u00b2");
  CHECK(matches(R"(\B.)", "ab") == "b");
  CHECK(matches(R"(\B.)", " -") == " ");
  CHECK(matches(R"((?i:s|'ll)s)", "'LLs") == "'LLs");
  CHECK(matches("(?i:\u2019s)\u00dfss", "\u2019S\u00dfss") == "\u2019S\u00dfss");
  CHECK(matches("a{1,2}?", "aa") == "a");
  for (const char* pattern : {R"(\h)",
                              R"(\K)",
                              "a{1,2}+",
                              "(?<n>a)",
                              "(*UTF)a",
                              "[^[^a]]",
                              "[a",
                              "(?i:ss)",
                              R"(\b+)",
                              "(?i)a(?:F)i",
                              "(?i:\u00df)",
                              "(?i:[\u00df])",
                              R"((?i:[\p{L}]))",
                              R"((?i:\u0149))",
                              R"(\xdf)",
                              "a{2}?",
                              R"(\)",
                              R"([\S])",
                              "[[:alpha:]]",
                              R"(\pL)",
                              R"(\x{110000000})"}) {
    INFO(pattern);
    CHECK_THROWS_AS(Regex(pcre2_from_oniguruma(pattern)), UserError);
  }
}

TEST_CASE("rewriting rules of a SentencePiece model are looked at before they are followed",
          "[tokenizer]") {
  // normalizer_spec (3) with precompiled_charsmap (2): the length of the trie, the trie, texts.
  const auto model = [](const std::vector<std::uint32_t>& trie, const std::string& texts) {
    std::string rules;
    const auto add = [&](std::uint32_t word) {
      for (int i = 0; i < 4; ++i) rules.push_back(static_cast<char>(word >> (8 * i) & 0xFF));
    };
    const auto size = [](std::size_t bytes) {  // as a varint of two bytes
      return std::string{static_cast<char>(bytes % 128 + 128), static_cast<char>(bytes / 128)};
    };
    add(static_cast<std::uint32_t>(4 * trie.size()));
    for (const std::uint32_t unit : trie) add(unit);
    rules += texts;
    const std::string spec = "\x12" + size(rules.size()) + rules;
    return "\x1A" + size(spec.size()) + spec;
  };
  const std::string texts("ab\0", 3);
  std::vector<std::uint32_t> trie(256);
  CHECK(has_sound_rewrites(model(trie, texts)));
  CHECK(has_sound_rewrites(""));
  CHECK_FALSE(has_sound_rewrites(model(trie, "ab")));  // no NUL at the end
  CHECK_FALSE(has_sound_rewrites(model(trie, "")));
  trie[7] = 1U << 31 | 2;  // a value within the texts
  CHECK(has_sound_rewrites(model(trie, texts)));
  trie[7] = 1U << 31 | 3;
  CHECK_FALSE(has_sound_rewrites(model(trie, texts)));
  trie[7] = 256U << 10;  // leads behind the units
  CHECK_FALSE(has_sound_rewrites(model(trie, texts)));
  trie[7] = 1U << 8;  // says that it has a value, and leads to itself
  CHECK_FALSE(has_sound_rewrites(model(trie, texts)));
  CHECK_FALSE(has_sound_rewrites(model({1, 2, 3}, texts)));  // less than one block
}
