#include "text/tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include "text/json_file.h"
#include "text/tokenizer/pattern.h"
#include "text/utf8.h"

namespace weft {
namespace {

constexpr int composed = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
constexpr int decomposed = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;

struct CharRange {
  char32_t first, last;
};
// The commonest characters that are in NFC, are no combining marks and compose with nothing
// before them. Text of these alone needs no work.
constexpr std::array<CharRange, 9> plain_in_nfc{{
    {0x0000, 0x02FF},
    {0x0400, 0x0482},
    {0x048A, 0x0559},
    {0x2010, 0x2027},
    {0x3000, 0x3029},
    {0x3041, 0x3096},
    {0x30A1, 0x30FA},
    {0x4E00, 0x9FFC},
    {0xFF01, 0xFF5E},
}};

bool surely_nfc(std::string_view text) {
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t c = next_char(text, pos);
    const bool plain = std::any_of(plain_in_nfc.begin(), plain_in_nfc.end(),
                                   [c](CharRange r) { return c >= r.first && c <= r.last; });
    if (!plain) return false;
  }
  return true;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

int combining_class(utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; }

// Puts each run of combining marks into the order of their classes, in O(n log n) at worst.
void order_marks(std::vector<utf8proc_int32_t>& chars) {
  const auto is_mark = [](utf8proc_int32_t c) { return combining_class(c) != 0; };
  for (auto run = chars.begin(); run != chars.end();) {
    run = std::find_if(run, chars.end(), is_mark);
    const auto end = std::find_if_not(run, chars.end(), is_mark);
    std::stable_sort(run, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(a) < combining_class(b);
    });
    run = end;
  }
}

// Unicode 15, section 3.11. `flags` are of utf8proc_option_t.
void unicode_form(std::string& text, int flags) {
  const bool done = flags == composed ? surely_nfc(text) : is_ascii(text);
  if (done) return;
  const auto options = static_cast<utf8proc_option_t>(flags);
  std::vector<utf8proc_int32_t> chars;
  chars.reserve(text.size());
  std::array<utf8proc_int32_t, 64> parts{};
  for (std::size_t pos = 0; pos < text.size();) {
    const auto c = static_cast<utf8proc_int32_t>(next_char(text, pos));
    int boundary = 0;
    const utf8proc_ssize_t n =
        utf8proc_decompose_char(c, parts.data(), parts.size(), options, &boundary);
    require(n >= 0 && n <= static_cast<utf8proc_ssize_t>(parts.size()), "decomposition of U+{:X}",
            c);
    chars.insert(chars.end(), parts.begin(), parts.begin() + n);
  }
  order_marks(chars);
  if ((flags & UTF8PROC_COMPOSE) != 0) {
    const auto length = static_cast<utf8proc_ssize_t>(chars.size());
    chars.resize(static_cast<std::size_t>(utf8proc_normalize_utf32(chars.data(), length, options)));
  }
  text.clear();
  for (const utf8proc_int32_t c : chars) append_char(text, static_cast<char32_t>(c));
}

void lower_case(std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t c = next_char(text, pos);
    if (c == 0x130) {  // the one letter whose lower case is two characters
      out += "i\xCC\x87";
    } else {
      append_char(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
    }
  }
  text = std::move(out);
}

void strip(std::string& text, bool left, bool right) {
  std::size_t begin = 0;
  std::size_t end = text.size();
  while (right && end > 0) {
    std::size_t before = end;
    if (!is_white_space(previous_char(text, before))) break;
    end = before;
  }
  while (left && begin < end) {
    std::size_t behind = begin;
    if (!is_white_space(next_char(text, behind))) break;
    begin = behind;
  }
  text = text.substr(begin, end - begin);
}

Normalizer::Step form(int options) {
  return [options](std::string& text) { unicode_form(text, options); };
}

}  // namespace

Normalizer Normalizer::nfc() {
  Normalizer normalizer;
  normalizer.steps_.push_back(form(composed));
  return normalizer;
}

Normalizer Normalizer::from_json(const nlohmann::json& spec) {
  Normalizer normalizer;
  if (!spec.is_null()) normalizer.add(spec);
  return normalizer;
}

void Normalizer::add(const nlohmann::json& spec) {
  const std::string type = string_member(spec, "type", "");
  if (type == "Sequence") {
    for (const nlohmann::json& part : spec.at("normalizers")) add(part);
  } else if (type == "NFC") {
    steps_.push_back(form(composed));
  } else if (type == "NFD") {
    steps_.push_back(form(decomposed));
  } else if (type == "NFKC") {
    steps_.push_back(form(composed | UTF8PROC_COMPAT));
  } else if (type == "NFKD") {
    steps_.push_back(form(decomposed | UTF8PROC_COMPAT));
  } else if (type == "Lowercase") {
    steps_.push_back(lower_case);
  } else if (type == "Prepend") {
    steps_.push_back([prefix = spec.at("prepend").get<std::string>()](std::string& text) {
      if (!text.empty()) text.insert(0, prefix);
    });
  } else if (type == "Replace") {
    auto pattern = std::make_shared<const Pattern>(Pattern::from_json(spec.at("pattern")));
    steps_.push_back([pattern, by = spec.at("content").get<std::string>()](std::string& text) {
      text = pattern->replace_all(text, by);
    });
  } else if (type == "Strip") {
    const bool left = bool_member(spec, "strip_left", true);
    const bool right = bool_member(spec, "strip_right", true);
    steps_.push_back([left, right](std::string& text) { strip(text, left, right); });
  } else {
    fail_user("normalizer \"{}\" is not supported", type);
  }
}

}  // namespace weft
