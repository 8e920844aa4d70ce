#include <sstream>

#include "description.h"
#include "trainer/cli/command_line.h"
#include "trainer/cli/commands.h"
#include "trainer/cli/default_recipe.h"

namespace trainer::cli {
namespace {

std::string usage_of(Command command) {
  switch (command) {
    case Command::train:
      return "Usage: mpirun -np N trainer [train] [options]\n"
             "Trains a network. Without --data, --model and --config: the built-in job for Fashion-MNIST, "
             "which the\n"
             "options given change.\n";
    case Command::resume:
      return "Usage: mpirun -np N trainer resume [RUN] [options]\n"
             "Continues RUN (runs/latest) from its newest good checkpoint, on any number of ranks and "
             "threads. Options\n"
             "marked [free] may change; those marked [bits] are fixed for a run.\n";
    case Command::evaluate:
      return "Usage: mpirun -np N trainer evaluate MODEL... --data D [options]\n"
             "Computes the loss and the metrics of MODEL, a checkpoint file or a run folder (then its "
             "best.h5); one\n"
             "`name value` a line. Of the test rows, or of all rows where the data has no test split. Of "
             "several "
             "models:\n"
             "of the mean of their outputs.\n";
    case Command::predict:
      return "Usage: mpirun -np N trainer predict MODEL... --data D --out Y.h5|Y.csv [options]\n"
             "Writes what MODEL, a checkpoint file or a run folder (then its best.h5), says of each row of "
             "the "
             "data, in\n"
             "their order; targets are not needed. HDF5: /predictions [rows, outputs] in original units; of "
             "a\n"
             "classification /classes (by number) and /probabilities, which are the predictions. CSV: "
             "row,class,p_<class>... or\n"
             "row,<target>... (target_0 where it has no name). Several models, or --samples: the mean of "
             "all, and in\n"
             "/deviation or sd_<...> the standard deviation. The file is there whole or not at all.\n";
    case Command::inspect:
      return "Usage: trainer inspect FILE.h5 [--verify]\n"
             "Prints what is in a checkpoint: model, shapes, step, metrics, digest.\n";
    case Command::report:
      return "Usage: trainer report [RUN...] [--out FILE.html]\n"
             "Writes a page on RUN (runs/latest) that any browser shows: curves, gradients, times, confusion "
             "matrix, worst\n"
             "samples, weights, settings; and its pictures as svg, png and pdf with their numbers as csv. "
             "Several runs are\n"
             "laid over each other. A run that is at work or was killed is shown as it stands. The pictures "
             "need gnuplot.\n";
    case Command::study:
      return "Usage: mpirun -np N trainer study batch --goal GOAL --out STUDY [options]\n"
             "       mpirun -np N trainer study search --vary VARIABLES --out STUDY [options]\n"
             "       mpirun -np N trainer study ranks --out STUDY [options]\n"
             "How convergence depends on the batch size, a search for settings, and how speed depends on the "
             "number of\n"
             "ranks. `trainer study batch --help` and so on: the options of each.\n";
    case Command::study_batch:
      return "Usage: mpirun -np N trainer study batch [options] --goal GOAL --out STUDY [--resume]\n"
             "At each of --batch-sizes: searches the settings of --tune anew, trains the best with several "
             "seeds, and counts\n"
             "the steps to --goal (without one: the best metric at --budget). Says the critical batch size "
             "with its interval,\n"
             "the regimes, and how the best learning rate follows the batch. Many trials run at once, each "
             "on "
             "--ranks-per-trial\n"
             "ranks. STUDY gets trials.csv, curves.csv, study.h5, summary.json, figures and report.html. "
             "With "
             "--resume a\n"
             "study that was killed or stopped goes on; trials that were done are not done again.\n";
    case Command::study_ranks:
      return "Usage: mpirun -np N trainer study ranks [options] --out STUDY\n"
             "Times the same steps on 1, 2, 4, ... N ranks of the job: strong scaling (--batch-size is "
             "shared) "
             "and weak scaling\n"
             "(--weak rows of a rank), where the time goes, and from a model of it, when three numbers "
             "of ranks\nor more were timed, a prediction for more ranks.\n";
    case Command::study_search:
      return "Usage: mpirun -np N trainer study search --vary VARIABLES [options] --out STUDY [--resume]\n"
             "Searches over any options for the fewest steps to --goal, or without one for the best metric "
             "at "
             "--budget.\n"
             "Else as study batch.\n";
    case Command::doctor:
      return "Usage: mpirun -np N trainer doctor [options]\n"
             "Says what is wrong with the machine, the placement of the ranks, the run folder and the data, "
             "and "
             "what to do\n"
             "about it. Takes the options of train: with --data, the data are opened and the model laid out "
             "as "
             "training would.\n"
             "Exit code 0 without a problem, else 2 (options), 3 (data or folder), 4 (ranks that do not fit "
             "together).\n";
    case Command::data:
      return "Usage: trainer data describe WHAT [options]\n"
             "       mpirun -np N trainer data convert WHAT --out F.h5 [options]\n"
             "       mpirun -np N trainer data generate \"NAME(...)\" --out F.h5 [options]\n"
             "Looks at data, or writes them as HDF5. WHAT is as of `train --data`. `trainer data describe "
             "--help` and so\n"
             "on: the options of each.\n";
    case Command::data_describe:
      return "Usage: trainer data describe WHAT [options]\n"
             "Says what training would find in WHAT (as of `train --data`), one `name value` a line: shapes, "
             "task, targets,\n"
             "inputs, how the rows lie in their files, and how well their order in an epoch mixes them "
             "(shuffle_spread:\n"
             "how unlike the targets of two batches are, 1 as after a full permutation, more is worse); "
             "then\n"
             "advice. Large data are looked at in samples. Exit code 3 with the error that training would "
             "meet. "
             "Needs no MPI.\n";
    case Command::data_convert:
      return "Usage: mpirun -np N trainer data convert WHAT --out F.h5 [options]\n"
             "Writes WHAT (as of `train --data`) as an HDF5 file that training takes without further "
             "options: "
             "/inputs\n"
             "and /targets, with a test split /x_train, /y_train, /x_test and /y_test. The same rows in the "
             "same order:\n"
             "training on it gives the same bits (in chunks, whose order follows the files, where these have "
             "none).\n"
             "The file is there whole or not at all. Data may be larger than memory.\n";
    case Command::data_generate:
      return "Usage: mpirun -np N trainer data generate \"NAME(...)\" --out F.h5 [options]\n"
             "Writes a made-up data set as HDF5: circle, xor, gauss, spiral, plane, gaussian, sine, blobs, "
             "teacher or\n"
             "table(xor|and|or), with rows=, features=, classes=, noise=, seed=, as in \"blobs(rows=1000, "
             "classes=3)\".\n"
             "Training on it gives the same bits as on \"generate:NAME(...)\".\n";
  }
  return "";
}

/// What apply_default_recipe() sets, as options.
std::string recipe_text() {
  CommandLine recipe;
  apply_default_recipe(recipe.configuration);
  const CommandLine defaults;
  std::string options;
  for (const Option& option : option_table()) {
    const std::string value = option.get(recipe);
    if (value != option.get(defaults)) options += "  " + shell_text({"--" + option.name, value}) + "\n";
  }
  return "The built-in job is\n" + options;
}

/// The words of the texts, which no option's line has room for.
std::string grammar_text() {
  return "\nTexts are sequences of `name`, `name(value)` and `name(key=value)`:\n"
         "  --model      dense(units, bias=true, "
         "init=auto|he|glorot|normal(s)|uniform(a)|zeros|constant(v)),\n"
         "               batch_norm(momentum=0.1, epsilon=1e-5, statistics=global|shard), dropout(rate),\n"
         "               layer_norm(epsilon=1e-5), noise(stddev), relu, leaky_relu(slope=0.01), "
         "elu(alpha=1), gelu, "
         "silu,\n"
         "               softplus, sigmoid, tanh, softmax, residual(layers..., projection=auto|always), "
         "repeat(n, layers...);\n"
         "               `outputs` stands for the width that the data needs; the loss adds its own softmax "
         "or sigmoid\n"
         "  --loss       softmax_cross_entropy(label_smoothing=0), kl_divergence, half_squared_error;\n"
         "               binary_cross_entropy, mse, mae, huber(delta=1), each of these with "
         "outputs=mean|sum\n"
         "  --optimizer  sgd(momentum=0, nesterov=false), adagrad(epsilon=1e-8), rmsprop(beta=0.99, "
         "epsilon=1e-8),\n"
         "               adam(beta1=0.9, beta2=0.999, epsilon=1e-8, inside_root=false),\n"
         "               adamw(beta1, beta2, epsilon, weight_decay=0.01), lars(momentum=0.9, trust=0.001, "
         "weight_decay=0),\n"
         "               lamb(beta1, beta2, epsilon=1e-6, weight_decay=0.01)\n"
         "  --schedule   constant, step(every, factor=0.1), exponential(factor=0.95, every=1 epoch), "
         "linear(final=0),\n"
         "               cosine(final=0), one_cycle(start=0.04, final=0.0001, peak=0.3),\n"
         "               plateau(patience=5, factor=0.1, min_delta=0, min=0)\n"
         "  --data       generate:circle, xor, gauss, spiral, plane, gaussian, sine, blobs, teacher, "
         "table(xor|and|or),\n"
         "               with rows=, features=, classes=, noise=, seed=, as in \"generate:blobs(rows=1000, "
         "classes=3)\"\n";
}

std::string marks_text() {
  return "\n[bits] decides results and is fixed for a run; [free] may change at resume. A boolean's value "
         "may be left out.\n";
}

}  // namespace

std::string help_text(Command command) {
  std::ostringstream out;
  out << usage_of(command);
  if (command == Command::train) out << recipe_text();
  out << '\n' << printed_description(command);
  if (command == Command::train) out << grammar_text();
  if (command == Command::train || command == Command::resume) out << marks_text();
  return out.str();
}

std::string program_help_text() {
  return "trainer: synchronous data-parallel training of dense networks, the same bits at any scale\n\n"
         "  trainer [train] [options]            train (no command means train)\n"
         "  trainer resume [RUN] [options]       continue a run\n"
         "  trainer evaluate MODEL... --data D   loss and metrics of a model, or of the mean of several\n"
         "  trainer predict MODEL... --data D --out Y.h5|Y.csv\n"
         "                                       what a model says of each row\n"
         "  trainer inspect FILE.h5 [--verify]   what is in a checkpoint\n"
         "  trainer report [RUN...]              a page with the curves and pictures of runs\n"
         "  trainer study batch|ranks|search     how convergence depends on the batch size and speed on the "
         "ranks; search\n"
         "  trainer data describe WHAT           what training would find in data, and what to do about it\n"
         "  trainer data convert WHAT --out F.h5, trainer data generate \"NAME(...)\" --out F.h5\n"
         "                                       the same rows as an HDF5 file\n"
         "  trainer doctor [options]             what is wrong with machine, folder and data\n"
         "  trainer COMMAND --help               the options of a command\n\n" +
         help_text(Command::train);
}

}  // namespace trainer::cli
