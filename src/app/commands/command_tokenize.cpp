#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "app/commands/commands.h"
#include "app/model_text.h"
#include "base/error.h"
#include "io/json.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {
namespace {

using nlohmann::json;

std::vector<TokenId> ids_of(const std::string& line, const std::string& where) {
  const json list = parse_json(line, where);
  if (!list.is_array()) fail_user("{}: not a JSON array of token ids", where);
  std::vector<TokenId> ids;
  for (const json& id : list) {
    const bool valid =
        id.is_number_unsigned() && id.get<std::uint64_t>() <= std::numeric_limits<TokenId>::max();
    if (!valid) fail_user("{}: not a token id: {}", where, id.dump().substr(0, 60));
    ids.push_back(id.get<TokenId>());
  }
  return ids;
}

/// Of a model directory, or of any folder with tokenizer files.
std::unique_ptr<Tokenizer> tokenizer_in(const std::filesystem::path& directory) {
  std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(directory);
  if (tokenizer == nullptr) fail_user("{} has no tokenizer", directory.string());
  return tokenizer;
}

}  // namespace

int command_tokenize(const TokenizeOptions& options) {
  const auto tokenizer = tokenizer_in(options.model_dir);
  std::string line;
  for (std::int64_t number = 1; std::getline(std::cin, line); ++number) {
    if (options.decode) {
      const auto ids = ids_of(line, fmt::format("line {}", number));
      std::cout << tokenizer->decode(ids, {.skip_special = !options.keep_special}) << '\n';
    } else {
      std::cout << json(tokenizer->encode(line, {.add_special = !options.plain,
                                                 .parse_special = options.parse_special}))
                       .dump()
                << '\n';
    }
  }
  std::cout.flush();
  if (!std::cout) fail("standard output: {}", errno_text());
  return kExitSuccess;
}

}  // namespace weft
