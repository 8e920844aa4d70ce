// CSV files. An input is a file; its last byte says what is asked for, the one before it in what pieces it is
// read.

#include "csv_plan.h"
#include "read_plan.h"
#include "scratch_file.h"
#include "share_over.h"

using namespace trainer;
using namespace trainer::data;

std::vector<std::string> trainer::fuzz_seeds() {
  const std::string files[] = {
      "width,color,kind\n1.5,red,b\n2,blue,a\n-3e1,red,b\n0.25,\"a, \"\"b\"\"\",c\n7,green,a\n",
      "1 2 3 0\n4 5 6 1\n7 8 9 2\n1 1 1 0\n",
      "\xef\xbb\xbf\"a\nb\";y\r\n\"u\n\";x\r\n\r\n\"v,\"\"\";\"y\nz\"\r\nw;x",
      "a\tb\ty\n1\t2\t0.5\n\t3\t0.25\nnan\t4\t1\n5\t6\t7\n",
      ",sepal length,sepal width,species\n0,5.1,3.5,setosa\n1,4.9,,virginica\n2,NA,3.2,setosa\n",
      "# comment\nx;y\n1,5;2,25\n3,5;4,75\n",
      "id|flag|when|y\n1|True|2021-03-04|1e-3\n2|False|2021-03-05|2.5E+03\n",
      "0,0,1.0000000000000000000001,99999999999999999999\n1,-0,1e-400,0x10\n"};
  std::vector<std::string> seeds;
  for (const std::string& file : files)
    for (const char way : {'\x00', '\x05', '\x0a', '\x13'}) seeds.push_back(file + "\x0f" + way);
  return seeds;
}
std::vector<std::string> trainer::fuzz_tokens() {
  return {"\"",  "\"\"", ",",  ";", "\n",  "\r\n", "\r",   "nan", "NA",           "1e999", "-",
          "inf", " ",    "\t", "|", "0x1", "True", "\n\n", ",,",  "\xef\xbb\xbf", "\"\n",  "1e-46"};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const unsigned way = data[size - 1];
  const std::int64_t piece_bytes = 1 + data[size - 2];
  const ScratchFile file({reinterpret_cast<const char*>(data), size - 2});
  static const char* const kTasks[] = {"", "classification", "regression", "autoencoder"};
  static const char* const kMissing[] = {"error", "drop", "mean", "drop"};
  static const char* const kColumns[] = {"", "y", "-1", "0, 1"};
  Request request;
  request.data = file.path();
  request.task = kTasks[way & 3];
  request.missing = kMissing[way >> 2 & 3];
  request.target_columns = kColumns[way >> 4 & 3];
  request.without_targets = (way & 64) != 0;
  accepted([&] {
    const Plan plan = csv_plan_in_pieces({file.path()}, request, share_alone(), piece_bytes);
    const bool keeps = request.missing == "mean";
    read_plan(plan, keeps);
    const Source& source = plan.splits.front();
    for (const char* const column : {"y", "kind", "0"})
      if (source.groups && source.facts.rows <= (1 << 20)) accepted([&] { source.groups(column); });
    // What was encoded once can be read by its encoding.
    Request again = request;
    again.encoding = source.facts.encoding;
    again.class_names = source.facts.class_names;
    accepted([&] { read_plan(csv_plan_in_pieces({file.path()}, again, share_alone(), piece_bytes), keeps); });
  });
  return 0;
}
