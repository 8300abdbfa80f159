#include "text/tokenizer/split.h"

#include <array>
#include <optional>

#include "base/error.h"

namespace weft {

SplitBehavior split_behavior(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> names{{
      {"Removed", SplitBehavior::removed},
      {"Isolated", SplitBehavior::isolated},
      {"MergedWithPrevious", SplitBehavior::merged_with_previous},
      {"MergedWithNext", SplitBehavior::merged_with_next},
      {"Contiguous", SplitBehavior::contiguous},
  }};
  for (const auto& [known, behavior] : names) {
    if (name == known) return behavior;
  }
  fail_user("split behavior \"{}\" is not supported", name);
}

void Split::split(Fragment fragment, const FragmentSink& sink) const {
  const auto emit = [&](TextRange r) {
    if (r.begin == r.end) return;
    sink({fragment.text.substr(r.begin, r.end - r.begin), fragment.is_first && r.begin == 0});
  };
  // `held` waits for the segment behind it, with which it may have to be joined.
  std::optional<TextRange> held;
  bool held_is_delimiter = false;
  const auto joins = [&](bool is_delimiter) {
    switch (behavior_) {
      case SplitBehavior::merged_with_previous:
        return is_delimiter && !held_is_delimiter;
      case SplitBehavior::merged_with_next:
        return held_is_delimiter && !is_delimiter;
      case SplitBehavior::contiguous:
        return is_delimiter == held_is_delimiter;
      default:
        return false;
    }
  };
  pattern_.segments(fragment.text, [&](TextRange segment, bool is_occurrence) {
    const bool is_delimiter = is_occurrence != invert_;
    if (behavior_ == SplitBehavior::isolated) return emit(segment);
    if (behavior_ == SplitBehavior::removed) {
      if (!is_delimiter) emit(segment);
      return;
    }
    if (held && joins(is_delimiter)) {
      held->end = segment.end;
      // A joined word is closed, except that "contiguous" may go on. Closed means: as if it were
      // what a later segment never joins.
      if (behavior_ == SplitBehavior::merged_with_previous) held_is_delimiter = true;
      if (behavior_ == SplitBehavior::merged_with_next) held_is_delimiter = false;
      return;
    }
    if (held) emit(*held);
    held = segment;
    held_is_delimiter = is_delimiter;
  });
  if (held) emit(*held);
}

}  // namespace weft
