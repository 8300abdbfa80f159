#include "io/hdf5.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <numeric>

#include "base/error.h"
#include "io/file.h"

namespace weft::hdf5 {
namespace {

constexpr Bytes kAlignment = 4096;
constexpr std::size_t kNameCap = 512;

/// The library is not safe for threads: one call of this file's functions at a time.
std::mutex library;

/// The innermost entry of the library's error stack.
std::string library_reason() {
  std::string reason = "no reason given";
  const auto take = [](unsigned, const H5E_error2_t* entry, void* data) -> herr_t {
    if (entry->desc != nullptr) *static_cast<std::string*>(data) = entry->desc;
    return 1;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take, &reason);
  std::replace(reason.begin(), reason.end(), '\n', ' ');  // it quotes ctime
  if (reason.find("lock") != std::string::npos) {
    reason += " (set HDF5_USE_FILE_LOCKING=FALSE on file systems without locks)";
  }
  return reason;
}

void check(herr_t status, std::string_view what) {
  if (status < 0) fail("HDF5: {}: {}", what, library_reason());
}

/// Properties of access to a file, without file locking (Lustre and NFS often have none).
PropertyHandle access_properties() {
  PropertyHandle access(H5Pcreate(H5P_FILE_ACCESS), "file access properties");
#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 12, 0))
  check(H5Pset_file_locking(access.get(), 0, 1), "file locking");
#else
  ::setenv("HDF5_USE_FILE_LOCKING", "FALSE", 0);
#endif
  // Format 1.10 has checksums in all metadata; the earlier default has not.
  check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110), "library bounds");
  return access;
}

/// Room for the metadata of all datasets in one piece, so that they do not lie between raw data.
hsize_t metadata_size(std::span<const Dataset> datasets) {
  Bytes size = 16 << 10;
  for (const Dataset& dataset : datasets) {
    size += 1024 + 2 * dataset.name.size() + 16 * dataset.digests.size();
  }
  return std::min<Bytes>((size + kAlignment - 1) / kAlignment * kAlignment, Bytes{256} << 20);
}

FileHandle create_file(const std::filesystem::path& path, hsize_t metadata) {
  const PropertyHandle access = access_properties();
  check(H5Pset_alignment(access.get(), kAlignment, kAlignment), "alignment");
  check(H5Pset_meta_block_size(access.get(), metadata), "metadata block size");
  check(H5Pset_small_data_block_size(access.get(), 0), "small data block size");
  const PropertyHandle creation(H5Pcreate(H5P_FILE_CREATE), "file creation properties");
  check(H5Pset_obj_track_times(creation.get(), false), "times");
  make_way(path);
  return {H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation.get(), access.get()), path.string()};
}

FileHandle open_file(const std::filesystem::path& path, unsigned flags) {
  const PropertyHandle access = access_properties();
  const hid_t id = H5Fopen(path.c_str(), flags, access.get());
  if (id < 0) fail_user("{}: cannot be opened as HDF5: {}", path.string(), library_reason());
  return {id, path.string()};
}

void put_attribute(const DatasetHandle& dataset, const char* name, hid_t type,
                   std::initializer_list<hsize_t> extents, const void* values) {
  const SpaceHandle space(
      H5Screate_simple(static_cast<int>(extents.size()), extents.begin(), nullptr), name);
  const AttributeHandle attribute(
      H5Acreate2(dataset.get(), name, type, space.get(), H5P_DEFAULT, H5P_DEFAULT), name);
  check(H5Awrite(attribute.get(), type, values), name);
}

void put_text(const DatasetHandle& dataset, const char* name, std::string_view text) {
  const TypeHandle type(H5Tcopy(H5T_C_S1), name);
  check(H5Tset_size(type.get(), text.size()), name);
  check(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), name);
  const SpaceHandle space(H5Screate(H5S_SCALAR), name);
  const AttributeHandle attribute(
      H5Acreate2(dataset.get(), name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), name);
  check(H5Awrite(attribute.get(), type.get(), text.data()), name);
}

void create_dataset(const FileHandle& file, Dataset& dataset) {
  std::vector<hsize_t> extents(dataset.shape.begin(), dataset.shape.end());
  const SpaceHandle space(
      H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), dataset.name);
  const PropertyHandle creation(H5Pcreate(H5P_DATASET_CREATE), dataset.name);
  check(H5Pset_layout(creation.get(), H5D_CONTIGUOUS), dataset.name);
  check(H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY), dataset.name);
  check(H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER), dataset.name);
  check(H5Pset_obj_track_times(creation.get(), false), dataset.name);
  const TypeHandle type = float_type(dataset.dtype);
  const DatasetHandle handle(H5Dcreate2(file.get(), dataset.name.c_str(), type.get(), space.get(),
                                        H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                             dataset.name);
  const hsize_t dims = dataset.shape.size();
  put_attribute(handle, "global_shape", H5T_STD_I64LE, {dims}, dataset.global_shape.data());
  put_attribute(handle, "offset", H5T_STD_I64LE, {dims}, dataset.global_offset.data());
  put_text(handle, "dtype", name(dataset.dtype));
  put_attribute(handle, "digests", H5T_STD_U64LE, {dataset.digests.size(), 2},
                dataset.digests.data());
  const haddr_t offset = H5Dget_offset(handle.get());
  require(offset != HADDR_UNDEF, "HDF5: {} was not allocated", dataset.name);
  dataset.offset = offset;
}

