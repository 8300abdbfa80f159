// The one table of sampling parameters: the job's `sampling` section, the bodies of requests,
// `weft generate` and the documentation come from it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "app/job/value_type.h"
#include "base/types.h"
#include "engine/request.h"

namespace weft {

class YamlValue;

/// Where a parameter may be given; a sum of these.
enum ParameterPlace : unsigned {
  kInJob = 1,          ///< "sampling.NAME"
  kOnCommandLine = 2,  ///< of `weft generate`
  kInBodies = 4,
  kEverywhere = 7
};

/// One parameter. Its default is that of SamplingParams.
struct SamplingParameter {
  /// Where its value goes; nothing: what reads bodies knows.
  using Member = std::variant<std::monostate, double SamplingParams::*,
                              std::int64_t SamplingParams::*, std::uint64_t SamplingParams::*,
                              bool SamplingParams::*, SharedList<std::string> SamplingParams::*,
                              SharedList<TokenId> SamplingParams::*>;

  std::string_view name;  ///< "top_p"
  ValueType type;
  Member member;
  unsigned places = kEverywhere;
  std::string_view meaning;      ///< one sentence
  std::string_view option = {};  ///< on the command line, where it is not "--top-p"

  [[nodiscard]] bool allowed(ParameterPlace place) const { return (places & place) != 0; }
};

/// All of them, in the order in which the effective job lists them.
std::span<const SamplingParameter> sampling_parameters();

/// The one of that name, which must be there.
const SamplingParameter& sampling_parameter(std::string_view name);

/// Sets a parameter that has a member. Throws UserError when the value is not of its type.
void set_parameter(const SamplingParameter& parameter, const YamlValue& value,
                   SamplingParams& sampling);

/// A parameter's value as YAML flow text; of one that has a member.
std::string written(const SamplingParameter& parameter, const SamplingParams& sampling);

/// Brings what may be written in several ways into one: top_k -1 is 0, lists of ids are sorted
/// and distinct.
void settle(SamplingParams& sampling);

/// What bodies may hold, as rows of Markdown (parameter, value, default, meaning).
std::string body_parameters_markdown();

}  // namespace weft
