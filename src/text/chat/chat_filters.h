// Filters (`value | name(arguments)`) and tests (`value is name(arguments)`).
#pragma once

#include <string_view>

#include "text/chat/chat_methods.h"
#include "text/chat/chat_value.h"

namespace weft::chat {

struct Filter {
  std::string_view name;
  Value (*apply)(const Value& input, const Arguments& arguments, Budget& budget);
};

struct Test {
  std::string_view name;
  bool (*holds)(const Value& input, const Arguments& arguments, Budget& budget);
};

/// Null if there is none of that name.
const Filter* find_filter(std::string_view name);
const Test* find_test(std::string_view name);

/// Does Jinja have one of that name, supported here or not?
bool is_filter_of_jinja(std::string_view name);
bool is_test_of_jinja(std::string_view name);

/// Fault: no such filter, or test.
[[noreturn]] void fault_filter(std::string_view name);
[[noreturn]] void fault_test(std::string_view name);

/// The part of find_filter that works on whole lists: map, selectattr, sort and so on.
const Filter* find_list_filter(std::string_view name);

}  // namespace weft::chat
