#pragma once

#include <string>
#include <vector>

namespace trainer::data {

/// What is asked about data, one member an option: as written. Texts are parsed by this room.
struct Request {
  std::string data;            ///< --data
  std::string task;            ///< --task; empty: from the data
  std::string inputs;          ///< --inputs: data sets of HDF5, each with an optional slice; columns of CSV
  std::string targets;         ///< --targets
  std::string row_axis = "0";  ///< --row-axis: of HDF5; -1 is the last; `0,2` joins axes
  std::string targets_data;    ///< --targets-data: files of the targets; empty: those of the inputs
  std::string target_columns;  ///< --target-columns: of CSV
  std::string missing = "error";  ///< --missing: error|drop|mean (of a category: none of them)
  std::string test;               ///< files of the test split; empty: the data's own
  std::string validation;         ///< files of the validation rows; empty: by --validation
  std::string groups;             ///< PATH of --validation groups(PATH); of CSV, this column is no input
  bool trains = false;            ///< on --data: none of its files may also be one of the other two
  bool follow_links = false;      ///< --follow-links: virtual data sets and external links may be read

  // What a model knows already, when one is evaluated or predicts; empty otherwise.
  std::vector<std::string> class_names;  ///< names of classes become these indices
  std::string encoding;                  ///< DataFacts::encoding of the data that it was trained on
  bool without_targets = false;          ///< targets are neither needed nor looked for (predict)
};

}  // namespace trainer::data
