#pragma once

#include <mpi.h>

namespace trainer::comm {

/// Throws Error(communication) with MPI's own text unless `code` is MPI_SUCCESS. Every call of MPI goes
/// through it: check(MPI_Barrier(handle), "MPI_Barrier").
void check(int code, const char* call);

/// True when MPI may still be called: initialised and not yet finalised.
bool is_mpi_alive();

/// True while an exception is on its way: then nothing collective may be called, because the other ranks are
/// not there.
bool is_unwinding();

}  // namespace trainer::comm
