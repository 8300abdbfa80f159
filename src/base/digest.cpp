#include "base/digest.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <charconv>

#include "base/error.h"
#include "base/xxh3/xxh3.h"

namespace weft {

struct Digester::State {
  XXH3_state_t* xxh = XXH3_createState();
  State() {
    if (xxh == nullptr) fail("out of memory for a digest");
    XXH3_128bits_reset(xxh);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { XXH3_freeState(xxh); }
};

std::string Digest::hex() const { return fmt::format("{:016x}{:016x}", high, low); }

Digest Digest::from_hex(std::string_view text) {
  if (text.size() != 32 || text.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    fail_user("'{}' is not a digest of 32 hexadecimal digits", text.substr(0, 64));
  }
  Digest digest;
  std::from_chars(text.data(), text.data() + 16, digest.high, 16);
  std::from_chars(text.data() + 16, text.data() + 32, digest.low, 16);
  return digest;
}

Digest digest_of(std::span<const std::byte> bytes) {
  static const xxh3::Kernel kernel = xxh3::fastest_kernel();
  const xxh3::Hash hash = kernel(bytes.data(), bytes.size());
  return {hash.high, hash.low};
}

Digest digest_of(std::string_view text) {
  return digest_of(std::as_bytes(std::span(text.data(), text.size())));
}

Digester::Digester() : state_(std::make_unique<State>()) {}
Digester::~Digester() = default;
Digester::Digester(Digester&&) noexcept = default;
Digester& Digester::operator=(Digester&&) noexcept = default;

void Digester::add(std::span<const std::byte> bytes) {
  if (XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size()) != XXH_OK) {
    fail("a digest could not be updated");
  }
}

void Digester::add(std::string_view text) {
  add(std::as_bytes(std::span(text.data(), text.size())));
}

Digest Digester::result() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh);
  return {hash.high64, hash.low64};
}

}  // namespace weft
