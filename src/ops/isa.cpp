#include "ops/isa.h"

#include "base/error.h"

namespace weft {
namespace {

constexpr Isa kAll[] = {Isa::automatic, Isa::avx512_bf16, Isa::avx512, Isa::avx2, Isa::plain};

}  // namespace

std::string_view name(Isa isa) {
  switch (isa) {
    case Isa::automatic:
      return "auto";
    case Isa::avx512_bf16:
      return "avx512_bf16";
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    case Isa::plain:
      return "plain";
  }
  fail("no such instruction set: {}", static_cast<int>(isa));
}

Isa isa_from_name(std::string_view name_of_isa) {
  for (const Isa isa : kAll) {
    if (name(isa) == name_of_isa) return isa;
  }
  fail_user("unknown instruction set \"{}\": it is auto, avx512_bf16, avx512, avx2 or plain",
            name_of_isa);
}

}  // namespace weft
