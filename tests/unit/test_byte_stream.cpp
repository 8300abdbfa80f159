#include "io/byte_stream.h"

#include <zlib.h>
#include <zstd.h>

#include <string>
#include <vector>

#include "app/requests/prompts.h"
#include "base/error.h"
#include "catch.h"
#include "temp_dir.h"

namespace {

using namespace weft;
using testing::message_of;
using testing::TempDir;

std::string gzip(const std::string& text) {
  z_stream state{};
  REQUIRE(deflateInit2(&state, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&state, text.size()), '\0');
  state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  state.avail_in = static_cast<uInt>(text.size());
  state.next_out = reinterpret_cast<Bytef*>(packed.data());
  state.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&state, Z_FINISH) == Z_STREAM_END);
  packed.resize(state.total_out);
  deflateEnd(&state);
  return packed;
}

std::string zstd(const std::string& text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  // With a checksum of the contents, as the zstd program writes it.
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  packed.resize(ZSTD_compress2(context, packed.data(), packed.size(), text.data(), text.size()));
  ZSTD_freeCCtx(context);
  return packed;
}

std::string read_all(const std::filesystem::path& path, std::size_t piece = 1000) {
  const auto stream = open_stream(path);
  std::string text;
  std::string buffer(piece, '\0');
  while (const std::size_t count = stream->read(std::as_writable_bytes(std::span(buffer)))) {
    text.append(buffer, 0, count);
  }
  return text;
}

/// Text that packs neither well nor badly, above the size of all buffers.
std::string long_text() {
  std::string text;
  std::uint32_t state = 1;
  while (text.size() < 2'000'000) {
    state = state * 1664525U + 1013904223U;
    text += "line " + std::to_string(state >> 12) + "\n";
  }
  return text;
}

using Pack = std::string (*)(const std::string&);

}  // namespace

TEST_CASE("files are unpacked by their first bytes, whatever their names", "[byte_stream]") {
  const TempDir dir;
  const std::string text = long_text();
  CHECK(read_all(dir.write("plain.gz", text)) == text);
  CHECK(read_all(dir.write("empty", "")).empty());
  for (const Pack pack : {&gzip, &zstd}) {
    CHECK(read_all(dir.write("a", pack(text))) == text);
    CHECK(read_all(dir.write("a", pack(text)), 1 << 20) == text);
    CHECK(read_all(dir.write("a", pack("xyz")), 1) == "xyz");
    CHECK(read_all(dir.write("a", pack(""))).empty());
    CHECK(read_all(dir.write("a", pack("one\n") + pack("") + pack(text) + pack("two"))) ==
          "one\n" + text + "two");
    // Much output from little input: the decoder holds bytes when the file has ended.
    CHECK(read_all(dir.write("a", pack(std::string(3'000'000, 'x'))), 777) ==
          std::string(3'000'000, 'x'));
  }
  const std::string skippable("\x53\x2a\x4d\x18\x03\0\0\0abc", 11);
  CHECK(read_all(dir.write("a", skippable + zstd("text"))) == "text");
}

TEST_CASE("a packed file that is cut off anywhere is refused", "[byte_stream]") {
  const TempDir dir;
  const std::string text = long_text().substr(0, 3000);
  for (const Pack pack : {&gzip, &zstd}) {
    const std::string packed = pack(text);
    for (std::size_t length = 4; length < packed.size(); length += 7) {
      const auto path = dir.write("cut", packed.substr(0, length));
      CHECK_THAT(message_of<UserError>([&] { read_all(path); }),
                 Catch::Matchers::Contains("cut: the ") && Catch::Matchers::Contains("cut off"));
    }
    const auto second = dir.write("cut", packed + packed.substr(0, packed.size() / 2));
    CHECK_THAT(message_of<UserError>([&] { read_all(second); }),
               Catch::Matchers::Contains("cut off"));
  }
}

TEST_CASE("a packed file that is damaged anywhere is refused or read right", "[byte_stream]") {
  const TempDir dir;
  const std::string text = long_text().substr(0, 3000);
  for (const Pack pack : {&gzip, &zstd}) {
    const std::string packed = pack(text);
    int refused = 0;
    for (std::size_t at = 0; at < packed.size(); at += 3) {
      std::string damaged = packed;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      const auto path = dir.write("damaged", damaged);
      std::string found;
      const std::string message = message_of<UserError>([&] { found = read_all(path); });
      if (!message.empty()) {
        ++refused;
      } else if (at >= 4) {    // with other first bytes it is a plain file
        CHECK(found == text);  // a time stamp or the like
      }
    }
    CHECK(refused > 100);
    const auto trailing = dir.write("trailing", packed + "something else");
    CHECK_FALSE(message_of<UserError>([&] { read_all(trailing); }).empty());
  }
}

TEST_CASE("packed prompts are the same prompts", "[byte_stream][prompts]") {
  const TempDir dir;
  PromptRules rules;
  rules.format = InputFormat::text;
  const std::string text = long_text().substr(0, 5000);
  const PromptSurvey plain = survey_prompts(dir.write("plain", text), rules);
  CHECK(plain.requests > 100);
  for (const Pack pack : {&gzip, &zstd}) {
    const PromptSurvey packed = survey_prompts(dir.write("packed", pack(text)), rules);
    CHECK(packed.requests == plain.requests);
    CHECK(packed.digest == plain.digest);
  }
}
