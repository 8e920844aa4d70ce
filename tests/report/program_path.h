#pragma once

#include <stdlib.h>
#include <sys/stat.h>

#include <string>

#include "temporary_folder.h"

/// PATH is this folder alone, for the time of a test.
class ProgramPath {
 public:
  explicit ProgramPath(const std::string& folder) : before_(::getenv("PATH")) {
    ::setenv("PATH", folder.c_str(), 1);
  }
  ~ProgramPath() { ::setenv("PATH", before_.c_str(), 1); }
  ProgramPath(const ProgramPath&) = delete;
  ProgramPath& operator=(const ProgramPath&) = delete;

 private:
  std::string before_;
};

/// A program of one shell script.
inline void put_program(const std::string& path, const std::string& script) {
  put(path, "#!/bin/sh\n" + script);
  ::chmod(path.c_str(), 0700);
}

inline bool has_gnuplot() { return ::system("gnuplot --version > /dev/null 2>&1") == 0; }
