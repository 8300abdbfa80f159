// Weights on their way to the device: copies that go on after `pack` has returned.
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "catch.h"
#include "comm/mpi_group.h"
#include "device_under_test.h"
#include "model/files/model_reader.h"
#include "ops_testing.h"
#include "reference_ops/make_reference_ops.h"
#include "support/replica.h"

namespace weft::testing {
namespace {

std::vector<float> rows_of_table(Ops& ops, const Matrix& table) {
  std::vector<std::int32_t> all;
  for (std::int32_t row = 0; row < table.shape.rows; ++row) all.push_back(row);
  const std::int64_t columns = table.shape.cut.columns();
  const Array out = poisoned(ops, DType::f32, {table.shape.rows, columns});
  ops.embed(table, ints(ops, all).tensor, out.tensor);
  return floats_of(ops, out);
}

}  // namespace

TEST_CASE("an array may be overwritten once a fence behind its pack is passed", "[cuda][loading]") {
  Random random(77);
  const auto host = make_reference_ops();
  for (const DType dtype : {DType::bf16, DType::f32}) {
    const auto ops = make_device();
    const MatrixShape shape{96, dtype, KCut::of(Segments::cut(64, 16, 1), {0, 1})};
    Matrix table{shape, Buffer(ops->memory(), ops->matrix_bytes(shape))};
    const Array whole = array(*host, random.wides(96 * 64), dtype, {96, 64});
    // Two pieces by way of two buffers by turns, then a third through the first buffer.
    const Bytes piece = 32 * 64 * size_of(dtype);
    std::vector<Buffer> buffers;
    std::vector<std::unique_ptr<Fence>> fences;
    for (int i = 0; i < 2; ++i) {
      buffers.emplace_back(ops->host_memory(), piece);
      fences.push_back(ops->make_fence());
      REQUIRE(fences.back() != nullptr);
      fences.back()->wait();  // never set: nothing to wait for
    }
    for (std::size_t i = 0; i < 3; ++i) {
      fences[i % 2]->wait();
      const auto row = static_cast<std::int64_t>(32 * i);
      std::memcpy(buffers[i % 2].data(), whole.tensor.slice(row, row + 32).data(), piece);
      ops->pack(table, row, 0, buffers[i % 2].tensor(dtype, {32, 64}));
      fences[i % 2]->set();
    }
    for (std::size_t i = 0; i < 2; ++i) {
      fences[i]->wait();
      std::memset(buffers[i].data(), 0xff, piece);
    }
    CHECK((rows_of_table(*ops, table) == floats_of(*host, whole)));
  }
}

TEST_CASE("one digest of weights that one rank reads for all", "[cuda][loading][layout]") {
  const auto world = make_world_group();
  const auto host = make_reference_ops();
  nlohmann::json config = test::tiny_config("llama");
  config["vocab_size"] = 40'000;
  config["num_hidden_layers"] = 1;
  const test::SyntheticModel model(config, DType::bf16, 51);
  ModelReader plain(model.path());
  const TensorSpec& tensor = plain.tensor("model.embed_tokens.weight");
  const std::int64_t rows = tensor.rows();
  const std::int64_t columns = tensor.columns();
  const Array expected = poisoned(*host, DType::bf16, {rows, columns});
  const auto row_bytes = static_cast<Bytes>(columns) * size_of(DType::bf16);
  int runs = 0;
  plain.read_rows(tensor, {0, rows}, [&](auto first, auto bytes, auto /*count*/) {
    std::memcpy(expected.buffer.data() + static_cast<Bytes>(first) * row_bytes, bytes.data(),
                bytes.size());
    ++runs;
  });
  REQUIRE(runs > 3);  // buffers are used again
  for (const int threads : {1, 3}) {
    INFO(threads << " threads");
    const auto ops = make_device();
    const MatrixShape shape{rows, DType::bf16, KCut::of(Segments::cut(columns, 16, 1), {0, 1})};
    Matrix table{shape, Buffer(ops->memory(), ops->matrix_bytes(shape))};
    const ReadTask task{
        &tensor, -1, {0, rows}, [&](auto first, auto bytes, auto count) {
          ops->pack(table, first, 0,
                    Tensor(const_cast<std::byte*>(bytes.data()), DType::bf16, {count, columns}));
        }};
    const Bytes before = ops->host_memory().in_use();
    ModelReader reader(model.path());
    reader.share_with(world.get());
    reader.read_all({&task, 1}, threads, {ops->host_memory(), [&] { return ops->make_fence(); }});
    CHECK(ops->host_memory().in_use() == before);
    CHECK((rows_of_table(*ops, table) == floats_of(*host, expected)));
  }
}

}  // namespace weft::testing
