// Dates in chat templates.
#pragma once

#include <string>
#include <string_view>

namespace weft::chat {

/// Is it a day of the calendar, written "YYYY-MM-DD"?
bool is_date(std::string_view text);

/// The start of that day as strftime writes it in the C locale. Fault for a conversion that is
/// not supported.
std::string format_date(std::string_view date, std::string_view format);

}  // namespace weft::chat