// --- reading -------------------------------------------------------------------------------------

/// One attribute of exactly `count` elements of the given type, else UserError.
void get_attribute(const DatasetHandle& dataset, const char* name, hid_t type, std::size_t count,
                   void* values, std::string_view where) {
  const hid_t id = H5Aopen(dataset.get(), name, H5P_DEFAULT);
  if (id < 0) fail_user("{}: has no attribute '{}'", where, name);
  const AttributeHandle attribute(id, where);
  const TypeHandle found(H5Aget_type(attribute.get()), where);
  const SpaceHandle space(H5Aget_space(attribute.get()), where);
  const hssize_t points = H5Sget_simple_extent_npoints(space.get());
  if (points < 0 || static_cast<std::size_t>(points) != count || H5Tequal(found.get(), type) <= 0) {
    fail_user("{}: attribute '{}' has the wrong type or length", where, name);
  }
  check(H5Aread(attribute.get(), type, values), where);
}

std::string get_dtype_name(const DatasetHandle& dataset, std::size_t length,
                           std::string_view where) {
  const TypeHandle type(H5Tcopy(H5T_C_S1), where);
  check(H5Tset_size(type.get(), length), where);
  check(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), where);
  std::string text(length, '\0');
  get_attribute(dataset, "dtype", type.get(), 1, text.data(), where);
  return text;
}

/// The extents of a dataset; UserError unless there are one or two, and the bytes fit 63 bits.
std::vector<std::int64_t> shape_of(const DatasetHandle& dataset, std::string_view where) {
  const SpaceHandle space(H5Dget_space(dataset.get()), where);
  const int dims = H5Sget_simple_extent_ndims(space.get());
  if (dims < 1 || dims > 2) fail_user("{}: has {} dimensions instead of 1 or 2", where, dims);
  std::vector<hsize_t> extents(static_cast<std::size_t>(dims));
  check(H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr), where);
  std::vector<std::int64_t> shape;
  Bytes elements = 1;
  for (const hsize_t extent : extents) {
    Bytes product = 0;
    if (extent == 0 || __builtin_mul_overflow(elements, extent, &product) ||
        product > (Bytes{1} << 60)) {
      fail_user("{}: an extent of {} is out of range", where, extent);
    }
    elements = product;
    shape.push_back(static_cast<std::int64_t>(extent));
  }
  return shape;
}

Dataset read_dataset(const FileHandle& file, const std::string& name, Bytes file_size,
                     const std::string& path) {
  const std::string where = path + ": dataset " + name;
  const hid_t id = H5Dopen2(file.get(), name.c_str(), H5P_DEFAULT);
  if (id < 0) fail_user("{}: cannot be opened: {}", where, library_reason());
  const DatasetHandle handle(id, where);
  const PropertyHandle creation(H5Dget_create_plist(id), where);
  if (H5Pget_layout(creation.get()) != H5D_CONTIGUOUS ||
      H5Pget_external_count(creation.get()) != 0) {
    fail_user("{}: is not contiguous", where);
  }
  Dataset dataset;
  dataset.name = name;
  dataset.shape = shape_of(handle, where);
  dataset.dtype = dtype_of(TypeHandle(H5Dget_type(id), where), where);
  dataset.bytes =
      size_of(dataset.dtype) * std::accumulate(dataset.shape.begin(), dataset.shape.end(), Bytes{1},
                                               [](Bytes product, std::int64_t extent) {
                                                 return product * static_cast<Bytes>(extent);
                                               });
  const haddr_t offset = H5Dget_offset(id);
  if (offset == HADDR_UNDEF || offset > file_size || dataset.bytes > file_size - offset) {
    fail_user("{}: its {} bytes do not lie within the file's {}", where, dataset.bytes, file_size);
  }
  dataset.offset = offset;
  const std::size_t dims = dataset.shape.size();
  dataset.global_shape.resize(dims);
  dataset.global_offset.resize(dims);
  dataset.digests.resize((dataset.bytes + kDigestBlock - 1) / kDigestBlock);
  get_attribute(handle, "global_shape", H5T_STD_I64LE, dims, dataset.global_shape.data(), where);
  get_attribute(handle, "offset", H5T_STD_I64LE, dims, dataset.global_offset.data(), where);
  get_attribute(handle, "digests", H5T_STD_U64LE, 2 * dataset.digests.size(),
                dataset.digests.data(), where);
  const std::string_view type_name = weft::name(dataset.dtype);
  if (get_dtype_name(handle, type_name.size(), where) != type_name) {
    fail_user("{}: attribute 'dtype' disagrees with its type {}", where, type_name);
  }
  return dataset;
}

