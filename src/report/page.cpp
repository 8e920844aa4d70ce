#include "trainer/report/page.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "file_system.h"
#include "plain_text.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::report {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #ffffff; --rule: #d0d4d9; --soft: #f3f4f6; --link: #1a5fb4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6e8; --paper: #17191c; --rule: #3d4248; --soft: #22252a; --link: #8ab4f8; }
}
body { margin: 2rem auto; max-width: 54rem; padding: 0 1.5rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--rule); font-size: 1.35rem; }
h3 { font-size: 1.1rem; } a { color: var(--link); } p { max-width: 48rem; overflow-wrap: anywhere; }
nav ul { columns: 3 14rem; list-style: none; padding: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--rule); padding: 0.2rem 0.8rem; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
td:first-child { white-space: nowrap; }
td.number { text-align: right; white-space: nowrap; }
pre { background: var(--soft); padding: 0.8rem; overflow-x: auto; font-size: 0.85rem; line-height: 1.35; }
figure { margin: 1rem 0 2rem; break-inside: avoid; } figure img { max-width: 100%; height: auto; background: #fff; }
figcaption { font-size: 0.85rem; }
@media print { body { max-width: none; margin: 0; } h2 { break-after: avoid; } pre { white-space: pre-wrap; } }
)";

/// RFC 4648.
std::string base64(const std::string& bytes) {
  static constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    unsigned bits = 0;
    for (std::size_t j = 0; j < 3; ++j)
      bits = bits << 8U | (j < have ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    for (std::size_t j = 0; j < 4; ++j) result += j <= have ? kLetters[bits >> (18 - 6 * j) & 63U] : '=';
  }
  return result;
}

std::string percent_encoded(const std::string& path) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string result;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '/' || c == '.' || c == '_' || c == '-') {
      result += c;
    } else {
      result += {'%', kDigits[byte >> 4U], kDigits[byte & 15U]};
    }
  }
  return result;
}

std::string cell_html(const std::string& cell) {
  const bool number = parse_number(cell).has_value() || cell == "nan";
  return text(number ? "<td class=\"number\">" : "<td>", html_text(cell), "</td>");
}

}  // namespace

Page::Page(std::string title, std::string path, std::string figures)
    : title_(std::move(title)), path_(std::move(path)), folder_(std::move(figures)) {}

void Page::section(const std::string& title) {
  part();  // a section may be empty
  begun_ = title;
}

void Page::leave_out(const std::string& reason) {
  if (begun_.empty()) return paragraph(reason);
  left_out_ += text("<tr><td>", html_text(begun_), "</td><td>", html_text(reason), "</td></tr>\n");
  begun_.clear();
}

std::string& Page::part() {
  if (begun_.empty()) return parts_.back();
  const std::string anchor = text("section-", ++sections_);
  const std::string title = html_text(std::exchange(begun_, ""));
  contents_ += text("<li><a href=\"#", anchor, "\">", title, "</a></li>\n");
  return parts_.back() += text("<h2 id=\"", anchor, "\">", title, "</h2>\n");
}

void Page::close_sections() {
  part();
  if (left_out_.empty()) return;
  section("Not in this report");
  part() += text("<div class=\"wide\"><table>\n", left_out_, "</table></div>\n");
}

void Page::subsection(const std::string& title) { part() += text("<h3>", html_text(title), "</h3>\n"); }

void Page::paragraph(const std::string& words) { part() += text("<p>", html_text(words), "</p>\n"); }

void Page::table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  std::string table = "<div class=\"wide\"><table>\n<tr>";
  for (const std::string& cell : header) table += text("<th>", html_text(cell), "</th>");
  table += "</tr>\n";
  for (const auto& row : rows) {
    table += "<tr>";
    for (const std::string& cell : row) table += cell_html(cell);
    table += "</tr>\n";
  }
  part() += table + "</table></div>\n";
}

void Page::preformatted(const std::string& words) { part() += text("<pre>", html_text(words), "</pre>\n"); }

void Page::folded(const std::string& line, const std::string& words) {
  part() += text("<details><summary>", html_text(line), "</summary>\n<pre>", html_text(words),
                 "</pre></details>\n");
}

void Page::figure(Figure figure) {
  const auto is_taken = [&](const std::string& stem) {
    return std::any_of(figures_.begin(), figures_.end(),
                       [&](const Figure& other) { return other.stem == stem; });
  };
  const std::string stem = figure.stem;
  for (int number = 2; is_taken(figure.stem); ++number) figure.stem = text(stem, "-", number);
  part();
  figures_.push_back(std::move(figure));
  parts_.emplace_back();
}

std::string Page::figure_html(const Figure& figure, const Drawn& drawn) const {
  const fs::path folder = fs::proximate(drawn.folder, fs::absolute(path_).parent_path());
  const auto link = [&](const char* kind) {
    return text("<a href=\"", percent_encoded((folder / (figure.stem + kind)).string()), "\">", kind + 1,
                "</a>");
  };
  const std::string title = html_text(figure.title);
  if (!drawn.has(figure.stem))
    return text("<figure>\n<figcaption>", title, ": the picture was not drawn; its numbers: ", link(".csv"),
                "</figcaption>\n</figure>\n");
  // As an image: nothing in the drawing can act on the page, and the names in two drawings do not meet.
  return text("<figure>\n<img alt=\"", title, "\" src=\"data:image/svg+xml;base64,",
              base64(read_whole_file(drawn.folder + "/" + figure.stem + ".svg")), "\"/>\n<figcaption>",
              link(".svg"), " ", link(".png"), " ", link(".pdf"), " ", link(".csv"),
              "</figcaption>\n</figure>\n");
}

std::string Page::html(const Drawn& drawn) const {
  std::string body = parts_.front();
  for (std::size_t i = 0; i < figures_.size(); ++i) body += figure_html(figures_[i], drawn) + parts_[i + 1];
  return text("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n",
              "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>",
              html_text(title_), "</title>\n<style>", kStyle, "</style>\n</head>\n<body>\n<h1>",
              html_text(title_), "</h1>\n<nav><ul>\n", contents_, "</ul></nav>\n", body,
              "</body>\n</html>\n");
}

std::string Page::write(const std::function<void()>& poll) {
  close_sections();
  const Drawn drawn = draw(figures_, folder_, poll);
  replace_file(path_, html(drawn));
  return drawn.note;
}

}  // namespace trainer::report
