#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <set>
#include <system_error>

#include "table_state.h"

namespace trainer::h5 {

namespace {

constexpr int kMostHops = 16;
constexpr std::size_t kLongestLink = 64 * 1024;
constexpr std::size_t kMostVisited = 100'000;
constexpr int kDeepest = 64;

Handle root_of(hid_t object, const std::string& place) {
  return {checked(H5Gopen2(object, "/", H5P_DEFAULT), place, ": has no readable root group"), H5Oclose};
}

void prepend(std::deque<std::string>& names, const std::string& path) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin && path.substr(begin, end - begin) != ".")
      parts.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  names.insert(names.begin(), parts.begin(), parts.end());
}

std::string soft_target(hid_t group, const std::string& name, const H5L_info_t& link,
                        const std::string& place) {
  require(link.u.val_size <= kLongestLink, ErrorKind::data, place, ": its soft link is longer than ",
          kLongestLink, " bytes");
  std::string target(link.u.val_size, '\0');
  checked(H5Lget_val(group, name.c_str(), target.data(), target.size(), H5P_DEFAULT), place,
          ": cannot be read");
  return target.c_str();
}

/// What `path` leads to; an identifier of -1 when there is no such thing. Links are followed one by one, so
/// that none leaves the file unseen.
Handle find(const TableFile::State& file, const std::string& path) {
  const std::string place = text(file.name, ": ", path);
  std::deque<std::string> names;
  prepend(names, path);
  Handle object = root_of(file.file, file.name);
  for (int hops = 0; !names.empty();) {
    const std::string name = names.front();
    names.pop_front();
    if (H5Iget_type(object) != H5I_GROUP ||
        checked(H5Lexists(object, name.c_str(), H5P_DEFAULT), place, ": cannot be read") == 0)
      return {-1, H5Oclose};
    H5L_info_t link;
    checked(H5Lget_info(object, name.c_str(), &link, H5P_DEFAULT), place, ": cannot be read");
    if (link.type == H5L_TYPE_SOFT) {
      require(++hops <= kMostHops, ErrorKind::data, place, ": more than ", kMostHops,
              " soft links lead on, in a circle perhaps");
      const std::string target = soft_target(object, name, link, place);
      prepend(names, target);
      if (target.starts_with('/')) object = root_of(object, place);
      continue;
    }
    require(link.type == H5L_TYPE_HARD || file.links == Links::anywhere, ErrorKind::data, place,
            ": is a link that leads to another file; say --follow-links to allow that");
    object = Handle(checked(H5Oopen(object, name.c_str(), H5P_DEFAULT), place, ": cannot be read"), H5Oclose);
  }
  return object;
}

bool has_member(hid_t data, const std::string& member) {
  const Handle type(H5Dget_type(data), H5Tclose);
  const bool found = type >= 0 && H5Tget_class(type) == H5T_COMPOUND && !member.empty() &&
                     H5Tget_member_index(type, member.c_str()) >= 0;
  H5Eclear2(H5E_DEFAULT);
  return found;
}

struct Found {
  Handle data;
  std::string member;
};

/// The data set that `path` names, or the one of "table:member".
Found find_data(const TableFile::State& file, const std::string& path) {
  Handle data = find(file, path);
  if (data >= 0 && H5Iget_type(data) == H5I_DATASET) return {std::move(data), ""};
  const std::size_t colon = path.rfind(':');
  if (colon != std::string::npos) {
    data = find(file, path.substr(0, colon));
    std::string member = path.substr(colon + 1);
    if (data >= 0 && H5Iget_type(data) == H5I_DATASET && has_member(data, member))
      return {std::move(data), std::move(member)};
  }
  return {Handle(-1, H5Oclose), ""};
}

struct Names {
  std::vector<std::string> list;
  std::size_t most;
};

herr_t collect_name(hid_t, const char* name, const H5L_info_t* link, void* out) {
  auto& names = *static_cast<Names*>(out);
  if (link->type != H5L_TYPE_HARD) return 0;  // where it leads is listed, or outside
  if (names.list.size() >= names.most) return 1;
  try {
    names.list.emplace_back(name);
  } catch (...) {  // nothing may be thrown through C
    return -1;
  }
  return 0;
}

bool is_dimension_scale(hid_t data) {
  const bool is = H5Aexists(data, "CLASS") > 0 &&
                  (H5Aexists(data, "REFERENCE_LIST") > 0 || H5Aexists(data, "_Netcdf4Dimid") > 0);
  H5Eclear2(H5E_DEFAULT);
  return is;
}

std::vector<std::string> members_of(hid_t type) {
  std::vector<std::string> members;
  const int count = std::min(H5Tget_nmembers(type), 100);
  for (int i = 0; i < count; ++i) {
    char* const name = H5Tget_member_name(type, static_cast<unsigned>(i));
    if (name != nullptr) members.emplace_back(name);
    H5free_memory(name);
  }
  return members;
}

