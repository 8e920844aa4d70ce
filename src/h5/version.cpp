#include "trainer/h5/version.h"

#include "library.h"

namespace trainer::h5 {

std::string hdf5_version() {
  const Inside inside;
  unsigned major = 0, minor = 0, release = 0;
  checked(H5get_libversion(&major, &minor, &release), "the version of HDF5");
  return text(major, ".", minor, ".", release);
}

}  // namespace trainer::h5
