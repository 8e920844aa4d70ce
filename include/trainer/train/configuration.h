#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace trainer::train {

/// What a user asked for, one member an option: as written, before anything is resolved against the data.
/// Texts are in the project's grammar and are parsed by the room that knows them.
struct Configuration {
  std::string data = "fashion-mnist";
  std::string task;                   ///< classification|regression|autoencoder; empty: from the data
  std::string inputs, targets;        ///< data sets of HDF5; empty: by their usual names
  std::string row_axis = "0";         ///< of HDF5
  std::string targets_data;           ///< files of the targets; empty: those of the inputs
  std::string target_columns;         ///< of CSV; empty: by its usual names, else the last
  std::string missing = "error";      ///< error|drop|mean
  bool follow_links = false;          ///< virtual data sets and external links may be read
  std::string memory_limit = "60 %";  ///< of a node, for data
  std::string validation = "0.1";     ///< a fraction, `5000 rows`, `tail(0.1)`, `test`, a path, `0`
  std::int64_t validation_rows = 0;   ///< at most so many rows per evaluation; 0: all
  std::string test;                   ///< empty: the data's own test split; `none`; a path
  std::uint64_t split_seed = 0;
  std::string scale;                   ///< unit|feature|global|none; empty: by type
  std::string scale_targets;           ///< feature|log|none; empty: by task
  std::string augment;                 ///< of the training rows: "shift(2) flip noise(0.1)"; empty: none
  std::string shuffle;                 ///< rows|chunks(window)|none; empty: by size
  std::string class_weights = "none";  ///< none|balanced|a list
  std::string sample_weights;          ///< FILE.h5:PATH; empty: none

  std::string model;
  std::string init = "auto";  ///< or a checkpoint file or run folder
  std::string loss;           ///< empty: by task
  std::string optimizer = "adam";
  std::optional<double> lr;            ///< absent: by optimizer
  std::string lr_scaling = "none";     ///< none|linear|sqrt
  std::int64_t reference_batch = 256;  ///< that lr is meant for, when it is scaled
  std::string schedule = "constant";
  std::string warmup = "0 steps";
  double l1 = 0;
  double l2 = 0;
  std::string penalty_scope = "weights";          ///< weights|all
  double clip_norm = 0;                           ///< 0: off
  double max_norm = 0;                            ///< 0: off
  double average = 0;                             ///< decay of the average of the weights; 0: off
  std::string population_statistics = "running";  ///< running|exact

  std::string batch_size = "256";  ///< rows per step over all ranks, or `full`
  std::int64_t shards = 0;         ///< 0: from the batch
  std::int64_t epochs = -1;        ///< -1: 20 unless max_steps is given
  std::int64_t max_steps = 0;      ///< 0: none
  std::string time_limit;          ///< empty: none
  std::string time_margin = "60 s";
  double stall_timeout_seconds = 300;
  std::string evaluate_every = "1 epoch";
  std::string goal;
  std::string early_stopping;
  std::string metrics;  ///< beside loss and accuracy; empty: none

  std::uint64_t seed = 1;
  std::string precision = "f32";
  std::string isa;           ///< empty: oneDNN's own choice; else its name (AVX2, AVX512_CORE, ...)
  std::int64_t threads = 0;  ///< 0: from the cpuset and OMP_NUM_THREADS
  std::string tuning = "overlap=on weight_gradient=auto shared_gradients=on";  ///< see Tuning

  std::string out;  ///< run folder; empty: runs/<data>-<date>-<time>
  std::string checkpoint_every = "1 epoch";
  std::int64_t keep = 2;
  bool log_steps = false;
  bool log_gradients = false;
  double log_every_seconds = 30;
  std::string progress = "auto";  ///< auto|bar|lines|none
  bool quiet = false;
};

}  // namespace trainer::train