/// The names in the root group; UserError for links that are not plain.
std::vector<std::string> names_in(const FileHandle& file, const std::string& path) {
  struct Found {
    std::vector<std::string> names;
    bool plain = true;
  } found;
  const auto take = [](hid_t, const char* name, const H5L_info_t* info, void* data) -> herr_t {
    auto& found_so_far = *static_cast<Found*>(data);
    if (info->type != H5L_TYPE_HARD || std::strlen(name) > kNameCap) {
      found_so_far.plain = false;
      return 1;
    }
    try {
      found_so_far.names.emplace_back(name);
    } catch (...) {
      return -1;  // an exception must not pass through the library
    }
    return 0;
  };
  check(H5Literate(file.get(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, take, &found), path);
  if (!found.plain) fail_user("{}: holds links that weft does not write", path);
  return found.names;
}

std::vector<Dataset> datasets_of(const std::filesystem::path& path,
                                 const std::function<void()>& each) {
  const FileHandle file = open_file(path, H5F_ACC_RDONLY);
  hsize_t size = 0;
  check(H5Fget_filesize(file.get(), &size), path.string());
  std::vector<Dataset> datasets;
  for (const std::string& name : names_in(file, path.string())) {
    if (each) each();
    datasets.push_back(read_dataset(file, name, size, path.string()));
  }
  std::sort(datasets.begin(), datasets.end(),
            [](const Dataset& a, const Dataset& b) { return a.offset < b.offset; });
  return datasets;
}

}  // namespace

static_assert(sizeof(Digest) == 16, "digests are written as pairs of 64-bit words");

void fail_library(std::string_view what) { fail("HDF5: {}: {}", what, library_reason()); }

Silence::Silence() {
  H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Silence::~Silence() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }

TypeHandle float_type(DType dtype) {
  require(dtype == DType::f32 || dtype == DType::bf16, "no HDF5 type for {}", weft::name(dtype));
  TypeHandle type(H5Tcopy(H5T_IEEE_F32LE), "copy of the f32 type");
  if (dtype == DType::bf16) {
    check(H5Tset_fields(type.get(), 15, 7, 8, 0, 7), "bf16 fields");
    check(H5Tset_precision(type.get(), 16), "bf16 precision");
    check(H5Tset_size(type.get(), 2), "bf16 size");
    check(H5Tset_ebias(type.get(), 127), "bf16 bias");
  }
  return type;
}

DType dtype_of(const TypeHandle& type, std::string_view where) {
  const std::size_t size = H5Tget_size(type.get());
  for (const DType dtype : {DType::bf16, DType::f32}) {
    if (size != size_of(dtype)) continue;
    // Equality covers class, size, order, offset, precision, sign, exponent and mantissa fields.
    if (H5Tequal(type.get(), float_type(dtype).get()) > 0) return dtype;
  }
  fail_user("{}: its element type is neither bf16 nor f32", where);
}

void create(const std::filesystem::path& path, std::span<Dataset> datasets) {
  const std::lock_guard lock(library);
  const Silence silence;
  for (Dataset& dataset : datasets) {
    dataset.bytes = size_of(dataset.dtype);
    for (const std::int64_t extent : dataset.shape) dataset.bytes *= static_cast<Bytes>(extent);
    dataset.digests.assign((dataset.bytes + kDigestBlock - 1) / kDigestBlock, Digest{});
  }
  FileHandle file = create_file(path, metadata_size(datasets));
  for (Dataset& dataset : datasets) create_dataset(file, dataset);
  file.close(path.string());
}

void write_digests(const std::filesystem::path& path, std::span<const Dataset> datasets) {
  const std::lock_guard lock(library);
  const Silence silence;
  FileHandle file = open_file(path, H5F_ACC_RDWR);
  for (const Dataset& dataset : datasets) {
    const DatasetHandle handle(H5Dopen2(file.get(), dataset.name.c_str(), H5P_DEFAULT),
                               dataset.name);
    const AttributeHandle attribute(H5Aopen(handle.get(), "digests", H5P_DEFAULT), dataset.name);
    check(H5Awrite(attribute.get(), H5T_STD_U64LE, dataset.digests.data()), dataset.name);
  }
  file.close(path.string());
}

std::vector<Dataset> list(const std::filesystem::path& path, const std::function<void()>& each) {
  const std::lock_guard lock(library);
  const Silence silence;
  try {
    return datasets_of(path, each);
  } catch (const Error& error) {
    fail_user("{}: {}", path.string(), error.what());  // what the library does not like is the file
  }
}

}  // namespace weft::hdf5
