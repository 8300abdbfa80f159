#include "model/files/crash_guard.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/error.h"
#include "io/file.h"
#include "io/hdf5.h"
#include "model/files/shard_file.h"

namespace weft {
namespace {

constexpr unsigned kSeconds = 60;

/// In the child; does not return.
[[noreturn]] void open_and_exit(const std::function<void()>& open) {
  const rlimit no_core = {0, 0};
  (void)::setrlimit(RLIMIT_CORE, &no_core);
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM}) {
    (void)std::signal(number, SIG_DFL);
  }
  ::alarm(kSeconds);
  try {
    open();
  } catch (...) {
    // The caller finds it, too, and says what it is.
  }
  ::_exit(0);
}

/// Whether the file is the one that the manifest describes, as ShardReader looks at it.
bool is_described(const std::filesystem::path& path, const ShardFile& shard) {
  try {
    const File file = File::open_read(path);
    return file.size() == shard.bytes &&
           digest_of_extents(file, shard.metadata) == shard.metadata_digest;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

void try_apart(const std::filesystem::path& path, const std::function<void()>& open) {
  const pid_t child = ::fork();
  if (child < 0) fail("fork: {}", errno_text());
  if (child == 0) open_and_exit(open);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) fail("waitpid: {}", errno_text());
  }
  if (!WIFSIGNALED(status)) return;
  if (WTERMSIG(status) == SIGALRM) {
    fail_user(
        "{}: the HDF5 library does not get done with it within {} s: the file is damaged, or "
        "made to do harm",
        path.string(), kSeconds);
  }
  fail_user("{}: the HDF5 library crashes on it ({}): the file is damaged, or made to do harm",
            path.string(), ::strsignal(WTERMSIG(status)));
}

void try_shards_apart(const std::filesystem::path& directory, const Manifest& manifest) {
  for (const ShardFile& shard : manifest.shards) {
    const std::filesystem::path path = directory / shard.name();
    if (is_described(path, shard)) try_apart(path, [&] { hdf5::list(path); });
  }
}

}  // namespace weft
