#include "trainer/report/figure.h"

#include <stdlib.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <set>

#include "figure_numbers.h"
#include "file_system.h"
#include "gnuplot.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 3> kKinds = {".svg", ".png", ".pdf"};

bool is_stem(const std::string& stem) {
  return !stem.empty() && stem.front() != '.' && std::all_of(stem.begin(), stem.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
  });
}

void require_whole(const Figure& figure) {
  const auto check = [&](bool good, const char* what) {
    require(good, ErrorKind::internal, "figure ", figure.stem, ": ", what);
  };
  check(is_stem(figure.stem), "the stem holds other characters than letters, digits, _ . -");
  for (const Series& series : figure.series) {
    check(series.x.size() == series.y.size(), "x and y of a curve differ in length");
    for (const auto* ends : {&series.low, &series.high})
      check(ends->empty() || ends->size() == series.x.size(), "low or high differs in length");
  }
  if (figure.grid)
    check(!figure.grid->values.empty() &&
              figure.grid->values.size() == figure.grid->x.size() * figure.grid->y.size(),
          "the values do not fill the grid");
  if (!figure.pictures) return;
  check(!figure.pictures->list.empty(), "no pictures");
  for (const Picture& picture : figure.pictures->list)
    check((picture.channels == 1 || picture.channels == 3) && picture.height > 0 && picture.width > 0 &&
              std::ssize(picture.values) == picture.height * picture.width * picture.channels,
          "the values do not fill a picture");
}

/// A folder in `parent` that is gone, with all that is in it, at the end.
class WorkFolder {
 public:
  explicit WorkFolder(const std::string& parent) : path_(parent + "/.drawing-XXXXXX") {
    const bool made = ::mkdtemp(path_.data()) != nullptr;
    require(made, ErrorKind::data, with_reason("cannot write into the folder " + parent));
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string script_of(const std::vector<Figure>& figures) {
  std::string script = "set encoding utf8\n";
  for (const Figure& figure : figures)
    script += "reset\nundefine $*\n" + (figure.pictures ? picture_commands(figure) : curve_commands(figure));
  return script;
}

void rename_into(const WorkFolder& work, const std::string& folder, const std::string& name) {
  std::error_code error;
  fs::rename(work.file(name), folder + "/" + name, error);
  require(!error, ErrorKind::data, "cannot write ", folder, "/", name, ": ", error.message());
}

/// Browsers would blur the cells of an image into each other.
void keep_pixels(const std::string& svg) {
  std::string drawing = read_whole_file(svg);
  const std::string tag = "<image ";
  std::size_t at = drawing.find(tag);
  if (at == std::string::npos) return;
  for (; at != std::string::npos; at = drawing.find(tag, at + 1))
    drawing.insert(at + tag.size(), "style='image-rendering:pixelated' ");
  replace_file(svg, drawing);
}

/// gnuplot's own words on why it ended: its messages name a place, as in `"script" line 7: ...`.
std::string message_of(const GnuplotRun& run) {
  for (auto line = run.printed.rbegin(); line != run.printed.rend(); ++line)
    if (line->find("line ") != std::string::npos) return ": " + *line;
  return "";
}

}  // namespace

bool Drawn::has(const std::string& stem) const {
  return std::find(stems.begin(), stems.end(), stem) != stems.end();
}

Drawn draw(const std::vector<Figure>& figures, const std::string& folder, const std::function<void()>& poll) {
  std::set<std::string> known;
  for (const Figure& figure : figures) {
    require_whole(figure);
    require(known.insert(figure.stem).second, ErrorKind::internal, "two figures are called ", figure.stem);
  }
  Drawn drawn{.folder = folder, .stems = {}, .note = {}};
  if (figures.empty()) return drawn;
  std::error_code error;
  fs::create_directories(folder, error);
  require(!error, ErrorKind::data, "cannot make the folder ", folder, ": ", error.message());
  const WorkFolder work(folder);
  for (const Figure& figure : figures) {
    write_numbers(figure, work.file(figure.stem + ".csv"));
    rename_into(work, folder, figure.stem + ".csv");
    for (const char* kind : kKinds) fs::remove(folder + "/" + figure.stem + kind, error);
  }
  replace_file(work.file("script"), script_of(figures));
  const GnuplotRun run = run_gnuplot(work.path(), "script", poll);
  for (const Figure& figure : figures) {
    if (std::find(run.printed.begin(), run.printed.end(), figure.stem) == run.printed.end()) continue;
    keep_pixels(work.file(figure.stem + ".svg"));
    for (const char* kind : kKinds) rename_into(work, folder, figure.stem + kind);
    drawn.stems.push_back(figure.stem);
  }
  if (drawn.stems.size() == figures.size()) return drawn;
  drawn.note = text(figures.size() - drawn.stems.size(), " of ", figures.size(),
                    " pictures are missing: ", run.trouble, message_of(run),
                    "; the numbers behind them are in ", folder, "/*.csv");
  return drawn;
}

}  // namespace trainer::report
