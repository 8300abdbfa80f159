// Points of a stream that can be asked after while it runs.
#pragma once

#include <cstddef>
#include <memory>

namespace weft {

/// Marks on one stream. Any thread may call.
class StreamMarks {
 public:
  using Mark = std::size_t;

  virtual ~StreamMarks() = default;

  /// Makes the stream's device the calling thread's.
  virtual void enter_thread() = 0;
  /// Marks the end of what the stream has been asked for so far.
  virtual Mark set() = 0;
  /// Whether the stream has come by. Throws Error when the device has failed.
  virtual bool passed(Mark mark) = 0;
  /// Nobody asks after the mark any more.
  virtual void give_back(Mark mark) = 0;
};

/// Marks on a CUDA stream (a cudaStream_t) of the calling thread's device; the stream must outlive
/// them. They are events, which are made when needed and kept for the next mark.
std::unique_ptr<StreamMarks> make_stream_marks(void* stream);

}  // namespace weft
