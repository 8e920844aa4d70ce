#include <gtest/gtest.h>

#include <array>
#include <cstdlib>

#include "sample.h"
#include "trainer/checkpoint/checkpoint.h"

namespace trainer::checkpoint {

namespace {

// Whole, well-formed files with a right digest that are wrong all the same; see wrong_with_python.py.
class WrongWithPythonTest : public Scratch {};

std::array<std::string, 3> words_of(const std::string& line) {
  const std::size_t first = line.find('\t');
  const std::size_t second = line.find('\t', first + 1);
  return {line.substr(0, first), line.substr(first + 1, second - first - 1), line.substr(second + 1)};
}

TEST_F(WrongWithPythonTest, EachCaseIsRefusedWithItsReason) {
  const std::string python = "/usr/bin/python3";  // Debian's, which has h5py
  if (std::system((python + " -c 'import h5py' 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "no h5py for " << python << " (Debian: python3-h5py)";
  write(at("good"), sample());
  const std::string command = text(python, " " TRAINER_TEST_FOLDER "/wrong_with_python.py ",
                                   at("good").string(), " " TRAINER_TEST_RESEAL " ", folder().string());
  ASSERT_EQ(std::system(command.c_str()), 0) << command;

  std::ifstream list(at("cases.txt"));
  int refused = 0;
  int left_to_the_run = 0;
  for (std::string line; std::getline(list, line);) {
    const auto [name, who, part] = words_of(line);
    SCOPED_TRACE(name);
    if (who == "file") {
      const std::string message = error_of(ErrorKind::data, [&] { read(at(name + ".h5")); });
      EXPECT_TRUE(contains(message, part)) << message;
      EXPECT_TRUE(message.starts_with(at(name + ".h5").string())) << message;
      EXPECT_LT(message.size(), 500);
      ++refused;
    } else {
      EXPECT_TRUE(verify(at(name + ".h5")).good) << verify(at(name + ".h5")).reason;
      ++left_to_the_run;
    }
  }
  EXPECT_GT(refused, 90);
  EXPECT_GT(left_to_the_run, 40);
}

}  // namespace

}  // namespace trainer::checkpoint
