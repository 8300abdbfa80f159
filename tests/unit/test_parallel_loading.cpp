// Loading weights with several threads: the shares of work, what is read, how it is packed.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/parallel_for.h"
#include "catch.h"
#include "io/hdf5.h"
#include "model/files/model_reader.h"
#include "model/files/synth.h"
#include "model_files.h"
#include "ops_testing.h"

using namespace weft;
using namespace weft::testing;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// A model whose rows straddle the checked blocks of 1 MiB, in the shards of tp=2.
fs::path straddling_model(const TempDir& directory) {
  json config = small_config();
  config["hidden_size"] = 100;
  config["vocab_size"] = 60000;
  config["num_hidden_layers"] = 1;
  config["torch_dtype"] = "float32";
  write_file(directory.path() / "config.json", config.dump());
  synth(directory.path() / "config.json", directory.path() / "model", grid(2, 1));
  return directory.path() / "model";
}

/// Rows of the embedding as `threads` threads of read_all put them together.
std::string read_by(ModelReader& reader, Range rows, int threads) {
  const TensorSpec& tensor = reader.tensor("model.embed_tokens.weight");
  const Bytes row_bytes = static_cast<Bytes>(tensor.columns()) * size_of(reader.dtype());
  std::string found(static_cast<Bytes>(rows.size()) * row_bytes, '\0');
  std::atomic<std::int64_t> seen = 0;
  std::atomic<int> odd = 0;
  const RowSink sink = [&](auto first, auto bytes, auto count) {
    std::memcpy(found.data() + static_cast<Bytes>(first - rows.begin) * row_bytes, bytes.data(),
                bytes.size());
    seen += count;
    if (count % kRowGroup != 0) ++odd;
  };
  HostMemory staging;
  reader.read_all(std::vector<ReadTask>{{&tensor, -1, rows, sink}}, threads, {staging});
  CHECK(seen == rows.size());
  CHECK(odd <= 2);  // the last run of each shard's piece
  CHECK(staging.in_use() == 0);
  return found;
}

}  // namespace

TEST_CASE("work is shared out: every item once, the first failure thrown", "[lanes]") {
  for (const int lanes : {1, 2, 5}) {
    for (const std::size_t items :
         {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{200}}) {
      std::vector<std::atomic<int>> done(items);
      std::atomic<bool> wrong_lane = false;
      parallel_for(lanes, items, [&](int lane, std::size_t item) {
        if (lane < 0 || lane >= lanes) wrong_lane = true;
        ++done[item];
      });
      for (const auto& count : done) CHECK(count == 1);
      CHECK_FALSE(wrong_lane);
    }
    std::atomic<int> begun = 0;
    const auto failing = [&](int /*lane*/, std::size_t item) {
      ++begun;
      if (item == 7 || item >= 9) fail_user("item {}", item);
    };
    CHECK_THROWS_WITH(parallel_for(lanes, 1000, failing), "item 7");
    CHECK(begun <= 8 + lanes);
  }
}

TEST_CASE("several threads read what one reads", "[model][loading]") {
  const TempDir directory;
  const fs::path model = straddling_model(directory);
  ModelReader reader(model);
  const TensorSpec& tensor = reader.tensor("model.embed_tokens.weight");
  for (const Range rows : {Range{0, 60000}, {1, 59999}, {29999, 30001}, {7, 7}, {12345, 54321}}) {
    const std::string expected = read_rows(reader, tensor, rows);
    for (const int threads : {1, 2, 5}) CHECK(read_by(reader, rows, threads) == expected);
  }
}

TEST_CASE("parts of a piece cover it", "[model][loading]") {
  const TempDir directory;
  const fs::path model = straddling_model(directory);
  const ModelReader reader(model);
  const ShardFile& file = reader.manifest().shards.front();
  const ShardPlan plan(reader.config(), reader.caps(), reader.manifest().grid);
  const ShardReader shard(model, file, plan.pieces_at(file.place), plan.tensors(), reader.dtype());
  for (std::size_t i = 0; i < shard.pieces().size(); ++i) {
    const Range rows = shard.pieces()[i].rows;
    std::int64_t next = rows.begin;
    for (const Range part : shard.parts_of(i, rows)) {
      CHECK(part.begin == next);
      CHECK((part.end == rows.end || part.size() % kRowGroup == 0));
      next = part.end;
    }
    CHECK(next == rows.end);
    CHECK(shard.parts_of(i, {rows.begin, rows.begin}).empty());
  }
}

