#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainer/report/figure.h"

namespace trainer::report {

/// An HTML page in one file: nothing in it is loaded from anywhere, and it holds no script. All texts may
/// hold anything; they are shown as they are.
class Page {
 public:
  /// `path`: of the page. `figures`: the folder for the files of its pictures.
  Page(std::string title, std::string path, std::string figures);

  /// A heading that stands in the table of contents; what is added next belongs to it.
  void section(const std::string& title);
  /// The section that has just been begun has nothing to show: it goes, and is named with the reason in a
  /// last section.
  void leave_out(const std::string& reason);
  /// A heading below it.
  void subsection(const std::string& title);
  void paragraph(const std::string& text);
  /// Each row as long as `header`. Numbers are set to the right.
  void table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);
  void preformatted(const std::string& text);
  /// The same, behind a line that opens it.
  void folded(const std::string& line, const std::string& text);
  /// The picture itself, and links to its files, which stay beside the page. Where it cannot be drawn: the
  /// link to its numbers. A stem that another figure of the page has gets a number.
  void figure(Figure figure);

  /// Draws all figures (see draw(), also for `poll`), then writes the page, whole or not at all. Returns what
  /// the user should be told: Drawn::note. Throws Error(data).
  std::string write(const std::function<void()>& poll = {});

 private:
  std::string html(const Drawn& drawn) const;
  void close_sections();
  std::string& part();  ///< that is being written, with the heading of its section
  std::string figure_html(const Figure& figure, const Drawn& drawn) const;

  std::string title_, path_, folder_, contents_;
  std::vector<std::string> parts_ = {""};  ///< of the body: figure i stands behind part i
  std::vector<Figure> figures_;
  std::string begun_;     ///< a section that has nothing in it yet
  std::string left_out_;  ///< rows of the last section
  int sections_ = 0;
};

}  // namespace trainer::report
