#include "trainer/data/idx.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "byte_source.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

/// No deflate stream grows by more than this factor.
constexpr std::int64_t kLargestExpansion = 1032;

std::string text_of(const std::vector<std::int64_t>& shape) {
  std::string out;
  for (const std::int64_t size : shape) out += text(out.empty() ? "" : " x ", size);
  return out;
}

template <class T>
T from_big_endian(const unsigned char* bytes) {
  using Bits = std::conditional_t<
      sizeof(T) == 1, std::uint8_t,
      std::conditional_t<sizeof(T) == 2, std::uint16_t,
                         std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>>;
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) bits = bits << 8 | bytes[i];
  return std::bit_cast<T>(static_cast<Bits>(bits));
}

}  // namespace

std::string name_of(IdxType type) {
  switch (type) {
    case IdxType::uint8:
      return "uint8";
    case IdxType::int8:
      return "int8";
    case IdxType::int16:
      return "int16";
    case IdxType::int32:
      return "int32";
    case IdxType::float32:
      return "float32";
    case IdxType::float64:
      return "float64";
  }
  return "unknown";
}

std::int64_t size_of(IdxType type) {
  switch (type) {
    case IdxType::uint8:
    case IdxType::int8:
      return 1;
    case IdxType::int16:
      return 2;
    case IdxType::int32:
    case IdxType::float32:
      return 4;
    case IdxType::float64:
      return 8;
  }
  return 0;
}

struct IdxFile::State {
  explicit State(const std::string& path) : bytes(path) {}

  void read_header();
  void check_size() const;
  void begin_reading();
  void check_end();
  void read_exactly(void* out, std::int64_t wanted);
  std::string place(std::int64_t element) const;
  template <class Stored, class T>
  void convert(T* values);

  ByteSource bytes;
  IdxType type = IdxType::uint8;
  std::vector<std::int64_t> shape;
  std::int64_t elements = 1;
  bool was_read = false;
};

void IdxFile::State::read_header() {
  const auto malformed = [&](const auto&... parts) {
    fail(ErrorKind::data, bytes.path(), ": is not an IDX file: ", parts...);
  };
  std::array<unsigned char, 4> magic{};
  if (bytes.read(magic.data(), 4) != 4) malformed("it ends within its first 4 bytes");
  if (magic[0] != 0 || magic[1] != 0)
    malformed("it must begin with two zero bytes, found ", int{magic[0]}, " ", int{magic[1]});
  type = static_cast<IdxType>(magic[2]);
  if (size_of(type) == 0)
    malformed("its third byte names no element type (8, 9, 11, 12, 13 or 14), found ", int{magic[2]});
  const int rank = magic[3];
  if (rank == 0) malformed("its fourth byte says that it has no dimensions");
  for (int d = 0; d < rank; ++d) {
    std::array<unsigned char, 4> size{};
    if (bytes.read(size.data(), 4) != 4) malformed("it ends within the sizes of its ", rank, " dimensions");
    shape.push_back(from_big_endian<std::uint32_t>(size.data()));
    if (shape.back() == 0) malformed("dimension ", d + 1, " of ", rank, " has size 0");
    if (__builtin_mul_overflow(elements, shape.back(), &elements) ||
        elements > std::numeric_limits<std::int64_t>::max() / 16) {
      malformed("its sizes ", text_of(shape), " multiply to more than can be addressed");
    }
  }
}

void IdxFile::State::check_size() const {
  const std::int64_t declared = elements * size_of(type);
  if (bytes.is_compressed()) {
    require(declared / kLargestExpansion <= bytes.file_bytes(), ErrorKind::data, bytes.path(),
            ": its header says ", text_of(shape), " values of ", name_of(type), " (", declared,
            " bytes), more than ", bytes.file_bytes(),
            " bytes of gzip data can hold: the header is wrong or the file is truncated");
    return;
  }
  const std::int64_t present = bytes.file_bytes() - 4 - 4 * static_cast<std::int64_t>(shape.size());
  require(declared == present, ErrorKind::data, bytes.path(), ": its header says ", text_of(shape),
          " values of ", name_of(type), " (", declared, " bytes), but ", present,
          " bytes follow it: the file is ", present < declared ? "truncated" : "longer than it says",
          "; fetch it again");
}

