// Rewriting of text before it is cut into words.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace weft {

/// A sequence of rewriting steps, possibly none.
class Normalizer {
 public:
  using Step = std::function<void(std::string&)>;

  Normalizer() = default;

  /// The "normalizer" of a tokenizer.json (NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace,
  /// Strip, Sequence), or null for none. UserError for any other.
  static Normalizer from_json(const nlohmann::json& spec);

  /// Unicode's canonical composition alone.
  static Normalizer nfc();

  [[nodiscard]] bool empty() const { return steps_.empty(); }

  /// Rewrites `text`, which must be well-formed UTF-8.
  void apply(std::string& text) const {
    for (const Step& step : steps_) step(text);
  }

 private:
  void add(const nlohmann::json& spec);
  std::vector<Step> steps_;
};

}  // namespace weft
