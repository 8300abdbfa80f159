// Cutting a fragment at the occurrences of a pattern.
#pragma once

#include <string_view>
#include <utility>

#include "text/tokenizer/pattern.h"
#include "text/tokenizer/pretokenizer.h"

namespace weft {

/// What becomes of the delimiters: dropped; words of their own; appended to the word before;
/// prepended to the word behind; words of their own with neighbouring delimiters joined.
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// By its name in tokenizer.json, such as "MergedWithNext"; UserError for any other.
SplitBehavior split_behavior(std::string_view name);

/// Cuts at the occurrences of `pattern`, or if `invert` at what lies between them.
class Split : public PreTokenizerStage {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void split(Fragment fragment, const FragmentSink& sink) const override;

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

}  // namespace weft
