#pragma once

#include <memory>

#include "trainer/core/grammar.h"
#include "trainer/optim/optimizer.h"

namespace trainer::optim {

// One function for each name of --optimizer: reads the arguments of `term`, which is the whole of `text`.
// A new optimizer is a file with its class and such a function, and a line in the table of optimizer.cpp.

std::unique_ptr<Optimizer> make_adagrad(const ParsedText& text, const Term& term);
std::unique_ptr<Optimizer> make_adam(const ParsedText& text, const Term& term);
std::unique_ptr<Optimizer> make_adamw(const ParsedText& text, const Term& term);
std::unique_ptr<Optimizer> make_lamb(const ParsedText& text, const Term& term);
std::unique_ptr<Optimizer> make_lars(const ParsedText& text, const Term& term);
std::unique_ptr<Optimizer> make_rmsprop(const ParsedText& text, const Term& term);
std::unique_ptr<Optimizer> make_sgd(const ParsedText& text, const Term& term);

}  // namespace trainer::optim
