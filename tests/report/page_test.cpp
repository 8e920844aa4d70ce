#include "trainer/report/page.h"

#include <gtest/gtest.h>

#include "program_path.h"
#include "temporary_folder.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Figure small_figure() {
  return {.stem = "loss",
          .title = "A <b>",
          .x = {.label = "x"},
          .y = {.label = "y"},
          .series = {{.x = {0, 1}, .y = {0, 1}}}};
}

TEST(Page, ShowsTextsAsTheyAre) {
  const TemporaryFolder folder;
  const std::string evil = "<script>alert(\"1\")</script> & 'x' \xFF\x02 ü";
  const std::string shown =
      "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39; \uFFFD\uFFFD ü";
  Page page(evil, folder / "page.html", folder / "figures");
  page.section("s" + evil);
  page.subsection("u" + evil);
  page.paragraph("p" + evil);
  page.preformatted("f" + evil);
  page.folded("d" + evil, "e" + evil);
  page.table({"h" + evil}, {{"c" + evil}, {"12"}, {"1e-3"}, {"nan"}});
  EXPECT_EQ(page.write(), "");
  const std::string html = content_of(folder / "page.html");
  EXPECT_FALSE(holds(html, "<script"));
  for (const char* begin :
       {"<title>", "<h1>", "\">s", "<h3>u", "<p>p", "<pre>f", "<summary>d", "<pre>e", "<th>h", "<td>c"})
    EXPECT_TRUE(holds(html, begin + shown)) << begin;
  EXPECT_TRUE(holds(html, "<td class=\"number\">12</td>"));
  EXPECT_TRUE(holds(html, "<td class=\"number\">1e-3</td>"));
  EXPECT_TRUE(holds(html, "<td class=\"number\">nan</td>"));
}

TEST(Page, SectionsStandInTheContents) {
  const TemporaryFolder folder;
  Page page("t", folder / "page.html", folder / "figures");
  page.section("One");
  page.section("Two");
  (void)page.write();
  const std::string html = content_of(folder / "page.html");
  EXPECT_TRUE(holds(html, "<a href=\"#section-2\">Two</a>"));
  EXPECT_TRUE(holds(html, "<h2 id=\"section-2\">Two</h2>"));
  EXPECT_LT(html.find(">One</h2>"), html.find(">Two</h2>"));
}

TEST(Page, FiguresStandWhereTheyWereAdded) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const TemporaryFolder folder;
  Page page("t", folder / "page.html", folder / "my figures");
  page.paragraph("before");
  page.figure(small_figure());
  page.paragraph("after");
  EXPECT_EQ(page.write(), "");
  const std::string html = content_of(folder / "page.html");
  const std::size_t image =
      html.find("<img alt=\"A &lt;b&gt;\" src=\"data:image/svg+xml;base64,PD94bWwg");  // <?xml
  ASSERT_NE(image, std::string::npos);
  EXPECT_LT(html.find("<p>before"), image);
  EXPECT_GT(html.find("<p>after"), image);
  for (const char* kind : {"svg", "png", "pdf", "csv"})
    EXPECT_TRUE(holds(html, std::string("<a href=\"my%20figures/loss.") + kind + "\">" + kind + "</a>"))
        << kind;
}

TEST(Page, WithoutPicturesItLinksTheNumbers) {
  const TemporaryFolder folder, empty;
  const ProgramPath path(empty.path());
  Page page("t", folder / "page.html", folder / "figures");
  page.figure(small_figure());
  EXPECT_TRUE(holds(page.write(), "gnuplot is not installed"));
  const std::string html = content_of(folder / "page.html");
  EXPECT_FALSE(holds(html, "<img"));
  EXPECT_TRUE(holds(
      html, "A &lt;b&gt;: the picture was not drawn; its numbers: <a href=\"figures/loss.csv\">csv</a>"));
}

TEST(Page, FiguresOfOneStemGetNumbers) {
  const TemporaryFolder folder, empty;
  const ProgramPath path(empty.path());
  Page page("t", folder / "page.html", folder / "figures");
  for (int i = 0; i < 3; ++i) page.figure(small_figure());
  (void)page.write();
  const std::string html = content_of(folder / "page.html");
  for (const char* file : {"loss.csv", "loss-2.csv", "loss-3.csv"}) EXPECT_TRUE(holds(html, file)) << file;
}

TEST(Page, IsThereWholeOrNotAtAll) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "page.html");  // in the way
  Page page("t", folder / "page.html", folder / "figures");
  EXPECT_THROW((void)page.write(), Error);
  EXPECT_TRUE(std::filesystem::is_directory(folder / "page.html"));
}

}  // namespace
}  // namespace trainer::report
