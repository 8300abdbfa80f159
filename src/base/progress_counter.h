// Signs of life: what this process counts while it gets on, for those who watch it.
#pragma once

#include <cstdint>

namespace weft {

enum class Phase : std::uint8_t;

/// Something has got done: a pass over weights, a piece of a file, some lines. For the main thread
/// and those that work for it, not for threads that go on when it hangs. Costs one atomic addition.
void count_progress();
/// The same, and the main thread is now in that phase.
void count_progress(Phase phase);

/// How often `count_progress` was called so far. Any thread may ask.
std::int64_t progress_count();
/// The phase of the latest beat that told one; `other` before.
Phase latest_phase();

}  // namespace weft
