#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/report/report_format.h"
#include "base/version.h"

namespace weft {
namespace {

constexpr double kWidth = 640;
constexpr double kHeight = 260;
constexpr double kLeft = 64;
constexpr double kBottom = 36;
constexpr double kTop = 12;
constexpr std::size_t kMostBars = 60;  ///< of a figure; the table has all

constexpr const char* kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>weft report</title><style>
:root{color-scheme:light dark;--ink:#1a1a1a;--paper:#fff;--faint:#d8d8d8;--mark:#1f5fa8;--bad:#b00020}
@media (prefers-color-scheme:dark){:root{--ink:#e6e6e6;--paper:#161616;--faint:#444;--mark:#7fb2ea;--bad:#ff7b88}}
@media print{:root{--ink:#000;--paper:#fff;--faint:#ccc;--mark:#1f5fa8;--bad:#b00020}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:70em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.2em .6em;text-align:right;border-bottom:1px solid var(--faint);white-space:nowrap}
.wide{overflow-x:auto}.bad{color:var(--bad);font-weight:bold}
svg{width:100%;max-width:640px;height:auto}svg text{fill:var(--ink);font-size:12px}
figure{margin:1.5em 0;break-inside:avoid}pre{white-space:pre-wrap}
@media print{.wide{overflow:visible;font-size:7px}th,td{padding:1px 3px;white-space:normal}}
</style></head><body>
)";

/// Colours that stay apart in light and dark (Okabe and Ito's).
constexpr const char* kColours[] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7",
                                    "#56b4e9", "#d55e00", "#f0e442", "#888888",
                                    "#6a3d9a", "#b15928", "#33a02c"};

std::string html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// A round number at or above `value`: 1, 2 or 5 times a power of ten.
double round_up(double value) {
  if (value <= 0) return 1;
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (step * power >= value) return step * power;
  }
  return 10 * power;
}

/// One point of a figure; it is alone on its place along the axis.
struct Mark {
  std::string name;
  double value = 0;
  std::optional<Interval> interval;
};

std::string mark_label(const ScalingRow& row) {
  std::string text =
      fmt::format("{} ranks, {}", row.configuration.ranks, layout_text(row.configuration));
  for (const auto& [name, value] : row.configuration.factors) {
    text += fmt::format(" {}={}", name, value);
  }
  return text;
}

double mark_place(std::size_t i, std::size_t count) {
  return kLeft + (kWidth - kLeft - 8) * (static_cast<double>(i) + 0.5) / static_cast<double>(count);
}

/// The left axis, from zero, with its values.
std::string left_axis(double most, const std::string& unit) {
  std::string text;
  for (int i = 0; i <= 4; ++i) {
    const double y = kHeight - kBottom - (kHeight - kBottom - kTop) * i / 4;
    text += fmt::format(
        "<line x1=\"{0:.0f}\" x2=\"{1:.0f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\" "
        "stroke=\"var(--faint)\"/>"
        "<text x=\"{3:.0f}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:.3g}</text>\n",
        kLeft, kWidth - 8, y, kLeft - 6, y + 4, most * i / 4);
  }
  return text + fmt::format("<text x=\"2\" y=\"{:.0f}\">{}</text>\n", kHeight - 4, html(unit));
}

/// Points with their intervals: no lines between configurations, they would mean nothing.
std::string points(const std::vector<Mark>& marks, const std::string& title,
                   const std::string& unit) {
  double most = 0;
  for (const Mark& mark : marks) {
    most = std::max(most, mark.interval ? mark.interval->high : mark.value);
  }
  most = round_up(most);
  const auto height = [most](double value) {
    return kHeight - kBottom - (kHeight - kBottom - kTop) * value / most;
  };
  std::string text = fmt::format(
      "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" "
      "aria-label=\"{}\">\n",
      html(title), kWidth, kHeight, html(title));
  text += left_axis(most, unit);
  for (std::size_t i = 0; i < marks.size(); ++i) {
    const double x = mark_place(i, marks.size());
    if (marks[i].interval) {
      text += fmt::format(
          "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" "
          "stroke=\"var(--mark)\" stroke-width=\"2\"/>",
          x, height(marks[i].interval->low), height(marks[i].interval->high));
    }
    text += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"var(--mark)\"><title>{}: {:.4g}</title>"
        "</circle><text x=\"{:.1f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}</text>\n",
        x, height(marks[i].value), html(marks[i].name), marks[i].value, x, kHeight - 20, i + 1);
  }
  return text + "</svg></figure>\n";
}

/// Where the ranks' time went: a bar for each configuration, with a legend.
std::string phase_bars(const std::vector<ScalingRow>& rows, std::size_t count) {
  std::string text = fmt::format(
      "<figure><figcaption>Where the ranks' time went, as shares</figcaption>"
      "<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"shares of phases\">\n",
      kWidth, kHeight);
  text += left_axis(1, "share");
  std::string legend;
  for (std::size_t i = 0; i < count; ++i) {
    double below = 0;
    std::size_t colour = 0;
    for (const PhaseShare& phase : rows[i].phases) {
      const char* fill = kColours[colour++ % std::size(kColours)];
      const double whole = kHeight - kBottom - kTop;
      const double width = std::min(48.0, 0.7 * (kWidth - kLeft) / static_cast<double>(count));
      text += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.2f}\" width=\"{:.1f}\" height=\"{:.2f}\" fill=\"{}\">"
          "<title>{} {:.1f}%</title></rect>",
          mark_place(i, count) - width / 2, kTop + whole * (1 - below - phase.share), width,
          whole * phase.share, fill, html(phase.name), 100 * phase.share);
      below += phase.share;
      if (i == 0) {
        legend += fmt::format("<span style=\"color:{}\">■</span> {} ", fill, html(phase.name));
      }
    }
    text += fmt::format("<text x=\"{:.1f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}</text>\n",
                        mark_place(i, count), kHeight - 20, i + 1);
  }
  text += fmt::format(
      "</svg><p>{}</p><details open><summary>The data</summary><div class=\"wide\">"
      "<table><tr><th>#</th>",
      legend);
  for (const PhaseShare& phase : rows[0].phases) text += "<th>" + html(phase.name) + "</th>";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    text += fmt::format("</tr>\n<tr><td>{}</td>", i + 1);
    for (const PhaseShare& phase : rows[i].phases) {
      text += fmt::format("<td>{:.4f}</td>", phase.share);
    }
  }
  return text + "</tr></table></div></details></figure>\n";
}

