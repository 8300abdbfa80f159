#include <array>
#include <string>

#include "catch.h"
#include "io/file.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "model_files.h"

using namespace weft;
using namespace weft::testing;

namespace {

/// What opening a file with these contents complains about.
std::string complaint(std::string_view contents) {
  const TempDir directory;
  const auto path = directory.path() / "model.safetensors";
  write_file(path, contents);
  return user_error([&] { SafetensorsFile file(path); });
}

std::string entry(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return fmt::format(R"({{"dtype":"{}","shape":{},"data_offsets":{}}})", dtype, shape, offsets);
}

std::string length_prefix(std::uint64_t length) {
  std::string text;
  for (int i = 0; i < 8; ++i) text.push_back(static_cast<char>(length >> (8 * i)));
  return text;
}

}  // namespace

TEST_CASE("a valid safetensors file is read", "[safetensors]") {
  const TempDir directory;
  const auto path = directory.path() / "model.safetensors";
  write_file(path, safetensors({{"a", {"F32", {2, 1}, "01234567"}},
                                {"b", {"BF16", {3}, "abcdef"}},
                                {"empty", {"F32", {0, 5}, ""}},
                                {"scalar", {"F16", {}, "xy"}}}));
  const SafetensorsFile file(path);
  REQUIRE(file.entries().size() == 4);
  const SafetensorsEntry& b = file.entries().at("b");
  CHECK(b.dtype == "BF16");
  CHECK(b.shape == std::vector<std::int64_t>{3});
  CHECK(b.bytes == 6);
  std::array<std::byte, 2> middle;
  file.read(b, 2, middle);
  CHECK(middle == std::array{std::byte{'c'}, std::byte{'d'}});
  CHECK_THROWS_AS(file.read(b, 5, middle), Error);
  CHECK(file.entries().at("scalar").shape.empty());
  CHECK(file.entries().at("empty").bytes == 0);
}

TEST_CASE("a file may hold no tensor, and padding after the header", "[safetensors]") {
  CHECK(complaint(safetensors("{}", "")).empty());
  CHECK(complaint(safetensors("{\"__metadata__\":{}}    ", "")).empty());
}

TEST_CASE("impossible header lengths are refused", "[safetensors]") {
  CHECK(contains(complaint(""), "too short"));
  CHECK(contains(complaint("1234567"), "too short"));
  CHECK(contains(complaint(length_prefix(100)), "header of 100 bytes"));
  CHECK(contains(complaint(length_prefix(~std::uint64_t{0}) + "{}"),
                 "header of 18446744073709551615"));
  CHECK(contains(complaint(length_prefix(std::uint64_t{1} << 63) + "{}"), "header of"));
  CHECK(contains(complaint(length_prefix(0)), "not a JSON object"));
  CHECK(contains(complaint("plain text, not a checkpoint at all"), "not a safetensors file"));
}

TEST_CASE("headers that are not strict JSON are refused", "[safetensors]") {
  CHECK(contains(complaint(safetensors(" []", "")), "not a JSON object"));
  CHECK(contains(complaint(safetensors("[]", "")), "not a JSON object"));
  CHECK(contains(complaint(safetensors("{", "")), "not valid JSON"));
  CHECK(contains(complaint(safetensors("{} {}", "")), "not valid JSON"));
  CHECK(contains(complaint(safetensors("{\"a\xff\":1}", "")), "not valid JSON"));
  const std::string a = entry("F32", "[1]", "[0,4]");
  CHECK(contains(complaint(safetensors("{\"a\":" + a + ",\"a\":" + a + "}", "0123")),
                 "duplicate key \"a\""));
  CHECK(contains(
      complaint(safetensors(
          R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "0123")),
      "duplicate key"));
  std::string deep = "{\"a\":";
  for (int i = 0; i < 10000; ++i) deep += "[";
  CHECK(contains(complaint(safetensors(deep, "")), "nested deeper"));
}

