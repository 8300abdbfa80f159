#include "io/hdf5_table.h"

#include "base/error.h"
#include "io/file.h"
#include "io/hdf5.h"

namespace weft::hdf5 {
namespace {

constexpr Bytes kMetadata = Bytes{32} << 10;  ///< in one piece, ahead of the rows

void check_status(herr_t status, std::string_view what) {
  if (status < 0) fail_library(what);
}

TypeHandle type_of(const Column& column) {
  const hid_t number = column.type == ColumnType::f64   ? H5T_NATIVE_DOUBLE
                       : column.type == ColumnType::i64 ? H5T_NATIVE_INT64
                                                        : H5T_NATIVE_INT32;
  if (column.names.empty()) return {H5Tcopy(number), column.name};
  require(column.type == ColumnType::i32, "column {} has names but no i32", column.name);
  TypeHandle type(H5Tenum_create(number), column.name);
  for (std::int32_t value = 0; value < static_cast<std::int32_t>(column.names.size()); ++value) {
    const std::string& name = column.names[static_cast<std::size_t>(value)];
    check_status(H5Tenum_insert(type.get(), name.c_str(), &value), column.name);
  }
  return type;
}

TypeHandle row_type(const Table& table) {
  TypeHandle row(H5Tcreate(H5T_COMPOUND, table.row_bytes), table.name);
  for (const Column& column : table.columns) {
    check_status(H5Tinsert(row.get(), column.name.c_str(), column.offset, type_of(column).get()),
                 column.name);
  }
  return row;
}

void create_table(const FileHandle& file, Table& table) {
  const auto rows = static_cast<hsize_t>(table.rows);
  const SpaceHandle space(H5Screate_simple(1, &rows, nullptr), table.name);
  const PropertyHandle creation(H5Pcreate(H5P_DATASET_CREATE), table.name);
  check_status(H5Pset_layout(creation.get(), H5D_CONTIGUOUS), table.name);
  check_status(H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY), table.name);
  check_status(H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER), table.name);
  check_status(H5Pset_obj_track_times(creation.get(), false), table.name);
  const TypeHandle type = row_type(table);
  const DatasetHandle handle(H5Dcreate2(file.get(), table.name.c_str(), type.get(), space.get(),
                                        H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                             table.name);
  if (rows == 0) return;  // nothing is allocated
  const haddr_t offset = H5Dget_offset(handle.get());
  require(offset != HADDR_UNDEF, "HDF5: {} was not allocated", table.name);
  table.offset = offset;
}

}  // namespace

void create_tables(const std::filesystem::path& path, std::span<Table> tables) {
  const Silence silence;
  const PropertyHandle access(H5Pcreate(H5P_FILE_ACCESS), "file access properties");
#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 12, 0))
  check_status(H5Pset_file_locking(access.get(), 0, 1), "file locking");
#endif
  check_status(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110),
               "library bounds");
  check_status(H5Pset_meta_block_size(access.get(), kMetadata), "metadata block size");
  make_way(path);
  FileHandle file(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access.get()), path.string());
  for (Table& table : tables) create_table(file, table);
  file.close(path.string());
}

}  // namespace weft::hdf5
