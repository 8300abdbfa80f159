// Which layouts a model allows, and why not.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "layout/grid.h"
#include "layout/semantics.h"

namespace weft {

/// The numbers of a model that layouts are checked against.
struct LayoutLimits {
  int o_segments = 1;          ///< segments of the attention output projection's K
  int down_segments = 0;       ///< segments of the ffn down projection's K; 0: no such layer
  std::int64_t sublayers = 2;  ///< attentions and ffns that are computed
  std::int64_t experts = 0;    ///< of a layer; 0: a dense model
  int expert_segments = 0;     ///< segments of an expert's down projection
  int shared_segments = 0;  ///< segments of the shared expert's down projection; 0: there is none
};

/// A layout that a job asks for, and what it is checked against.
struct AskedLayout {
  Layout layout;
  LayoutLimits limits;
  int ranks = 1;  ///< of the job
};

/// A row of the table of rules, which the checker, `weft plan` and the engine's start read.
struct Rule {
  Primitive primitive;
  std::optional<Module> module;  ///< what sets the limit; nothing: no module in particular
  std::string_view limit;        ///< what is allowed and why; empty: it goes without saying
  std::string_view sentence;     ///< what is wrong with a layout that breaks it
  bool (*concerns)(const LayoutLimits& limits);  ///< whether the model has what it is about
  bool (*holds)(const AskedLayout& asked);
};

/// All rules. Sentences and limits have names of numbers in braces: see `limit_of`.
std::span<const Rule> rules();

/// The limit of a rule that concerns a model, with the model's numbers.
std::string limit_of(const Rule& rule, const LayoutLimits& limits);

/// What is wrong with `layout` for `ranks` ranks: one sentence with the rule and the numbers for
/// each violation, none when it is legal.
std::vector<std::string> violations(const Layout& layout, const LayoutLimits& limits, int ranks);

/// All layouts of exactly `ranks` ranks, legal or not, whose axes divide that number: tp rising,
/// then pp, sp, and ep (above 1 for models with experts only).
std::vector<Layout> layouts_of(int ranks, bool experts = false);

}  // namespace weft