TEST_CASE("threads that find damage say what one would say", "[model][loading]") {
  const TempDir directory;
  const fs::path model = straddling_model(directory);
  const fs::path shard = model / "shard-pp00-tp00.h5";
  std::string bytes = contents_of(shard);
  for (const hdf5::Dataset& dataset : hdf5::list(shard)) {
    if (dataset.name != "model.embed_tokens.weight") continue;
    for (const Bytes at : {Bytes{3} << 20, Bytes{9} << 20}) bytes[dataset.offset + at] ^= 1;
  }
  write_file(shard, bytes);
  ModelReader reader(model);
  const TensorSpec& tensor = reader.tensor("model.embed_tokens.weight");
  const std::string expected = user_error([&] { read_rows(reader, tensor, {0, tensor.rows()}); });
  REQUIRE(contains(expected, "is damaged between"));
  for (const int threads : {1, 2, 5}) {
    HostMemory staging;
    const ReadTask task{&tensor, -1, {0, tensor.rows()}, [](auto, auto, auto) {}};
    CHECK(user_error([&] { reader.read_all({&task, 1}, threads, {staging}); }) == expected);
    CHECK(staging.in_use() == 0);
  }
}

namespace {

/// Copies that are done when a fence is waited for, and not before: as late as a device may be.
class LateCopies {
 public:
  void ask(std::span<const std::byte> from, char* to) {
    const std::lock_guard lock(mutex_);
    asked_.push_back({from, to});
  }
  [[nodiscard]] std::size_t left() const { return asked_.size() - done_; }
  /// From now on, waiting for anything behind that many copies fails.
  void fail_behind(std::size_t copies) { fail_behind_ = copies; }

  std::unique_ptr<Fence> fence() { return std::make_unique<LateFence>(*this); }

 private:
  class LateFence final : public Fence {
   public:
    explicit LateFence(LateCopies& copies) : copies_(copies) {}
    void set() override {
      const std::lock_guard lock(copies_.mutex_);
      behind_ = copies_.asked_.size();
    }
    void wait() override {
      const std::lock_guard lock(copies_.mutex_);
      for (; copies_.done_ < behind_; ++copies_.done_) {
        const auto& [from, to] = copies_.asked_[copies_.done_];
        std::memcpy(to, from.data(), from.size());
      }
      if (behind_ > copies_.fail_behind_) fail("a copy to the device failed");
    }

   private:
    LateCopies& copies_;
    std::size_t behind_ = 0;
  };

  std::mutex mutex_;
  std::deque<std::pair<std::span<const std::byte>, char*>> asked_;
  std::size_t done_ = 0;
  std::size_t fail_behind_ = std::numeric_limits<std::size_t>::max();
};

}  // namespace

TEST_CASE("buffers are not filled again before what was handed out is read", "[model][loading]") {
  const TempDir directory;
  const fs::path model = straddling_model(directory);
  ModelReader reader(model);
  const TensorSpec& tensor = reader.tensor("model.embed_tokens.weight");
  const Bytes row_bytes = static_cast<Bytes>(tensor.columns()) * size_of(reader.dtype());
  for (const Range rows : {Range{0, 60000}, {29999, 30001}, {12345, 54321}}) {
    const std::string expected = read_rows(reader, tensor, rows);
    for (const int threads : {1, 2, 5}) {
      std::string found(expected.size(), '\0');
      LateCopies copies;
      HostMemory staging;
      const ReadTask task{&tensor, -1, rows, [&](auto first, auto bytes, auto /*count*/) {
                            const auto row = static_cast<Bytes>(first - rows.begin);
                            copies.ask(bytes, found.data() + row * row_bytes);
                          }};
      reader.read_all({&task, 1}, threads, {staging, [&] { return copies.fence(); }});
      CHECK(copies.left() == 0);
      CHECK(found == expected);
      CHECK(staging.in_use() == 0);
    }
  }
}

