#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/tokenizer/regex.h"

#include <pcre2.h>

#include <array>
#include <cstdint>

#include "base/error.h"

namespace weft {
namespace {

constexpr std::size_t max_pattern_bytes = 1 << 16;
constexpr std::uint32_t heap_limit_kib = 64 << 10;
constexpr std::uint32_t match_limit = 20'000'000;
constexpr std::size_t jit_stack_start = 64 << 10;
constexpr std::size_t jit_stack_limit = 8 << 20;

template <auto F>
struct PatternCall {
  template <class T>
  void operator()(T* p) const {
    F(p);
  }
};
template <class T, auto F>
using Owned = std::unique_ptr<T, PatternCall<F>>;

// What a match needs beside the pattern; one per thread serves all patterns.
struct Scratch {
  Owned<pcre2_match_data, pcre2_match_data_free> data{pcre2_match_data_create(1, nullptr)};
  Owned<pcre2_match_context, pcre2_match_context_free> context{pcre2_match_context_create(nullptr)};
  Owned<pcre2_jit_stack, pcre2_jit_stack_free> stack{
      pcre2_jit_stack_create(jit_stack_start, jit_stack_limit, nullptr)};

  Scratch() {
    require(data && context, "out of memory for matching");
    pcre2_set_match_limit(context.get(), match_limit);
    pcre2_set_heap_limit(context.get(), heap_limit_kib);
    if (stack) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

std::string message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string shortened(std::string_view pattern) {
  return pattern.size() <= 200 ? std::string(pattern) : std::string(pattern.substr(0, 200)) + "...";
}

}  // namespace

void Regex::Free::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }

Regex::Regex(std::string_view pattern) : pattern_(shortened(pattern)) {
  const Owned<pcre2_compile_context, pcre2_compile_context_free> context(
      pcre2_compile_context_create(nullptr));
  require(context != nullptr, "out of memory for a pattern");
  pcre2_set_max_pattern_length(context.get(), max_pattern_bytes);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE at = 0;
  code_.reset(pcre2_compile(
      units(pattern), pattern.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE,
      &error, &at, context.get()));
  if (!code_) {
    fail_user("regular expression `{}` at byte {}: {}", pattern_, at, message(error));
  }
  jit_ = pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE) == 0;
}

std::optional<TextRange> Regex::find(std::string_view text, std::size_t from) const {
  thread_local const Scratch scratch;
  if (text.empty()) text = "";  // never a null pointer
  int rc = PCRE2_ERROR_JIT_STACKLIMIT;
  if (jit_) {
    rc = pcre2_jit_match(code_.get(), units(text), text.size(), from, 0, scratch.data.get(),
                         scratch.context.get());
  }
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
    rc = pcre2_match(code_.get(), units(text), text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                     scratch.data.get(), scratch.context.get());
  }
  if (rc == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (rc < 0) fail_user("regular expression `{}` on this text: {}", pattern_, message(rc));
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(scratch.data.get());
  return TextRange{ends[0], ends[1]};
}

}  // namespace weft