TEST_CASE("wrong fields are refused with the tensor's name", "[safetensors]") {
  const auto refused = [](const std::string& value, std::string_view why) {
    const std::string text = complaint(safetensors("{\"tensor_x\":" + value + "}", "0123"));
    INFO(value << " -> " << text);
    CHECK(contains(text, "tensor_x"));
    CHECK(contains(text, why));
  };
  refused("7", "must have dtype");
  refused("{}", "must have dtype");
  refused(entry("F31", "[1]", "[0,4]"), "unknown dtype");
  refused(entry("F32", "{}", "[0,4]"), "must be an array");
  refused(entry("F32", "[1]", "[0,4,8]"), "array of two");
  refused(entry("F32", "[-1]", "[0,4]"), "-1 is not a size");
  refused(entry("F32", "[1.0]", "[0,4]"), "is not a size");
  refused(entry("F32", "[\"1\"]", "[0,4]"), "is not a size");
  refused(entry("F32", "[1]", "[-4,0]"), "is not a size");
  refused(entry("F32", "[1]", "[4,0]"), "data_offsets [4, 0]");
  refused(entry("F32", "[2]", "[0,4]"), "do not hold the 8 bytes");
  refused(entry("F32", "[4294967296,4294967296]", "[0,4]"), "overflows");
  refused(entry("F32", "[4611686018427387903,1]", "[0,4]"), "do not hold");
  refused(entry("F32", "[4611686018427387904]", "[0,0]"), "is not a size");
  refused(entry("F32", "[99999999999999999999]", "[0,0]"), "is not a size");
  refused(entry("F4", "[3]", "[0,2]"), "does not end with a byte");
}

TEST_CASE("what the format's own reader tolerates is tolerated, and no more", "[safetensors]") {
  const auto file = [](const std::string& metadata, const std::string& space = "") {
    return complaint(safetensors(
        space + "{" + metadata + "\"a\":" + entry("F32", "[1]", "[0,4]") + "}", "0123"));
  };
  CHECK(file("").empty());
  CHECK(file("", "  \n").empty());
  CHECK(file(R"("__metadata__":null,)").empty());
  CHECK(file(R"("__metadata__":{"format":"pt"},)").empty());
  CHECK(contains(file(R"("__metadata__":{"format":7},)"), "'format' is not a string"));
  CHECK(contains(file(R"("__metadata__":{"format":null},)"), "'format' is not a string"));
  CHECK(contains(file(R"("__metadata__":[],)"), "not an object"));
  const auto tensor = [](const std::string& text, std::string_view data) {
    return complaint(safetensors("{\"a\":" + text + "}", data));
  };
  CHECK(
      tensor(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":[[[1]]]})", "0123").empty());
  CHECK(tensor(entry("F4", "[2,3]", "[0,3]"), "012").empty());
  CHECK(tensor(entry("F6_E2M3", "[4]", "[0,3]"), "012").empty());
  CHECK(tensor(entry("C64", "[1]", "[0,8]"), "01234567").empty());
  CHECK(tensor(entry("F8_E4M3FNUZ", "[1]", "[0,1]"), "0").empty());
}

TEST_CASE("data must be covered exactly", "[safetensors]") {
  const auto two = [](std::string_view first, std::string_view second, std::string_view data) {
    return complaint(safetensors(
        "{\"a\":" + entry("F32", "[1]", first) + ",\"b\":" + entry("F32", "[1]", second) + "}",
        data));
  };
  CHECK(two("[0,4]", "[4,8]", "01234567").empty());
  CHECK(two("[4,8]", "[0,4]", "01234567").empty());
  CHECK(contains(two("[0,4]", "[0,4]", "01234567"), "begins at byte 0"));       // overlap
  CHECK(contains(two("[0,4]", "[2,6]", "01234567"), "begins at byte 2"));       // overlap
  CHECK(contains(two("[0,4]", "[8,12]", "012345678901"), "begins at byte 8"));  // hole
  CHECK(contains(two("[4,8]", "[8,12]", "012345678901"), "begins at byte 4"));  // hole in front
  CHECK(contains(two("[0,4]", "[4,8]", "0123456"), "but the file has 7"));      // truncated
  CHECK(contains(two("[0,4]", "[4,8]", "012345678"), "but the file has 9"));    // trailing
}

TEST_CASE("every truncation of a valid file is refused", "[safetensors]") {
  const std::string whole =
      safetensors({{"a", {"F32", {2, 1}, "01234567"}}, {"b", {"U8", {1}, "x"}}});
  for (std::size_t length = 0; length < whole.size(); ++length) {
    INFO(length);
    CHECK_FALSE(complaint(whole.substr(0, length)).empty());
  }
}

