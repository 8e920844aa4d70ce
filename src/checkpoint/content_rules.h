#pragma once

#include <string>

#include "trainer/checkpoint/checkpoint.h"

namespace trainer::checkpoint {

/// What every checkpoint must hold, asked of the writer's caller and of a file alike: the attributes of
/// checkpoint.h with their types, no count below zero, well-formed and distinct paths, as many values as the
/// shapes say, scalings in pairs, columns of one length. Throws Error(kind) beginning with `name`.
void require_whole(const Checkpoint& checkpoint, ErrorKind kind, const std::string& name);

/// Throws Error(kind) beginning with `name` that names the first value of model, optimizer or scaling that is
/// not finite.
void require_finite(const Checkpoint& checkpoint, ErrorKind kind, const std::string& name);

/// The same for tensors of the group `group` ("/model").
void require_finite(const std::vector<Tensor>& tensors, const std::string& group, ErrorKind kind,
                    const std::string& name);

}  // namespace trainer::checkpoint
