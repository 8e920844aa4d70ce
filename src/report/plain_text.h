#pragma once

// Text of unknown origin, made fit for HTML, SVG and plots. Private to this room.

#include <string>
#include <string_view>

namespace trainer::report {

/// `text` as UTF-8 without control characters but line ends and tabs; what is neither becomes U+FFFD.
std::string plain_text(std::string_view text);

/// plain_text() as it stands in HTML and XML, also between quotes.
std::string html_text(std::string_view text);

/// A number for people: four digits, more where it is whole.
std::string short_number(double value);

}  // namespace trainer::report