/// The full table, which holds the figures' data, too.
std::string full_table(const std::vector<ScalingRow>& rows) {
  std::string text = "<h2>All columns</h2><div class=\"wide\"><table><tr><th>#</th>";
  for (const ReportColumn& column : report_columns())
    text += fmt::format("<th>{}</th>", column.name);
  text += "</tr>\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    text += fmt::format("<tr><td>{}</td>", i + 1);
    for (const ReportColumn& column : report_columns()) {
      text += "<td>" + html(column.of(rows[i])) + "</td>";
    }
    text += "</tr>\n";
  }
  return text + "</table></div>\n";
}

std::string figures(const std::vector<ScalingRow>& rows) {
  const std::size_t count = std::min(rows.size(), kMostBars);
  std::string text;
  std::vector<Mark> wall;
  std::vector<Mark> speed;
  for (std::size_t i = 0; i < count; ++i) {
    const ScalingRow& row = rows[i];
    wall.push_back({mark_label(row), row.wall.median, row.wall.interval});
    speed.push_back({mark_label(row), row.speed_up, {}});
  }
  if (count < rows.size()) {
    text += fmt::format("<p>The figures show the first {} of {} configurations.</p>\n", count,
                        rows.size());
  }
  text += points(wall, "Wall time: median and 95 % interval (axis from zero)",
                 "seconds, by configuration (# of the table)");
  text += points(speed, "Speed-up against the base, in tokens a second (axis from zero)",
                 "times the base, by configuration (# of the table)");
  if (!rows[0].phases.empty()) text += phase_bars(rows, count);
  return text;
}

}  // namespace

std::string report_html(const Report& report) {
  std::string text = kHead;
  text += fmt::format("<h1>weft report</h1><p>{} runs, {} configurations; weft {}.</p>\n",
                      report.runs.size(), report.table.rows.size(), kVersion);
  for (const WorkLine& line : report.work) {
    text += fmt::format("<p{}>{}</p>\n", line.same ? "" : " class=\"bad\"", html(line.text));
  }
  Report summary = report;
  summary.work.clear();
  text += "<pre class=\"wide\">" + html(report_text(summary)) + "</pre>\n";
  if (!report.table.rows.empty())
    text += figures(report.table.rows) + full_table(report.table.rows);
  return text +
         "<p>Medians; intervals hold the median with 95 % confidence at least (order statistics). "
         "Times, rates and shares are measured; tokens, layouts and digests are the same in every "
         "repeat.</p></body></html>\n";
}

}  // namespace weft
