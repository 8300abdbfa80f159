#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "text/chat/chat_filters.h"
#include "text/chat/chat_operators.h"
#include "text/chat/chat_print.h"
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
  return v.is_undefined() || v.text() != nullptr || v.dict() != nullptr ||
         (v.list() != nullptr && !v.list()->is_view());
}

bool is_iterable(const Value& v) {
  return is_sequence(v) || v.list() != nullptr || v.loop() != nullptr || v.iterator() != nullptr;
}

bool leaves(const Subject& s, const Value& divisor, double wanted) {
  return number(calculate(Arithmetic::modulo, s.value, divisor, s.budget)) == wanted;
}

bool divides(const Subject& s) { return leaves(s, s.operand(), 0); }

// str(value).isupper() and islower().
bool in_case(const Subject& s, std::string_view method) {
  const Value text = string_value(to_text(s.value, s.budget));
  return is_true(call_method(text, method, {}, s.budget));
}

bool is_named(const Subject& s, bool (*known)(std::string_view)) {
  static_cast<void>(Dict().find(s.value));  // a Fault where Python cannot look it up
  return s.value.text() != nullptr && known(s.value.text()->str());
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
bool is_float_number(const Value& v) { return v.is<double>(); }
bool truth(const Value& v) { return v.is<bool>() && is_true(v); }
bool falsehood(const Value& v) { return v.is<bool>() && !is_true(v); }
bool callable(const Value& v) {
  return v.function() != nullptr || v.is_undefined() || v.loop() != nullptr;
}
bool is_escaped(const Value& v) { return v.text() != nullptr && v.text()->is_markup(); }

bool equals(const Subject& s) { return equal(s.value, s.operand(), s.budget); }
bool differs(const Subject& s) { return !equals(s); }
bool less(const Subject& s) { return compare(s.value, s.operand(), s.budget) < 0; }
bool less_or_equal(const Subject& s) { return compare(s.value, s.operand(), s.budget) <= 0; }
bool greater(const Subject& s) { return compare(s.value, s.operand(), s.budget) > 0; }
bool greater_or_equal(const Subject& s) { return compare(s.value, s.operand(), s.budget) >= 0; }
bool is_in(const Subject& s) { return contains(s.operand(), s.value, s.budget); }
bool odd(const Subject& s) { return leaves(s, int_value(2), 1); }
bool even(const Subject& s) { return leaves(s, int_value(2), 0); }
bool is_upper(const Subject& s) { return in_case(s, "isupper"); }
bool is_lower(const Subject& s) { return in_case(s, "islower"); }
bool is_filter(const Subject& s) { return is_named(s, is_filter_of_jinja); }
bool is_test(const Subject& s) { return is_named(s, is_test_of_jinja); }
bool same_as(const Subject& s) {
  const Value& other = s.operand();
  if (s.value.data.index() != other.data.index() || s.value.is_undefined()) return false;
  if (s.value.list() != nullptr) return s.value.list() == other.list();
  if (s.value.dict() != nullptr) return s.value.dict() == other.dict();
  return equals(s);
}

constexpr std::array<Test, 39> tests = {{
    {"defined", simple<defined>},
    {"undefined", simple<undefined>},
    {"none", simple<none>},
    {"string", simple<string>},
    {"mapping", simple<mapping>},
    {"sequence", simple<is_sequence>},
    {"iterable", simple<is_iterable>},
    {"escaped", simple<is_escaped>},
    {"filter", general<is_filter>},
    {"test", general<is_test>},
    {"number", simple<is_number>},
    {"integer", simple<is_integer>},
    {"float", simple<is_float_number>},
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

bool is_test_of_jinja(std::string_view name) { return find_test(name) != nullptr; }

void fault_test(std::string_view name) { throw Fault(fmt::format("there is no test '{}'", name)); }

const Test* find_test(std::string_view name) {
  const auto at = std::find_if(tests.begin(), tests.end(),
                               [name](const Test& test) { return test.name == name; });
  return at == tests.end() ? nullptr : &*at;
}

}  // namespace weft::chat