class Listing {
 public:
  Listing(std::shared_ptr<const TableFile::State> file, std::size_t most)
      : file_(std::move(file)), most_(most) {}

  void visit(hid_t object, const std::string& path, int depth) {
    H5O_info_t info;
    checked(H5Oget_info2(object, &info, H5O_INFO_BASIC), file_->name, ": ", path, ": cannot be read");
    if (met_.size() >= kMostVisited || depth > kDeepest || !met_.insert(info.addr).second) return;
    if (H5Iget_type(object) == H5I_DATASET && !is_dimension_scale(object)) add(path);
    if (H5Iget_type(object) == H5I_GROUP) visit_children(object, path, depth);
  }
  std::vector<TableFacts> take() { return std::move(found_); }

 private:
  void visit_children(hid_t group, const std::string& path, int depth) {
    Names names{{}, kMostVisited};
    hsize_t next = 0;
    checked(H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &next, collect_name, &names), file_->name, ": ",
            path, ": cannot be listed");
    require_printable(names.list, text(file_->name, ": ", path));
    for (const std::string& name : names.list) {
      if (found_.size() >= most_) return;
      const std::string child_path = path == "/" ? path + name : path + '/' + name;
      const Handle child(H5Oopen(group, name.c_str(), H5P_DEFAULT), H5Oclose);
      if (child >= 0) visit(child, child_path, depth + 1);
    }
  }

  void add(const std::string& path) {
    const TableFacts whole = facts_of(path, "");
    std::vector<std::string> members;
    if (whole.type == "compound") {
      const Handle data = find(*file_, path);
      const Handle type(H5Dget_type(data), H5Tclose);
      members = members_of(type);
      require_printable(members, text(file_->name, ": ", path));
    }
    if (members.empty()) found_.push_back(whole);
    for (const std::string& member : members) {
      if (found_.size() < most_) found_.push_back(facts_of(path, member));
    }
  }

  TableFacts facts_of(const std::string& path, const std::string& member) const {
    Table::State table;
    table.file = file_;
    table.facts.path = member.empty() ? path : path + ':' + member;
    table.place = text(file_->name, ": ", path);
    table.member = member;
    table.data = find(*file_, path);
    describe(table);
    return table.facts;
  }

  std::shared_ptr<const TableFile::State> file_;
  std::size_t most_;
  std::set<haddr_t> met_;
  std::vector<TableFacts> found_;
};

}  // namespace

Stamp stamp_of(const TableFile::State& file) {
  void* descriptor = nullptr;
  checked(H5Fget_vfd_handle(file.file, H5P_DEFAULT, &descriptor), file.name,
          ": cannot be asked for its state");
  struct stat facts {};
  require(fstat(*static_cast<const int*>(descriptor), &facts) == 0, ErrorKind::data, file.name,
          ": cannot be asked for its state: ", std::strerror(errno));
  return {facts.st_size, std::int64_t{facts.st_mtim.tv_sec} * 1'000'000'000 + facts.st_mtim.tv_nsec};
}

TableFile::TableFile(std::shared_ptr<State> state) : state_(std::move(state)) {}

const std::string& TableFile::name() const { return state_->name; }
std::int64_t TableFile::file_bytes() const { return state_->file_bytes; }

TableFile TableFile::open(const std::filesystem::path& path, Links links) {
  auto state = std::make_shared<State>();
  state->name = path.string();
  state->folder = path.parent_path();
  state->links = links;
  state->file_bytes = size_of_file(path);

  const Inside inside;
  const Handle access(checked(H5Pcreate(H5P_FILE_ACCESS), "no file access list"), H5Pclose);
#if H5_VERSION_GE(1, 10, 7)
  checked(H5Pset_file_locking(access, false, true), "file access list");
#endif
  state->file =
      Handle(checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access), state->name,
                     ": is not an HDF5 file, or a damaged or truncated one; write or fetch it again"),
             H5Fclose);
  state->modified = stamp_of(*state).modified;
  return TableFile(std::move(state));
}

bool TableFile::has(const std::string& path) const {
  const Inside inside;
  return find_data(*state_, path).data >= 0;
}

Table TableFile::table(const std::string& path) const {
  const Inside inside;
  auto table = std::make_unique<Table::State>();
  table->file = state_;
  table->facts.path = path;
  table->place = text(state_->name, ": ", path);
  Found found = find_data(*state_, path);
  require(found.data >= 0, ErrorKind::data, state_->name, ": has no data set ", path);
  table->data = std::move(found.data);
  table->member = std::move(found.member);
  describe(*table);
  require_readable(*table);
  read_conventions(*table);
  return Table(std::move(table));
}

std::vector<TableFacts> TableFile::list(std::size_t most) const {
  const Inside inside;
  Listing listing(state_, most);
  listing.visit(root_of(state_->file, state_->name), "/", 0);
  std::vector<TableFacts> found = listing.take();
  std::sort(found.begin(), found.end(),
            [](const TableFacts& a, const TableFacts& b) { return a.path < b.path; });
  return found;
}

}  // namespace trainer::h5
