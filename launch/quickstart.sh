#!/usr/bin/env bash
# One command from a fresh clone to a trained model: installs what is missing, builds, and trains the default job
# (Fashion-MNIST) on all cores. Arguments go to trainer, such as --epochs 3.
set -euo pipefail
cd "$(dirname "$0")/.."

launch/setup.sh
echo "quickstart: building (build/release)"
cmake --preset release -DTRAINER_BUILD_TESTS=OFF > build-log.txt 2>&1 || { cat build-log.txt >&2; exit 1; }
cmake --build --preset release --target trainer >> build-log.txt 2>&1 || { tail -n 60 build-log.txt >&2; exit 1; }
rm -f build-log.txt

# Open MPI refuses to run as root unless it is told that this is meant.
if [ "$(id -u)" -eq 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
cores=$(nproc)
command=(mpirun -np "$cores" --bind-to core build/release/src/cli/trainer --threads 1 "$@")
# mpirun counts physical cores; where nproc counts hardware threads or the container is cut to size, it would refuse.
mpirun -np "$cores" --bind-to core true > /dev/null 2>&1 ||
  command=(mpirun -np "$cores" --oversubscribe --bind-to none build/release/src/cli/trainer --threads 1 "$@")
echo "quickstart: training: ${command[*]}"
exec "${command[@]}"
