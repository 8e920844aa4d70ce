#include "trainer/cli/default_recipe.h"

namespace trainer::cli {

void apply_default_recipe(train::Configuration& configuration) {
  configuration.data = "fashion-mnist";
  configuration.model =
      "dense(512) batch_norm relu dropout(0.25) dense(512) batch_norm relu dropout(0.25) dense(10)";
  configuration.loss = "softmax_cross_entropy(label_smoothing=0.1)";
  configuration.batch_size = "256";
  configuration.epochs = 15;
  configuration.optimizer = "adam";
  configuration.lr = 5e-3;
  configuration.schedule = "one_cycle";
}

}  // namespace trainer::cli
