#pragma once

#include <string>
#include <string_view>

namespace trainer::data {

/// What one field of a CSV file is.
enum class FieldKind {
  missing,   ///< empty, blanks, nan, or a word for it: NA, N/A, NULL, None, ...
  number,    ///< finite as f32
  infinite,  ///< inf
  beyond,    ///< a number greater than f32 can hold
  text       ///< anything else
};

struct Field {
  FieldKind kind = FieldKind::missing;
  double value = 0;    ///< of a number; what is too small for a double is 0
  bool whole = false;  ///< written as an integer: no point, no exponent
};

/// What `text` is, in any locale alike.
Field parse_field(std::string_view text);
/// Whether parse_field() would say missing; cheaper.
bool is_missing(std::string_view text);
/// `text` without blanks and tabs at its ends.
std::string_view trimmed(std::string_view text);
/// Whether `text` is a number with a comma among its digits: 1,5 or 1,234.
bool has_decimal_comma(std::string_view text);
/// `text` between quotes, printable and not long, for messages.
std::string shown(std::string_view text);

}  // namespace trainer::data