TEST_CASE("of what a device could not copy, the caller hears", "[model][loading]") {
  const TempDir directory;
  const fs::path model = straddling_model(directory);
  ModelReader reader(model);
  const TensorSpec& tensor = reader.tensor("model.embed_tokens.weight");
  const Bytes row_bytes = static_cast<Bytes>(tensor.columns()) * size_of(reader.dtype());
  std::size_t all = 0;
  const auto read = [&](int threads, std::size_t good) {
    std::string found(static_cast<Bytes>(tensor.rows()) * row_bytes, '\0');
    LateCopies copies;
    copies.fail_behind(good);
    std::atomic<std::size_t> asked = 0;
    HostMemory staging;
    const ReadTask task{
        &tensor, -1, {0, tensor.rows()}, [&](auto first, auto bytes, auto /*count*/) {
          ++asked;
          copies.ask(bytes, found.data() + static_cast<Bytes>(first) * row_bytes);
        }};
    std::string error;
    try {
      reader.read_all({&task, 1}, threads, {staging, [&] { return copies.fence(); }});
    } catch (const Error& e) {
      error = e.what();
    }
    all = std::max(all, asked.load());
    CHECK(copies.left() == 0);  // nobody reads buffers that are gone
    CHECK(staging.in_use() == 0);
    return error;
  };
  for (const int threads : {1, 3}) {
    CHECK(read(threads, std::numeric_limits<std::size_t>::max()).empty());
    REQUIRE(all > 10);
    // The last copy's failure is found by the wait at the end alone.
    for (const std::size_t good : {std::size_t{0}, std::size_t{7}, all - 1}) {
      CHECK(contains(read(threads, good), "a copy to the device failed"));
    }
  }
}

TEST_CASE("weights packed piece by piece, from several threads, come back", "[ops][loading]") {
  Random random(11);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (const std::int64_t columns : {1, 7, 8, 100, 392}) {
      const std::int64_t rows = random.between(1, 200);
      const KCut cut = KCut::of(Segments::cut(columns, 16, 1), {0, 1});
      const Array whole = array(reference(), random.wides(rows * columns), dtype, {rows, columns});
      std::vector<std::int32_t> all;
      for (std::int32_t row = 0; row < rows; ++row) all.push_back(row);
      for (const auto& ops : implementations()) {
        const MatrixShape shape{rows, dtype, cut};
        const MatrixStack stack{shape, 3, Buffer(ops->memory(), 3 * ops->matrix_bytes(shape))};
        // Pieces that begin and end anywhere in a panel.
        std::vector<Range> pieces;
        for (std::int64_t row = 0; row < rows;) {
          const std::int64_t end = std::min(rows, row + random.between(1, 90));
          pieces.push_back({row, end});
          row = end;
        }
        parallel_for(3, pieces.size(), [&](int, std::size_t i) {
          ops->pack(stack, 1, pieces[i].begin, 0,
                    whole.tensor.slice(pieces[i].begin, pieces[i].end));
        });
        Matrix middle{shape, Buffer(ops->memory(), ops->matrix_bytes(shape))};
        const Bytes size = ops->matrix_bytes(shape);
        std::memcpy(middle.storage.data(), stack.storage.data() + size, size);
        const Array out = poisoned(*ops, DType::f32, {rows, columns});
        ops->embed(middle, ints(*ops, all).tensor, out.tensor);
        INFO(ops->description() << ": " << rows << " x " << columns << " " << name(dtype));
        CHECK((floats_of(*ops, out) == floats_of(reference(), whole)));
        const std::span<const std::byte> first(stack.storage.data(), size);
        const std::span<const std::byte> last(stack.storage.data() + 2 * size, size);
        const auto is_zero = [](std::byte b) { return b == std::byte{0}; };
        CHECK(std::all_of(first.begin(), first.end(), is_zero));
        CHECK(std::all_of(last.begin(), last.end(), is_zero));
      }
    }
  }
}
