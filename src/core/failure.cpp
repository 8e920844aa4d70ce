#include "trainer/core/failure.h"

#include <filesystem>
#include <new>

namespace trainer {

Failure failure_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return {error.kind(), error.what()};
  } catch (const std::bad_alloc&) {
    return {ErrorKind::internal, "out of memory"};
  } catch (const std::filesystem::filesystem_error& error) {
    return {ErrorKind::data,
            text(error.path1().string(), ": ", error.code().message(), "; check the file system")};
  } catch (const std::exception& error) {
    return {ErrorKind::internal, text("internal error: ", error.what())};
  } catch (...) {
    return {ErrorKind::internal, "internal error of an unknown kind"};
  }
}

}  // namespace trainer
