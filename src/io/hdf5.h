// HDF5 files with dense tensors: RAII handles, element types, attributes.
//
// Metadata go through the library, raw data never do: a dataset is contiguous, allocated when it is
// created, and its bytes are read and written at `Dataset::offset` with plain pread and pwrite.
// The library is serial: `create`, `write_digests` and `list` wait for one another.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/dtype.h"
#include "base/types.h"

namespace weft::hdf5 {

/// Bytes of raw data under one digest.
inline constexpr Bytes kDigestBlock = Bytes{1} << 20;

/// Throws Error with `what` and the library's own reason.
[[noreturn]] void fail_library(std::string_view what);

/// Owner of an HDF5 identifier; `Close` is its family's close function.
template <herr_t (*Close)(hid_t)>
class Handle {
 public:
  Handle() = default;
  /// Takes `id`. Throws Error naming `what`, with the library's reason, when it is negative.
  Handle(hid_t id, std::string_view what) : id_(id) {
    if (id_ < 0) fail_library(what);
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (id_ >= 0) Close(id_);
  }

  [[nodiscard]] hid_t get() const { return id_; }
  /// Closes now; throws Error when that fails (for a file: what was buffered was not written).
  void close(std::string_view what) {
    if (Close(std::exchange(id_, -1)) < 0) fail_library(what);
  }

 private:
  hid_t id_ = -1;
};

using FileHandle = Handle<H5Fclose>;
using DatasetHandle = Handle<H5Dclose>;
using SpaceHandle = Handle<H5Sclose>;
using TypeHandle = Handle<H5Tclose>;
using AttributeHandle = Handle<H5Aclose>;
using PropertyHandle = Handle<H5Pclose>;

/// While it lives the library prints no error stacks.
class Silence {
 public:
  Silence();
  ~Silence();
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

/// The little-endian file type of bf16 or f32. bf16 is a 16-bit float with 8 exponent bits, which
/// h5py and h5dump read as a float.
TypeHandle float_type(DType dtype);

/// The element type of a dataset. Throws UserError unless class, size, byte order and bit fields
/// are those of bf16 or f32.
DType dtype_of(const TypeHandle& type, std::string_view where);

/// Where a dataset lies and what it is.
struct Dataset {
  std::string name;
  std::vector<std::int64_t> shape;
  DType dtype = DType::f32;
  Bytes offset = 0;  ///< of its first byte in the file
  Bytes bytes = 0;
  std::vector<std::int64_t> global_shape;   ///< of the whole tensor
  std::vector<std::int64_t> global_offset;  ///< of this dataset's first element in it
  std::vector<Digest> digests;              ///< one for each MiB of the raw bytes
};

/// Creates a new file in the format of HDF5 1.10, whose metadata carry checksums, with the given
/// datasets: contiguous, allocated but not filled, those of 4 KiB and more on 4 KiB boundaries.
/// Writes all attributes, `digests` as zeros; fills in `offset` and `bytes` of each. The file holds
/// no times, so equal contents give equal bytes. Throws Error.
void create(const std::filesystem::path& path, std::span<Dataset> datasets);

/// Writes the `digests` attributes of a file made by `create`. Throws Error.
void write_digests(const std::filesystem::path& path, std::span<const Dataset> datasets);

/// All datasets of a file, with their attributes, sorted by offset. The file is opened without
/// file locking. Throws UserError naming file and dataset when anything is not as `create` makes
/// it: another class or layout, missing attributes, extents beyond the file's end. `each`, when
/// given, is called before each dataset is looked at; what it throws is passed on.
std::vector<Dataset> list(const std::filesystem::path& path,
                          const std::function<void()>& each = nullptr);

}  // namespace weft::hdf5
