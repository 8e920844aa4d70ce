#!/usr/bin/env bash
# Installs what is missing on Debian 12 / Ubuntu to build and run trainer; with --tests also what its tests use.
# Does nothing when all is there. Without root it prints the line to run.
set -euo pipefail

packages=(g++ cmake ninja-build openmpi-bin libopenmpi-dev libdnnl-dev ocl-icd-opencl-dev libhdf5-dev libboost-program-options-dev
          zlib1g-dev libxxhash-dev libcsv-dev gnuplot-nox dataset-fashion-mnist)
if [ "${1:-}" = --tests ]; then
  packages+=(libgtest-dev libbenchmark-dev hdf5-tools python3-h5py python3-numpy clang-format clang-tidy util-linux ccache)
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: all packages are installed"
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  if sudo -n true 2> /dev/null; then
    run=(sudo)
  else
    echo "setup: these packages are missing; install them as root and start again:" >&2
    echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
else
  run=()
fi
echo "setup: installing ${missing[*]}"
"${run[@]}" apt-get update -qq
"${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
echo "setup: done"
