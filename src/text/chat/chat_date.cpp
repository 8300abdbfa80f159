#include "text/chat/chat_date.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <optional>

#include "text/chat/chat_value.h"

namespace weft::chat {
namespace {

constexpr std::array<std::string_view, 12> months = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
constexpr std::array<std::string_view, 7> weekdays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                      "Thursday", "Friday", "Saturday"};

std::optional<std::chrono::year_month_day> parse_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  std::array<int, 3> parts{};
  for (std::size_t i = 0, part = 0; i < text.size(); ++i) {
    if (i == 4 || i == 7) {
      ++part;
    } else if (text[i] < '0' || text[i] > '9') {
      return std::nullopt;
    } else {
      parts[part] = parts[part] * 10 + (text[i] - '0');
    }
  }
  const std::chrono::year_month_day date{std::chrono::year(parts[0]),
                                         std::chrono::month(static_cast<unsigned>(parts[1])),
                                         std::chrono::day(static_cast<unsigned>(parts[2]))};
  return date.ok() ? std::optional(date) : std::nullopt;
}

}  // namespace

bool is_date(std::string_view text) { return parse_date(text).has_value(); }

std::string format_date(std::string_view date, std::string_view format) {
  const auto parsed = parse_date(date);
  if (!parsed) throw Fault(fmt::format("'{}' is no date", date));
  const int year = static_cast<int>(parsed->year());
  const auto month = static_cast<unsigned>(parsed->month());
  const auto day = static_cast<unsigned>(parsed->day());
  const std::chrono::sys_days days(*parsed);
  const std::string_view month_name = months[month - 1];
  const std::string_view weekday = weekdays[std::chrono::weekday(days).c_encoding()];
  const auto day_of_year =
      (days - std::chrono::sys_days(parsed->year() / std::chrono::January / 1)).count() + 1;

  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    const bool unpadded = i + 1 < format.size() && format[i + 1] == '-';
    if (unpadded) ++i;
    const char letter = ++i < format.size() ? format[i] : '\0';
    const auto padded = [&](auto number) {
      out += unpadded ? fmt::format("{}", number) : fmt::format("{:02}", number);
    };
    switch (letter) {
      case 'Y':
        out += fmt::format("{}", year);
        break;
      case 'y':
        padded(year % 100);
        break;
      case 'm':
        padded(month);
        break;
      case 'd':
        padded(day);
        break;
      case 'B':
        out += month_name;
        break;
      case 'b':
        out += month_name.substr(0, 3);
        break;
      case 'A':
        out += weekday;
        break;
      case 'a':
        out += weekday.substr(0, 3);
        break;
      case 'j':
        out += unpadded ? fmt::format("{}", day_of_year) : fmt::format("{:03}", day_of_year);
        break;
      case 'H':
      case 'M':
      case 'S':
        padded(0);
        break;
      case 'I':
        padded(12);
        break;
      case 'p':
        out += "AM";
        break;
      case '%':
        out += '%';
        break;
      default:
        throw Fault(fmt::format("strftime_now: the conversion %{} is not supported", letter));
    }
  }
  return out;
}

}  // namespace weft::chat
