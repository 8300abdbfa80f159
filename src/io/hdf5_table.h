// Tables in HDF5 files: datasets of rows with named columns.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"

namespace weft::hdf5 {

enum class ColumnType { i32, i64, f64 };

struct Column {
  std::string name;
  ColumnType type = ColumnType::f64;
  Bytes offset = 0;  ///< of the value in its row
  /// Names of the values 0, 1, …, of an i32 column; empty: numbers.
  std::vector<std::string> names;
};

struct Table {
  std::string name;
  std::vector<Column> columns;
  Bytes row_bytes = 0;
  std::int64_t rows = 0;
  Bytes offset = 0;  ///< of the first row in the file; meaningful when there are rows
};

/// Creates a file with a contiguous dataset of a compound type for each table, little-endian as the
/// machine is, allocated but not filled: the rows' bytes are to be written at `offset`, which is
/// filled in. Throws Error.
void create_tables(const std::filesystem::path& path, std::span<Table> tables);

}  // namespace weft::hdf5
