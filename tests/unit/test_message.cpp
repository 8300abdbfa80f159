#include "base/message.h"

#include <string>

#include "catch.h"

using namespace std::string_view_literals;
using weft::escaped;
using weft::escaped_message;

TEST_CASE("text for a terminal has no control characters", "[message]") {
  CHECK(escaped("plain, \xC3\xA9 and \xF0\x9F\x99\x82") == "plain, \xC3\xA9 and \xF0\x9F\x99\x82");
  CHECK(escaped("\x1B[2J\a\b") == "\\x1b[2J\\x07\\x08");
  CHECK(escaped("a\r\n\tb\0c\x7F"sv) == "a\\r\\n\\tb\\x00c\\x7f");
  CHECK(escaped("\xC2\x9B"
                "31m") == "\\u009b31m");  // C1
  CHECK(escaped("\xE2\x80\xAE"
                "x\xE2\x81\xA6") == "\\u202ex\\u2066");            // direction
  CHECK(escaped("\xEF\xBB\xBF\xE2\x80\xA8") == "\\ufeff\\u2028");  // invisible
}

TEST_CASE("bytes that are not UTF-8 are shown as numbers", "[message]") {
  CHECK(escaped("a\xFF\xFE") == "a\\xff\\xfe");
  CHECK(escaped("\xC3") == "\\xc3");  // cut off
  CHECK(escaped("\xE2\x82z") == "\\xe2\\x82z");
  CHECK(escaped("\xC0\xAF\xE0\x80\x9B") == "\\xc0\\xaf\\xe0\\x80\\x9b");  // overlong
  CHECK(escaped("\xED\xA0\x80\xF4\x90\x80\x80") == "\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80");
  CHECK(escaped("\x9B") == "\\x9b");
}

TEST_CASE("messages go on in indented lines only", "[message]") {
  CHECK(escaped_message("two faults:\n  one\n  two") == "two faults:\n  one\n  two");
  CHECK(escaped_message("id 'x\nweft: error'") == "id 'x\\nweft: error'");
  CHECK(escaped("x\n  y") == "x\\n  y");
}
