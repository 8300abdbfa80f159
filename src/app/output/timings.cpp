#include "app/output/timings.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <span>
#include <system_error>
#include <utility>

#include "app/output/output_directory.h"
#include "base/error.h"
#include "base/progress_counter.h"
#include "io/hdf5_table.h"

namespace weft {
namespace {

using Path = std::filesystem::path;
using hdf5::ColumnType;
using hdf5::Table;

constexpr std::size_t kBuffer = std::size_t{64} << 10;
constexpr Bytes kCopyPiece = Bytes{1} << 20;

Path folder_of(const Path& output) { return output / "journal" / "timings"; }

/// Opens a file of records of `record` bytes for appending, cut to whole ones.
File open_records(const Path& path, Bytes record) {
  std::error_code failed;
  std::filesystem::create_directories(path.parent_path(), failed);
  if (failed) fail_user("{}: cannot be created: {}", path.parent_path().string(), failed.message());
  File file = File::open_append(path);
  const Bytes torn = file.size() % record;
  if (torn != 0) file.truncate(file.size() - torn);
  return file;
}

/// The files of one kind of record, sorted by name. Other files are nobody's concern.
std::vector<Path> files_of(const Path& output, const std::string& kind) {
  std::vector<Path> files;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(folder_of(output), missing)) {
    if (is_numbered_name(entry.path().filename().string(), kind, ".bin")) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Bytes of whole records in a file.
Bytes whole(const File& file, Bytes record) { return file.size() / record * record; }

Table request_table() {
  using R = RequestTiming;
  return {
      .name = "requests",
      .columns = {{"run", ColumnType::i32, offsetof(R, run), {}},
                  {"replica", ColumnType::i32, offsetof(R, replica), {}},
                  {"index", ColumnType::i64, offsetof(R, index), {}},
                  {"queued", ColumnType::f64, offsetof(R, queued), {}},
                  {"first_token", ColumnType::f64, offsetof(R, first_token), {}},
                  {"finished", ColumnType::f64, offsetof(R, finished), {}},
                  {"prompt_tokens", ColumnType::i64, offsetof(R, prompt_tokens), {}},
                  {"completion_tokens", ColumnType::i64, offsetof(R, completion_tokens), {}},
                  {"cached_prompt_tokens", ColumnType::i64, offsetof(R, cached_prompt_tokens), {}},
                  {"finish_reason",
                   ColumnType::i32,
                   offsetof(R, finish_reason),
                   {std::string(name(FinishReason::stop)),
                    std::string(name(FinishReason::length))}}},
      .row_bytes = sizeof(R)};
}

Table step_table() {
  using S = StepTiming;
  Table table{.name = "steps",
              .columns = {{"run", ColumnType::i32, offsetof(S, run), {}},
                          {"replica", ColumnType::i32, offsetof(S, replica), {}},
                          {"start", ColumnType::f64, offsetof(S, start), {}},
                          {"seconds", ColumnType::f64, offsetof(S, seconds), {}},
                          {"prefill_rows", ColumnType::i32, offsetof(S, prefill_rows), {}},
                          {"decode_rows", ColumnType::i32, offsetof(S, decode_rows), {}},
                          {"sequences", ColumnType::i32, offsetof(S, sequences), {}}},
              .row_bytes = sizeof(S)};
  Bytes offset = offsetof(S, phases);
  for (std::size_t i = 0; i < kStepPhases; ++i) {
    table.columns.push_back({phase_columns()[i].name, ColumnType::f64, offset, {}});
    offset += sizeof(double);
  }
  return table;
}

Table run_table() {
  using R = RunTiming;
  return {.name = "runs",
          .columns = {{"run", ColumnType::i32, offsetof(R, run), {}},
                      {"started", ColumnType::f64, offsetof(R, started), {}},
                      {"seconds", ColumnType::f64, offsetof(R, seconds), {}},
                      {"ranks", ColumnType::i32, offsetof(R, ranks), {}},
                      {"tp", ColumnType::i32, offsetof(R, tp), {}},
                      {"pp", ColumnType::i32, offsetof(R, pp), {}},
                      {"sp", ColumnType::i32, offsetof(R, sp), {}},
                      {"ep", ColumnType::i32, offsetof(R, ep), {}},
                      {"dp", ColumnType::i32, offsetof(R, dp), {}}},
          .row_bytes = sizeof(R)};
}

Table expert_table() {
  using E = ExpertTiming;
  return {.name = "experts",
          .columns = {{"run", ColumnType::i32, offsetof(E, run), {}},
                      {"layer", ColumnType::i32, offsetof(E, layer), {}},
                      {"expert", ColumnType::i32, offsetof(E, expert), {}},
                      {"tokens", ColumnType::i64, offsetof(E, tokens), {}}},
          .row_bytes = sizeof(E)};
}

/// The files of one table. They are opened one after the other: there may be more than a process
/// can have open.
struct TableFiles {
  std::vector<Path> paths;
  std::vector<Bytes> sizes;  ///< of whole records
};

/// Copies whole records of `files` to `offset` of `target`.
void copy_records(const TableFiles& files, const File& target, Bytes offset) {
  std::vector<std::byte> piece;
  for (std::size_t i = 0; i < files.paths.size(); ++i) {
    const File file = File::open_read(files.paths[i]);
    const Bytes size = files.sizes[i];
    for (Bytes at = 0; at < size; at += piece.size()) {
      piece.resize(std::min(kCopyPiece, size - at));
      count_progress();
      file.pread_all(piece, at);
      target.pwrite_all(piece, offset + at);
    }
    offset += size;
  }
}

}  // namespace

double PhaseColumn::of(const PhaseSeconds& seconds) const {
  double sum = 0;
  for (const Phase phase : phases) sum += seconds[static_cast<std::size_t>(phase)];
  return sum;
}

const std::vector<PhaseColumn>& phase_columns() {
  static const std::vector<PhaseColumn> all = {
      {"forward", {Phase::prefill, Phase::mixed, Phase::decode}},
      {"attention", {Phase::attention}},
      {"ffn", {Phase::ffn}},
      {"communication", {Phase::communication}},
      {"logits", {Phase::logits}},
      {"sampling", {Phase::sampling}},
      {"output", {Phase::output}},
      {"bubble", {Phase::bubble}},
      {"waiting", {Phase::waiting}},
      {"other", {Phase::other}},
      {"load", {Phase::load}}};
  return all;
}

StepClock::StepClock(const Tracer& tracer, const RunStart& run)
    : tracer_(tracer),
      run_(run),
      start_(run.seconds_at(tracer.charged_until())),
      phases_(tracer.seconds()) {}

StepTiming StepClock::next(const EngineStats& stats, int replica) {
  const PhaseSeconds now = tracer_.seconds();
  StepTiming step;
  step.start = start_;
  for (std::size_t i = 0; i < kStepPhases; ++i) {
    step.phases[i] = phase_columns()[i].of(now) - phase_columns()[i].of(phases_);
    step.seconds += step.phases[i];
  }
  step.run = run_.number;
  step.replica = replica;
  step.prefill_rows = static_cast<std::int32_t>(stats.prefill_tokens - stats_.prefill_tokens);
  step.decode_rows = static_cast<std::int32_t>(stats.decode_tokens - stats_.decode_tokens);
  step.sequences = static_cast<std::int32_t>(stats.slices - stats_.slices);
  start_ = run_.seconds_at(tracer_.charged_until());
  phases_ = now;
  stats_ = stats;
  return step;
}

TimingLog::TimingLog(const Path& output_dir, int replica)
    : requests_{open_records(folder_of(output_dir) / fmt::format("requests-{:04}.bin", replica),
                             sizeof(RequestTiming)),
                {}},
      steps_{open_records(folder_of(output_dir) / fmt::format("steps-{:04}.bin", replica),
                          sizeof(StepTiming)),
             {}} {}

void TimingLog::append(Stream& stream, const void* record, std::size_t bytes) {
  stream.buffer.append(static_cast<const char*>(record), bytes);
  if (stream.buffer.size() < kBuffer) return;
  stream.file.write_all(std::as_bytes(std::span(stream.buffer)));
  stream.buffer.clear();
}

void TimingLog::add(const RequestTiming& request) { append(requests_, &request, sizeof request); }

void TimingLog::add(const StepTiming& step) { append(steps_, &step, sizeof step); }

void TimingLog::flush() {
  for (Stream* stream : {&requests_, &steps_}) {
    stream->file.write_all(std::as_bytes(std::span(stream->buffer)));
    stream->buffer.clear();
  }
}

RunsTotal total_of_runs(const Path& output_dir) {
  RunsTotal total;
  const Path path = folder_of(output_dir) / "runs.bin";
  if (!is_there(path)) return total;
  const File file = File::open_read(path);
  std::vector<RunTiming> runs(file.size() / sizeof(RunTiming));
  file.pread_all(std::as_writable_bytes(std::span(runs)), 0);
  for (const RunTiming& run : runs) {
    ++total.runs;
    if (run.seconds == 0) ++total.killed;
    total.seconds += run.seconds;
  }
  return total;
}

RunLog::RunLog(const Path& output_dir, const Layout& layout)
    : file_(open_records(folder_of(output_dir) / "runs.bin", sizeof(RunTiming))) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  run_ = {.started = std::chrono::duration<double>(now).count(),
          .seconds = 0,
          .run = static_cast<std::int32_t>(file_.size() / sizeof(RunTiming)) + 1,
          .ranks = static_cast<std::int32_t>(layout.replica_size() * layout.dp),
          .tp = layout.tp,
          .pp = layout.pp,
          .sp = layout.sp,
          .ep = layout.ep,
          .dp = layout.dp};
  file_.write_all(std::as_bytes(std::span(&run_, 1)));
}

void RunLog::end(double seconds, const std::vector<ExpertLoad>& experts) {
  std::vector<ExpertTiming> records;
  for (const ExpertLoad& load : experts) {
    for (std::size_t expert = 0; expert < load.tokens.size(); ++expert) {
      records.push_back({.tokens = load.tokens[expert],
                         .run = run_.run,
                         .layer = static_cast<std::int32_t>(load.layer),
                         .expert = static_cast<std::int32_t>(expert)});
    }
  }
  if (!records.empty()) {
    const auto path = std::filesystem::path(file_.path()).replace_filename("experts.bin");
    open_records(path, sizeof(ExpertTiming)).write_all(std::as_bytes(std::span(records)));
  }
  run_.seconds = seconds;
  // Not through file_: a positioned write to a file opened for appending goes to its end.
  const File file = File::open_update(file_.path());
  file.pwrite_all(std::as_bytes(std::span(&run_, 1)),
                  static_cast<Bytes>(run_.run - 1) * sizeof(RunTiming));
}

void visit_requests(const Path& output_dir,
                    const std::function<void(const RequestTiming&)>& visit) {
  std::vector<RequestTiming> piece;
  for (const Path& path : files_of(output_dir, "requests")) {
    const File file = File::open_read(path);
    const Bytes count = file.size() / sizeof(RequestTiming);
    for (Bytes at = 0; at < count; at += piece.size()) {
      count_progress();
      piece.resize(std::min(kCopyPiece / sizeof(RequestTiming), count - at));
      file.pread_all(std::as_writable_bytes(std::span(piece)), at * sizeof(RequestTiming));
      for (const RequestTiming& request : piece) visit(request);
    }
  }
}

void write_timings(const Path& output_dir) {
  std::vector<Table> tables = {request_table(), step_table(), run_table(), expert_table()};
  std::vector<TableFiles> files;
  for (Table& table : tables) {
    TableFiles& of_table = files.emplace_back();
    of_table.paths = files_of(output_dir, table.name);
    for (const Path& path : of_table.paths) {
      of_table.sizes.push_back(whole(File::open_read(path), table.row_bytes));
      table.rows += static_cast<std::int64_t>(of_table.sizes.back() / table.row_bytes);
    }
  }
  const Path partial = output_dir / "timings.h5.tmp";
  try {
    hdf5::create_tables(partial, tables);
    const File target = File::open_update(partial);
    for (std::size_t i = 0; i < tables.size(); ++i) {
      if (tables[i].rows > 0) copy_records(files[i], target, tables[i].offset);
    }
    target.sync();
    replace_file(partial, output_dir / "timings.h5");
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
    throw;
  }
}

}  // namespace weft