void IdxFile::State::begin_reading() {
  require(!was_read, ErrorKind::internal, bytes.path(), ": was read twice");
  was_read = true;
}

void IdxFile::State::read_exactly(void* out, std::int64_t wanted) {
  const std::int64_t got = bytes.read(out, wanted);
  require(got == wanted, ErrorKind::data, bytes.path(), ": is truncated: its header says ", text_of(shape),
          " values of ", name_of(type), ", but it ends ", wanted - got,
          " bytes or more before the last; fetch it again");
}

void IdxFile::State::check_end() {
  char extra = 0;
  require(bytes.read(&extra, 1) == 0, ErrorKind::data, bytes.path(), ": goes on after the ", text_of(shape),
          " values of ", name_of(type), " that its header says; fetch it again");
}

std::string IdxFile::State::place(std::int64_t element) const {
  const std::int64_t columns = elements / shape.front();
  return text(bytes.path(), ": row ", element / columns, ", column ", element % columns);
}

template <class Stored, class T>
void IdxFile::State::convert(T* values) {
  constexpr std::int64_t kBlock = 8192;
  std::vector<unsigned char> block(static_cast<std::size_t>(std::min(kBlock, elements)) * sizeof(Stored));
  for (std::int64_t begin = 0; begin < elements; begin += kBlock) {
    const std::int64_t count = std::min(kBlock, elements - begin);
    read_exactly(block.data(), count * static_cast<std::int64_t>(sizeof(Stored)));
    for (std::int64_t i = 0; i < count; ++i) {
      const Stored value =
          from_big_endian<Stored>(block.data() + i * static_cast<std::int64_t>(sizeof(Stored)));
      values[begin + i] = static_cast<T>(value);
      if constexpr (std::is_floating_point_v<Stored>) {
        require(std::isfinite(values[begin + i]), ErrorKind::data, place(begin + i), ": ", value,
                std::isfinite(value) ? " does not fit into a 32-bit float" : " is not a finite number");
      }
    }
  }
}

IdxFile::IdxFile(const std::string& path) : state_(std::make_unique<State>(path)) {
  state_->read_header();
  state_->check_size();
}
IdxFile::~IdxFile() = default;
IdxFile::IdxFile(IdxFile&&) noexcept = default;
IdxFile& IdxFile::operator=(IdxFile&&) noexcept = default;

const std::string& IdxFile::path() const { return state_->bytes.path(); }
IdxType IdxFile::type() const { return state_->type; }
const std::vector<std::int64_t>& IdxFile::shape() const { return state_->shape; }
std::int64_t IdxFile::elements() const { return state_->elements; }

void IdxFile::read(std::uint8_t* values) {
  require(type() == IdxType::uint8, ErrorKind::data, path(), ": holds ", name_of(type()),
          " where bytes were expected");
  state_->begin_reading();
  state_->read_exactly(values, state_->elements);
  state_->check_end();
}

void IdxFile::read(std::int32_t* values) {
  state_->begin_reading();
  switch (type()) {
    case IdxType::uint8:
      state_->convert<std::uint8_t>(values);
      break;
    case IdxType::int8:
      state_->convert<std::int8_t>(values);
      break;
    case IdxType::int16:
      state_->convert<std::int16_t>(values);
      break;
    case IdxType::int32:
      state_->convert<std::int32_t>(values);
      break;
    case IdxType::float32:
    case IdxType::float64:
      fail(ErrorKind::data, path(), ": holds ", name_of(type()), " where whole numbers were expected");
  }
  state_->check_end();
}

void IdxFile::read(float* values) {
  state_->begin_reading();
  switch (type()) {
    case IdxType::uint8:
      state_->convert<std::uint8_t>(values);
      break;
    case IdxType::int8:
      state_->convert<std::int8_t>(values);
      break;
    case IdxType::int16:
      state_->convert<std::int16_t>(values);
      break;
    case IdxType::int32:
      state_->convert<std::int32_t>(values);
      break;
    case IdxType::float32:
      state_->convert<float>(values);
      break;
    case IdxType::float64:
      state_->convert<double>(values);
      break;
  }
  state_->check_end();
}

}  // namespace trainer::data
