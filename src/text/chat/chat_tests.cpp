#include <algorithm>
#include <array>

#include "text/chat/chat_filters.h"
#include "text/chat/chat_operators.h"
#include "text/chat/chat_strings.h"

namespace weft::chat {
namespace {

struct Subject {
  const Value& value;
  const Arguments& arguments;
  Budget& budget;

  [[nodiscard]] const Value& operand() const {
    const Value* operand = arguments.find(0, "");
    if (operand == nullptr) throw Fault("a test lacks its operand");
    return *operand;
  }
};

bool is_number(const Value& v) { return number(v).has_value(); }

bool is_sequence(const Value& v) {
  return v.is_undefined() || v.text() != nullptr || v.list() != nullptr || v.dict() != nullptr;
}

std::int64_t integer(const Subject& s) { return int_of(s.value, "is no integer"); }

bool divides(const Subject& s) {
  const Value rest = calculate(Arithmetic::modulo, s.value, s.operand(), s.budget);
  return number(rest) == 0.0;
}

// str.isupper and str.islower: the text is unchanged by the mapping, and has letters.
bool in_case(const Subject& s, Text (*mapping)(const Text&), Text (*other)(const Text&)) {
  const Text& text = text_of(s.value, "is no string");
  return mapping(text).str() == text.str() && other(text).str() != text.str();
}

template <bool (*holds)(const Value&)>
bool simple(const Value& value, const Arguments& arguments, Budget&) {
  arguments.allow("the test", {});
  return holds(value);
}

template <bool (*holds)(const Subject&)>
bool general(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.allow("the test", {""});
  return holds({value, arguments, budget});
}

bool defined(const Value& v) { return !v.is_undefined(); }
bool undefined(const Value& v) { return v.is_undefined(); }
bool none(const Value& v) { return v.is_none(); }
bool string(const Value& v) { return v.text() != nullptr; }
bool mapping(const Value& v) { return v.dict() != nullptr; }
bool boolean(const Value& v) { return v.is<bool>(); }
bool is_integer(const Value& v) { return v.is<std::int64_t>(); }
bool is_float(const Value& v) { return v.is<double>(); }
bool truth(const Value& v) { return v.is<bool>() && is_true(v); }
bool falsehood(const Value& v) { return v.is<bool>() && !is_true(v); }
bool callable(const Value& v) { return v.function() != nullptr; }

bool equals(const Subject& s) { return equal(s.value, s.operand(), s.budget); }
bool differs(const Subject& s) { return !equals(s); }
bool less(const Subject& s) { return compare(s.value, s.operand(), s.budget) < 0; }
bool less_or_equal(const Subject& s) { return compare(s.value, s.operand(), s.budget) <= 0; }
bool greater(const Subject& s) { return compare(s.value, s.operand(), s.budget) > 0; }
bool greater_or_equal(const Subject& s) { return compare(s.value, s.operand(), s.budget) >= 0; }
bool is_in(const Subject& s) { return contains(s.operand(), s.value, s.budget); }
bool odd(const Subject& s) { return integer(s) % 2 != 0; }
bool even(const Subject& s) { return integer(s) % 2 == 0; }
bool is_upper(const Subject& s) { return in_case(s, upper, lower); }
bool is_lower(const Subject& s) { return in_case(s, lower, upper); }
bool same_as(const Subject& s) {
  return s.value.data.index() == s.operand().data.index() && equals(s);
}

constexpr std::array<Test, 36> tests = {{
    {"defined", simple<defined>},
    {"undefined", simple<undefined>},
    {"none", simple<none>},
    {"string", simple<string>},
    {"mapping", simple<mapping>},
    {"sequence", simple<is_sequence>},
    {"iterable", simple<is_sequence>},
    {"number", simple<is_number>},
    {"integer", simple<is_integer>},
    {"float", simple<is_float>},
    {"boolean", simple<boolean>},
    {"true", simple<truth>},
    {"false", simple<falsehood>},
    {"callable", simple<callable>},
    {"sameas", general<same_as>},
    {"==", general<equals>},
    {"eq", general<equals>},
    {"equalto", general<equals>},
    {"!=", general<differs>},
    {"ne", general<differs>},
    {"<", general<less>},
    {"lt", general<less>},
    {"lessthan", general<less>},
    {"<=", general<less_or_equal>},
    {"le", general<less_or_equal>},
    {">", general<greater>},
    {"gt", general<greater>},
    {"greaterthan", general<greater>},
    {">=", general<greater_or_equal>},
    {"ge", general<greater_or_equal>},
    {"in", general<is_in>},
    {"divisibleby", general<divides>},
    {"odd", general<odd>},
    {"even", general<even>},
    {"upper", general<is_upper>},
    {"lower", general<is_lower>},
}};

}  // namespace

const Test* find_test(std::string_view name) {
  const auto at = std::find_if(tests.begin(), tests.end(),
                               [name](const Test& test) { return test.name == name; });
  return at == tests.end() ? nullptr : &*at;
}

}  // namespace weft::chat
