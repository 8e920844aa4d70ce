#pragma once

#include <string>
#include <vector>

#include "trainer/report/figure.h"

namespace trainer::report {

/// An HTML page in one file: nothing in it is loaded from anywhere, and it holds no script. All texts may
/// hold anything; they are shown as they are.
class Page {
 public:
  /// `path`: where write() will put it.
  Page(std::string title, std::string path);

  /// A heading that stands in the table of contents; what is added next belongs to it.
  void section(const std::string& title);
  /// A heading below it.
  void subsection(const std::string& title);
  void paragraph(const std::string& text);
  /// Each row as long as `header`. What looks like a number is set to the right.
  void table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);
  void preformatted(const std::string& text);
  /// The same, behind a line that opens it.
  void folded(const std::string& line, const std::string& text);
  /// The picture itself, and links to its files, which stay beside the page. Without the picture: the link to
  /// its numbers.
  void figure(const Figure& figure, const Drawn& drawn);

  std::string html() const;
  /// Whole or not at all. Throws Error(data).
  void write() const;

 private:
  std::string title_, path_, contents_, body_;
  int sections_ = 0;
};

}  // namespace trainer::report
