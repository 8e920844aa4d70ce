#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "share_work.h"

namespace trainer::data {

/// The files that `spec` names: a file; a glob such as `run-*.h5`; a list, which is a file called .list with
/// a path a line (counted from the list's own folder); or a folder, for its HDF5 or CSV files. In the order
/// of the list, else by their bytes. `option` is what the user wrote it for (--data), for messages.
/// **Collective** where `share` is: one rank looks. Throws Error(data) for what is not there.
std::vector<std::string> files_of(const std::string& option, const std::string& spec, const ShareWork& share);

/// Two paths that lead to the same file (by links or as written): one of `some` and one of `others`; when
/// there are no others, any two of `some`. **Collective** where `share` is: the ranks look at some each.
std::optional<std::pair<std::string, std::string>> same_file(const std::vector<std::string>& some,
                                                             const std::vector<std::string>& others,
                                                             const ShareWork& share);

/// The name that a file and its compressed form share.
std::string plain_name(const std::string& path);

}  // namespace trainer::data
