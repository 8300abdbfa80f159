// What an output directory holds beside the rows: nothing that a run would fail at in its end.
#pragma once

#include <filesystem>
#include <string>

namespace weft {

/// Creates OUT/journal where it is missing. Throws UserError when that is impossible, and when
/// anything stands where a run writes a file or a folder and is none, or is a symbolic link through
/// which it would write: found before a request is computed.
void prepare_output_directory(const std::filesystem::path& output);

/// Removes the half-written files of killed runs. The directory must be locked.
void remove_half_written(const std::filesystem::path& output);

/// Whether the name is `stem`, or `stem`-N with digits only, and ends in `extension`, as the files
/// of replicas do: "part-0003.jsonl".
bool is_numbered_name(const std::string& name, const std::string& stem,
                      const std::string& extension);

}  // namespace weft
