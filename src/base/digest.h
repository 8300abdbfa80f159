// 128-bit content digests (XXH3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace weft {

/// An XXH3-128 digest. Not cryptographic: it finds damage, not forgery.
struct Digest {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  /// 32 lower-case hexadecimal digits, high half first.
  [[nodiscard]] std::string hex() const;
  /// The reverse of `hex`; throws UserError for anything else.
  static Digest from_hex(std::string_view text);

  bool operator==(const Digest&) const = default;
};

Digest digest_of(std::span<const std::byte> bytes);
Digest digest_of(std::string_view text);

/// Digest of a stream: feed pieces, then take the result; equal to `digest_of` the concatenation.
class Digester {
 public:
  Digester();
  ~Digester();
  Digester(Digester&&) noexcept;
  Digester& operator=(Digester&&) noexcept;
  Digester(const Digester&) = delete;
  Digester& operator=(const Digester&) = delete;

  void add(std::span<const std::byte> bytes);
  void add(std::string_view text);
  [[nodiscard]] Digest result() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weft
