#!/usr/bin/env bash
# Checks who includes whom: a room includes only rooms below it, third-party headers stay in their room's sources,
# and public headers include nothing but the standard library and the project.
#
#   tests/check_rooms.sh [ROOT]        the sources of ROOT (default: this repository); exit 1 and a line for each violation
#   tests/check_rooms.sh --self-test   shows that planted violations are found
set -euo pipefail

check() {
  local root=$1
  local folders=()
  local folder
  for folder in include src tests; do
    if [[ -d $root/$folder ]]; then folders+=("$folder"); fi
  done
  if [[ ${#folders[@]} -eq 0 ]]; then
    echo "check_rooms: no sources under $root" >&2
    return 2
  fi
  # Every include line as FILE:LINE:TEXT, from the root, in a fixed order. grep returns 1 where there is none.
  (cd "$root" && { grep -rnE --include='*.h' --include='*.hpp' --include='*.cpp' --include='*.inc' \
    '^[[:space:]]*#[[:space:]]*(include|import)' "${folders[@]}" || [[ $? -eq 1 ]]; } | LC_ALL=C sort) |
    awk '
      BEGIN {
        # The height of a room: it may include itself and what is lower. Equal heights do not know each other.
        split("core comm h5 data nn optim checkpoint predictor report=exchange train study cli", lines, " ")
        for (i in lines) {
          n = split(lines[i], rooms, "=")
          for (j = 1; j <= n; ++j) height[rooms[j]] = i + 0
        }
      }

      function report(message) {
        printf "%s:%s: %s\n", file, line, message
        ++violations
      }

      # The one room that may include a third-party header; "" for a header of nobody.
      function owner_of(header) {
        if (header ~ /^mpi([-_.].*)?\.h$/ || header ~ /^mpi\.h$/) return "comm"
        if (header ~ /^(hdf5(_hl)?|H5[A-Za-z0-9_]*)\.h$/ || header ~ /^hdf5\//) return "h5"
        if (header ~ /^(oneapi\/)?dnnl/ || header ~ /^oneapi\//) return "nn"
        if (header ~ /^boost\/program_options/) return "cli"
        if (header ~ /^boost\/math/) return "study"
        if (header ~ /^boost\//) return "nobody"
        if (header ~ /^xxh(ash|3)/) return "core"
        if (header ~ /^z(lib|conf)\.h$/) return "data"
        return ""
      }

      {
        split($0, place, ":")
        file = place[1]
        line = place[2]
        if (!match($0, /(include|import)[[:space:]]*["<][^">]*[">]/)) {
          report("this include names no file: a macro hides what is included")
          next
        }
        header = substr($0, RSTART, RLENGTH)
        is_quoted = header ~ /"/
        sub(/^[^"<]*["<]/, "", header)
        sub(/[">]$/, "", header)

        depth = split(file, folder, "/")
        is_public = folder[1] == "include"
        is_test = folder[1] == "tests"
        room = is_public ? folder[3] : folder[2]
        is_shared_test = is_test && (depth == 2 || folder[2] == "fuzz")  # programs of several rooms
        if (is_public && (folder[2] != "trainer" || depth < 4)) {
          report("a public header must stand in include/trainer/<room>/")
          next
        }
        if (!is_shared_test && !(room in height)) {
          report("\"" room "\" is no room")
          next
        }

        if (header ~ /(^|\/)\.\.?\//) {
          report("\"" header "\": a path with dots goes round the rooms; include \"trainer/<room>/...\"")
        } else if (header ~ /^trainer\//) {
          split(header, part, "/")
          if (!(part[2] in height)) {
            report("\"" header "\": \"" part[2] "\" is no room")
          } else if (!is_shared_test && part[2] != room && height[part[2]] >= height[room]) {
            report("room " room " includes \"" header "\": " part[2] " is not below it")
          }
        } else if (header ~ /^(src|include|tests)\//) {
          report("\"" header "\": include \"trainer/<room>/...\" instead")
        } else if ((owner = owner_of(header)) != "") {
          if (is_public) {
            report("<" header "> in a public header: third-party headers stay in .cpp files")
          } else if (!is_test && owner != room) {
            report("<" header "> in room " room ": " (owner == "nobody" ? "no room may use it" : "only " owner " may include it"))
          }
        } else if (is_public && (is_quoted || header ~ /[.\/]/)) {
          report("<" header "> in a public header: only the standard library and \"trainer/...\" are allowed")
        }
      }

      END { exit violations > 0 }'
}

# plant ROOT FILE LINE...: writes FILE with these lines.
plant() {
  local file=$1/$2
  shift 2
  mkdir -p "$(dirname "$file")"
  printf '%s\n' "$@" >"$file"
}

self_test() {
  local root failures=0
  root=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$root'" EXIT

  # expect_violation TEXT FILE LINE...: the good tree with FILE planted fails, and the report names TEXT.
  expect_violation() {
    local wanted=$1 output
    shift
    rm -rf "${root:?}/bad"
    cp -r "$root/good" "$root/bad"
    plant "$root/bad" "$@"
    if output=$(check "$root/bad"); then
      echo "self-test: not found: ${*:2} in $1" >&2
      failures=$((failures + 1))
    elif [[ $output != *"$1:"*"$wanted"* || $(wc -l <<<"$output") -ne 1 ]]; then
      printf 'self-test: %s: expected one line with "%s", got:\n%s\n' "$1" "$wanted" "$output" >&2
      failures=$((failures + 1))
    fi
  }

  plant "$root/good" include/trainer/core/a.h '#pragma once' '#include <vector>' '#include <cstdint>'
  plant "$root/good" include/trainer/nn/b.h '#include "trainer/core/a.h"' '#include "trainer/nn/c.h"'
  plant "$root/good" src/core/a.cpp '#include <xxhash.h>' '#include <omp.h>' '#include "detail.h"' '// #include <mpi.h>'
  plant "$root/good" src/comm/a.cpp '#include <mpi.h>' '#include <unistd.h>'
  plant "$root/good" src/h5/a.cpp '#include <hdf5.h>'
  plant "$root/good" src/data/a.cpp '#include <zlib.h>' '#include "trainer/h5/a.h"'
  plant "$root/good" src/nn/a.cpp '#include <oneapi/dnnl/dnnl.hpp>' '#include <dnnl.hpp>'
  plant "$root/good" src/cli/a.cpp '# include <boost/program_options.hpp>' '#include "trainer/train/a.h"'
  plant "$root/good" tests/mpi_main.cpp '#include <mpi.h>' '#include "trainer/comm/a.h"'
  plant "$root/good" tests/nn/a_test.cpp '#include <mpi.h>' '#include <gtest/gtest.h>' '#include "trainer/comm/a.h"'
  if ! check "$root/good"; then
    echo "self-test: a clean tree is refused" >&2
    failures=$((failures + 1))
  fi

  expect_violation 'train is not below it' src/nn/bad.cpp '#include "trainer/train/step.h"'
  expect_violation 'comm is not below it' include/trainer/core/bad.h '#include "trainer/comm/a.h"'
  expect_violation 'nn is not below it' src/comm/bad.cpp '#include <trainer/nn/b.h>'
  expect_violation 'checkpoint is not below it' tests/data/bad_test.cpp '#include "trainer/checkpoint/a.h"'
  expect_violation 'exchange is not below it' src/report/bad.cpp '  #  include "trainer/exchange/a.h"'
  expect_violation '"utils" is no room' src/train/bad.cpp '#include "trainer/utils/a.h"'
  expect_violation '"utils" is no room' src/utils/bad.cpp '#include <vector>'
  expect_violation 'goes round the rooms' src/core/bad.cpp '#include "../nn/a.h"'
  expect_violation 'instead' src/core/bad.cpp '#include "src/nn/a.h"'
  expect_violation 'only comm may include it' src/train/bad.cpp '#include <mpi.h>'
  expect_violation 'only comm may include it' src/train/bad.cpp '#include "mpi.h"'
  expect_violation 'only h5 may include it' src/checkpoint/bad.cpp '#include <hdf5.h>'
  expect_violation 'only h5 may include it' src/data/bad.cpp '#include <H5public.h>'
  expect_violation 'only nn may include it' src/train/bad.cpp '#include <dnnl.hpp>'
  expect_violation 'only nn may include it' src/optim/bad.cpp '#include <oneapi/dnnl/dnnl.h>'
  expect_violation 'only cli may include it' src/train/bad.cpp '#include <boost/program_options/option.hpp>'
  expect_violation 'no room may use it' src/cli/bad.cpp '#include <boost/algorithm/string.hpp>'
  expect_violation 'only core may include it' src/checkpoint/bad.cpp '#include <xxhash.h>'
  expect_violation 'only data may include it' src/checkpoint/bad.cpp '#include <zlib.h>'
  expect_violation 'stay in .cpp files' include/trainer/comm/bad.h '#include <mpi.h>'
  expect_violation 'only the standard library' include/trainer/core/bad.h '#include <unistd.h>'
  expect_violation 'only the standard library' include/trainer/core/bad.h '#include "detail.h"'
  expect_violation 'include/trainer/<room>/' include/trainer/bad.h '#include <vector>'
  expect_violation 'a macro hides' src/nn/bad.cpp '#include HEADER'

  if check "$root/nowhere" 2>/dev/null; then
    echo "self-test: a folder without sources passes" >&2
    failures=$((failures + 1))
  fi
  if [[ $failures -ne 0 ]]; then return 1; fi
  echo "self-test: every planted violation was found"
}

case ${1:-} in
  --self-test) self_test ;;
  *) check "${1:-$(cd "$(dirname "$0")/.." && pwd)}" ;;
esac
