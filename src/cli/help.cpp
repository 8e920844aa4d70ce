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
      return "Usage: mpirun -np N trainer evaluate MODEL --data D [options]\n"
             "Computes the loss and the metrics of MODEL, a checkpoint file or a run folder (then its "
             "best.h5); one\n"
             "`name value` a line.\n";
    case Command::inspect:
      return "Usage: trainer inspect FILE.h5 [--verify]\n"
             "Prints what is in a checkpoint: model, shapes, step, metrics, digest.\n";
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
  if (command == Command::train || command == Command::resume) out << marks_text();
  return out.str();
}

std::string program_help_text() {
  return "trainer: synchronous data-parallel training of dense networks, the same bits at any scale\n\n"
         "  trainer [train] [options]            train (no command means train)\n"
         "  trainer resume [RUN] [options]       continue a run\n"
         "  trainer evaluate MODEL --data D      loss and metrics of a model\n"
         "  trainer inspect FILE.h5 [--verify]   what is in a checkpoint\n"
         "  trainer COMMAND --help               the options of a command\n\n" +
         help_text(Command::train);
}

}  // namespace trainer::cli