TEST_CASE("an index names the files of a checkpoint", "[safetensors]") {
  const TempDir directory;
  const auto open = [&](std::string_view weight_map) {
    write_file(directory.path() / "model.safetensors.index.json",
               fmt::format(R"({{"metadata":{{"total_size":9}},"weight_map":{}}})", weight_map));
    return user_error([&] { Checkpoint checkpoint(directory.path()); });
  };
  CHECK(contains(user_error([&] { Checkpoint checkpoint(directory.path()); }), "neither"));
  write_file(directory.path() / "one.safetensors", safetensors({{"a", {"U8", {2}, "aa"}}}));
  write_file(directory.path() / "two.safetensors", safetensors({{"b", {"U8", {3}, "bbb"}}}));
  CHECK(open(R"({"a":"one.safetensors","b":"two.safetensors"})").empty());
  CHECK(contains(open(R"({"a":"two.safetensors","b":"one.safetensors"})"), "tensor a is not in"));
  CHECK(contains(open(R"({"a":"one.safetensors","c":"two.safetensors"})"), "tensor c is not in"));
  CHECK(contains(open(R"({"a":"one.safetensors","b":"three.safetensors"})"), "three.safetensors"));
  CHECK(contains(open("{}"), "no weight_map"));
  for (const char* name : {"../one.safetensors", "/etc/one.safetensors", "sub/one.safetensors",
                           "one.bin", "..", ".one.safetensors", ""}) {
    INFO(name);
    CHECK(contains(open(fmt::format(R"({{"a":"{}"}})", name)), "not a plain file name"));
  }
  CHECK(contains(open(R"({"a":7})"), "must be a string"));
  write_file(directory.path() / "two.safetensors", safetensors({{"a", {"U8", {3}, "bbb"}}}));
  CHECK(contains(open(R"({"a":"one.safetensors","b":"two.safetensors"})"), "tensor b is not in"));
  // Of a tensor that two files have, the index says which it means.
  CHECK(open(R"({"a":"two.safetensors"})").empty());
  write_file(directory.path() / "one.safetensors",
             safetensors({{"a", {"U8", {2}, "aa"}}, {"c", {"U8", {1}, "c"}}}));
  CHECK(open(R"({"a":"two.safetensors","c":"one.safetensors"})").empty());
  CHECK(Checkpoint(directory.path()).at("a").entry->bytes == 3);
  CHECK(open(R"({"a":"one.safetensors","c":"one.safetensors"})").empty());
  CHECK(Checkpoint(directory.path()).at("a").entry->bytes == 2);
  write_file(directory.path() / "two.safetensors",
             safetensors({{"a", {"U8", {3}, "bbb"}}, {"b", {"U8", {1}, "b"}}}));
  CHECK(contains(open(R"({"b":"two.safetensors","c":"one.safetensors"})"), "tensor a is also in"));
}

TEST_CASE("JSON errors name file, line and column", "[json]") {
  const auto complains = [](std::string_view text, JsonLimits limits = {}) {
    return user_error([&] { parse_json(text, "file.json", limits); });
  };
  CHECK(complains("{\"a\": [1, 2.5, null, \"x\"]}").empty());
  CHECK(contains(complains("{\n  \"a\": 1,\n  \"b\": nil\n}"), "file.json:3:9"));
  CHECK(contains(complains("{\n \"a\": 1,\n \"a\": 2}"), "file.json:3:4: duplicate key \"a\""));
  CHECK(complains("{\"a\": {\"x\": 1}, \"b\": {\"x\": 1}}").empty());
  CHECK(contains(complains("[[[[1]]]]", {100, 3}), "nested deeper than 3"));
  CHECK(complains("[[[1]]]", {100, 3}).empty());
  CHECK(contains(complains("[1, 2]", {5, 3}), "at most 5"));
  CHECK(contains(complains(""), "not valid JSON"));
  CHECK(contains(complains("1e999"), "not valid JSON"));
  CHECK(contains(complains("NaN"), "not valid JSON"));
  CHECK(contains(complains("{} // comment"), "not valid JSON"));
}

TEST_CASE("files are replaced whole and logs keep whole lines", "[file]") {
  const TempDir directory;
  const auto path = directory.path() / "file";
  write_text(path, "first");
  write_text(path, "second, longer");
  CHECK(read_text(path, 100) == "second, longer");
  CHECK(contains(user_error([&] { read_text(path, 5); }), "at most 5"));
  CHECK(contains(user_error([&] { read_text(directory.path() / "none", 5); }), "No such file"));
  CHECK(contains(user_error([&] { read_text(directory.path(), 5); }), "not a regular file"));
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()),
                      std::filesystem::directory_iterator()) == 1);

  const auto log = directory.path() / "log";
  {
    LineLog lines(log);
    lines.append("one");
    lines.append("");
    CHECK_THROWS_AS(lines.append("two\nlines"), Error);
  }
  write_file(log, contents_of(log) + "torn " + std::string(10000, 'x'));
  LineLog(log).append("two");
  CHECK(contents_of(log) == "one\n\ntwo\n");
  write_file(log, "torn from the start");
  LineLog(log).append("again");
  CHECK(contents_of(log) == "again\n");
}
