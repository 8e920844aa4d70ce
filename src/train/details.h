#pragma once

// What is told of a model at its end: by class or by output. Private to this room.

#include <string>

#include "trainer/data/data_set.h"
#include "trainer/report/result.h"
#include "trainer/train/metrics.h"

namespace trainer::train {

/// Adds `<prefix>classes` (names, rows, precision, recall, f1: a list each) or `<prefix>outputs` (names where
/// they are known, rmse, mae, r2).
void add_details(report::JsonObject& json, const std::string& prefix, const Measured& measured,
                 const data::DataFacts& facts);
/// Adds `confusion`, a row for each true class.
void add_confusion(report::JsonObject& json, const Measured& measured);
/// The same, one `name value` a line: class_3 and target_0 (their names, where they are known), precision_3,
/// rmse_0; confusion_<true>_<predicted> of up to 20 classes.
std::string detail_lines(const Measured& measured, const data::DataFacts& facts);
/// A CSV file: a row for each true class, a column for each predicted one. Throws Error(data).
void write_confusion(const std::string& path, const Measured& measured, const data::DataFacts& facts);

}  // namespace trainer::train
