// Rows that stay in their files are the rows of a resident set, by whatever way they come.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/core/error.h"
#include "trainer/core/random.h"
#include "trainer/data/open.h"
#include "trainer/data/order.h"
#include "trainer/data/scaling.h"

namespace trainer::data {
namespace {

/// Blocks of 1 MiB hold 4,032 rows of 64 inputs and a class, or 3,973 of 64 inputs and 2 values.
constexpr const char* kClasses = "generate:teacher(rows=50000,features=64,classes=7)";
constexpr const char* kValues = "generate:teacher(rows=50000,features=64,outputs=2)";

class Streamed : public testing::Test {
 protected:
  Streamed()
      : environment_(nullptr, nullptr),
        world_(comm::Communicator::world(environment_)),
        node_(world_.node()) {}

  OpenedData open(const std::string& spec, std::int64_t megabytes) {
    Request request;
    request.data = spec;
    return open_data(world_, node_, request, {megabytes << 20, "test"});
  }

  /// The part of a batch that this rank gathers.
  Range mine(std::int64_t batch) const { return cut(batch, world_.size(), world_.rank()); }

  comm::Environment environment_;
  comm::Communicator world_, node_;
};

/// All that is known of rows.
struct Rows {
  std::vector<float> inputs, values;
  std::vector<std::int32_t> classes;
  bool operator==(const Rows&) const = default;
};

Rows gather(const DataSet& data, std::span<const std::int64_t> rows) {
  const DataFacts& facts = data.facts();
  Rows out;
  out.inputs.resize(rows.size() * static_cast<std::size_t>(facts.features));
  data.gather(rows, out.inputs.data());
  if (facts.kind == TargetKind::classes) {
    out.classes.resize(rows.size());
    data.gather_classes(rows, out.classes.data());
  } else {
    out.values.resize(rows.size() * static_cast<std::size_t>(facts.targets));
    data.gather_values(rows, out.values.data());
  }
  return out;
}

TEST_F(Streamed, FactsClassesAndScalingAreThoseOfResidentRows) {
  for (const char* spec : {kClasses, kValues}) {
    const OpenedData held = open(spec, 1000), filed = open(spec, 12);
    ASSERT_TRUE(held.train->has_all_rows());
    ASSERT_FALSE(filed.train->has_all_rows());
    const DataFacts &a = held.train->facts(), &b = filed.train->facts();
    EXPECT_EQ(a.fingerprint, b.fingerprint);
    EXPECT_EQ(a.blocks, b.blocks);
    EXPECT_EQ(a.targets, b.targets);
    EXPECT_GT(a.blocks.size(), 10u);
    const RowSet rows({{3, 17000}, {20000, 49999}});
    EXPECT_EQ(input_scaling(world_, *held.train, rows, "feature").mean(),
              input_scaling(world_, *filed.train, rows, "feature").mean());
    EXPECT_EQ(target_scaling(world_, *held.train, rows, "").deviation(),
              target_scaling(world_, *filed.train, rows, "").deviation());
  }
}

TEST_F(Streamed, RowsOfAnEpochAreThoseOfResidentRowsFromAnyPlaceOn) {
  constexpr std::int64_t kBatch = 1000;
  for (const char* spec : {kClasses, kValues})
    for (const char* shuffle : {"chunks(1)", "chunks(3)", "none"}) {
      const OpenedData held = open(spec, 1000), filed = open(spec, 30);
      const RowSet rows({{100, 49000}});
      const EpochOrder order(3, rows, shuffle, held.train->facts().blocks);
      filed.train->require_room(order, kBatch);
      // As a run that ends one epoch, begins the next, goes back (another pass), and is resumed in mid-epoch.
      for (const auto& [epoch, begin, end] : std::vector<std::array<std::int64_t, 3>>{
               {0, 40000, 48900}, {1, 0, 9000}, {0, 0, 3000}, {7, 21000, 30000}})
        for (std::int64_t place = begin; place < end; place += kBatch) {
          const std::int64_t batch = std::min(kBatch, order.size() - place);
          filed.train->approach(order, epoch, place, batch);
          const Range part = mine(batch);
          std::vector<std::int64_t> list(static_cast<std::size_t>(part.size()));
          order.rows_at(epoch, place + part.begin, list);
          ASSERT_EQ(gather(*filed.train, list), gather(*held.train, list)) << shuffle << " place " << place;
          world_.barrier();  // as the exchange of gradients: all have gathered before one goes on
        }
      // An evaluation in between takes rows that are in no window.
      const std::vector<std::int64_t> some{0, 1, 49999, 25000, 99, 49500};
      EXPECT_EQ(gather(*filed.train, some), gather(*held.train, some));
    }
}

TEST_F(Streamed, ScaledRowsAreTheSameBits) {
  const OpenedData held = open(kValues, 1000), filed = open(kValues, 12);
  const Scaling scaling = input_scaling(world_, *held.train, RowSet::all(50000), "feature");
  std::vector<std::int64_t> rows(3000);
  std::iota(rows.begin(), rows.end(), 30000);
  std::vector<float> a(rows.size() * 64), b(rows.size() * 64);
  held.train->gather_scaled(rows, scaling, a.data());
  filed.train->gather_scaled(rows, scaling, b.data());
  EXPECT_EQ(a, b);
}

TEST_F(Streamed, LabelsAloneAreThoseOfResidentRows) {
  const OpenedData held = open(kClasses, 1000), filed = open(kClasses, 12);
  std::vector<std::int32_t> a(9000), b(9000);  // of several blocks
  held.train->read_classes({3999, 12999}, a.data());
  filed.train->read_classes({3999, 12999}, b.data());
  EXPECT_EQ(a, b);
}

TEST_F(Streamed, ANodeWithoutRoomToShareIsNoted) {
  const auto note_in = [](const OpenedData& opened) {
    return std::ranges::find_if(opened.notes,
                                [](const std::string& line) { return line.starts_with("note: "); });
  };
  const auto windows = [&](const OpenedData& opened) {
    const EpochOrder order(3, RowSet::all(50000), "chunks(2)", opened.train->facts().blocks);
    return windows_note(world_, node_, *opened.train, order, 100);
  };
  {
    const OpenedData held = open(kClasses, 1000), filed = open(kClasses, 12);
    EXPECT_EQ(note_in(held), held.notes.end());
    EXPECT_EQ(note_in(filed), filed.notes.end());
    EXPECT_EQ(windows(filed), "");
  }
  setenv("OMPI_MCA_osc_sm_backing_directory", "/proc", 1);  // nothing fits there
  {
    const OpenedData held = open(kClasses, 1000), filed = open(kClasses, 12);
    const std::string line = windows(filed);
    if (node_.size() == 1) {
      EXPECT_EQ(note_in(held), held.notes.end());
      EXPECT_EQ(line, "");
    } else {
      ASSERT_NE(note_in(held), held.notes.end());
      EXPECT_EQ(windows(held), "");
      for (const std::string& one : {*note_in(held), line}) {
        EXPECT_NE(one.find("note: /proc of "), one.npos) << one;
        EXPECT_NE(one.find("room for 0 MiB"), one.npos) << one;
        EXPECT_NE(one.find(text("each of its ", node_.size(), " ranks")), one.npos) << one;
      }
      EXPECT_NE(line.find("the 2 windows of rows (--shuffle chunks) need 4 MiB"), line.npos) << line;
      EXPECT_NE(line.find("reads all rows"), line.npos) << line;
    }
  }
  unsetenv("OMPI_MCA_osc_sm_backing_directory");
}

TEST_F(Streamed, RoomIsAskedForBeforeTheFirstStep) {
  const OpenedData filed = open(kClasses, 12);
  const auto message = [&](const std::string& shuffle) {
    const EpochOrder order(1, RowSet::all(50000), shuffle, filed.train->facts().blocks);
    try {
      filed.train->require_room(order, 256);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(message("rows").find("--shuffle \"chunks"), std::string::npos);
  EXPECT_NE(message("chunks(6)").find("chunks(2)"), std::string::npos);
  EXPECT_EQ(message("chunks(2)"), "");
}

/// Each remedy that a refusal names is taken.
TEST_F(Streamed, TheLimitAndTheShuffleThatARefusalNamesWork) {
  const std::vector<std::int64_t> blocks = open(kClasses, 12).train->facts().blocks;
  const auto refusal = [&](const OpenedData& data, const std::string& shuffle, std::int64_t batch) {
    try {
      data.train->require_room(EpochOrder(1, RowSet::all(50000), shuffle, blocks), batch);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto after = [](const std::string& message, const std::string& words, char end) {
    const std::size_t at = message.find(words);
    if (at == message.npos) return std::string();
    return message.substr(at + words.size(), message.find(end, at + words.size()) - at - words.size());
  };
  for (const std::int64_t limit : {3, 12}) {
    const OpenedData filed = open(kClasses, limit);
    ASSERT_FALSE(filed.train->has_all_rows());
    for (const char* shuffle : {"rows", "chunks(5)", "chunks"})
      for (const std::int64_t batch : {256, 20000}) {
        if (limit == 3 && batch == 256) continue;
        const std::string where = text("limit ", limit, ", --shuffle ", shuffle, ", batch ", batch);
        const std::string taken = resolved_shuffle(shuffle, filed.train->facts());
        const std::string message = refusal(filed, taken, batch);
        if (message.empty()) continue;
        const std::string enough = after(message, "say --memory-limit ", 'M');
        ASSERT_FALSE(enough.empty()) << message;
        EXPECT_EQ(refusal(open(kClasses, std::stoll(enough)), taken, batch), "") << where << message;
        EXPECT_NE(refusal(open(kClasses, std::stoll(enough) - 1), taken, batch), "") << where << message;
        const std::string other = after(message, "take --shuffle \"", '"');
        if (!other.empty()) {
          EXPECT_EQ(refusal(filed, resolved_shuffle(other, filed.train->facts()), batch), "")
              << where << message;
        }
      }
  }
}

TEST_F(Streamed, WhatCannotBeReadInPartsIsRefused) {
  try {
    open("fashion-mnist", 10);
    GTEST_SKIP() << "there is no Fashion-MNIST here, or it took no memory";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_TRUE(std::string(error.what()).find("data convert") != std::string::npos ||
                std::string(error.what()).find("fashion") != std::string::npos)
        << error.what();
  }
}

/// On hosts whose copies of a file differ in one value, far from the beginning.
TEST_F(Streamed, ContentThatDiffersBetweenHostsIsFound) {
  const comm::Communicator alone = world_.split(world_.rank());  // each rank a node of its own
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / text("trainer-streamed-", getpid());
  std::filesystem::create_directories(folder);
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder);  // the path is the same on all
  for (const bool differs : {false, true}) {
    std::ofstream file("table.csv");
    for (int row = 0; row < 30'000; ++row)
      file << row % 7 << ",1,2,3,4,5,6," << (differs && row == 20'000 && world_.rank() == 1 ? 9 : 8)
           << ",0.5\n";
    file.close();
    Request request;
    request.data = "table.csv";
    std::string message;
    try {
      open_data(world_, alone, request, {1 << 20, "test"});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::communication);
      message = error.what();
    }
    const bool is_seen = message.find("content of the data") != std::string::npos;
    EXPECT_EQ(is_seen, differs && world_.size() > 1) << message;
  }
  std::filesystem::current_path(before);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace trainer::data
