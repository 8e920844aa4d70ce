// The same tables as Python's csv module writes and reads them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "csv_file.h"
#include "csv_harness.h"
#include "csv_rows.h"

namespace trainer::data {
namespace {

// Writes quoted tables at random, and beside each what csv.reader finds in it: fields as hex, rows as lines.
const char* const kScript = R"(
import csv, random, sys
folder, seed, tables = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random.seed(seed)
alphabet = ['a', 'b', '"', ',', ';', '\n', '\r\n', ' ', '\t', '1', '2', '.5', '-', '\u00e9', '|', 'x y']
for table in range(tables):
    name = '%s/%d' % (folder, table)
    delimiter = random.choice(',;\t|')
    columns = random.randint(2, 5)
    quoting = random.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    with open(name + '.csv', 'w', newline='', encoding='utf-8') as out:
        writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=random.choice(['\n', '\r\n']))
        for row in range(random.randint(1, 30)):
            fields = [''.join(random.choices(alphabet, k=random.randint(0, 6))) for c in range(columns - 1)]
            writer.writerow([random.choice([row, row / 8])] + fields)
    with open(name + '.csv', newline='', encoding='utf-8') as source, open(name + '.hex', 'w') as out:
        out.write('%02x\n' % ord(delimiter))
        for fields in csv.reader(source, delimiter=delimiter, strict=True):
            # Blanks around what is not quoted mean nothing to us; Python keeps them, and cannot tell what was quoted.
            out.write(' '.join('=' + field.strip(' \t').encode().hex() for field in fields) + '\n')
)";

std::string hex(std::string_view bytes) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

std::string without_blanks(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == text.npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t") - begin + 1));
}

TEST_F(CsvTest, FindsTheFieldsThatPythonFinds) {
  const char* const python = "/usr/bin/python3";
  if (!std::filesystem::exists(python)) GTEST_SKIP() << python << " is not there";
  constexpr int kTables = 300;
  const std::string script = write(kScript, "tables.py");
  ASSERT_EQ(std::system(text(python, " ", script, " ", folder_.path(), " 1 ", kTables).c_str()), 0);
  std::size_t fields_seen = 0;
  for (int table = 0; table < kTables; ++table) {
    std::ifstream expected(folder_.file(text(table, ".hex")));
    std::string line;
    std::getline(expected, line);
    CsvRowParser parser(static_cast<char>(std::stoi(line, nullptr, 16)));
    const CsvFile file(folder_.file(text(table, ".csv")));
    CsvRowReader reader = file.rows_from(0, 1);
    CsvRow row;
    while (std::getline(expected, line)) {
      ASSERT_TRUE(reader.next(row)) << table;
      std::string found;
      for (const std::string_view field : parser.parse(row)) {
        found += (found.empty() ? "=" : " =") + hex(without_blanks(field));
        ++fields_seen;
      }
      ASSERT_EQ(found, line) << "table " << table << ", line " << row.line;
    }
    EXPECT_FALSE(reader.next(row)) << table;
  }
  EXPECT_GT(fields_seen, 5000u);
}

}  // namespace
}  // namespace trainer::data
