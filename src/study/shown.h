#pragma once

// Figures as results show them to people. Private to this room.

#include <string>

#include "trainer/study/fit.h"

namespace trainer::study {

/// Three significant digits; whole numbers from 1000 on; "-" for nan.
std::string three_digits(double value);
/// "587 (460 to 750)"; the value alone where the interval is unknown, with a (?) where it says nothing.
std::string with_interval(const Interval& interval);

}  // namespace trainer::study
