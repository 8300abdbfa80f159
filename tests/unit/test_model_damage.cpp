// Damaged model directories: every fault is found, and wrong bytes never get through.
#include <random>
#include <string>
#include <vector>

#include "catch.h"
#include "io/hdf5.h"
#include "model/files/model_reader.h"
#include "model/files/synth.h"
#include "model/files/verify.h"
#include "model_files.h"

using namespace weft;
using namespace weft::testing;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// A model of several files to damage, and what it holds.
class Victim {
 public:
  Victim() {
    write_file(directory_.path() / "config.json", small_config().dump());
    write_file(directory_.path() / "tokenizer.json", R"({"version": "1.0"})");
    write_file(directory_.path() / "generation_config.json", R"({"eos_token_id": [5, 7]})");
    synth(directory_.path() / "config.json", path(), grid(2, 2));
    contents_ = read_all(path());
  }

  [[nodiscard]] fs::path path() const { return directory_.path() / "model"; }
  [[nodiscard]] const Contents& contents() const { return contents_; }

  /// What `verify` says.
  [[nodiscard]] std::string verdict() const {
    return user_error([&] { verify(path()); });
  }

  /// True when reading all tensors fails with a UserError; wrong bytes fail the test.
  [[nodiscard]] bool reading_is_refused() const {
    Contents found;
    const std::string text = user_error([&] { found = read_all(path()); });
    if (text.empty()) CHECK(found == contents_);
    return !text.empty();
  }

 private:
  TempDir directory_;
  Contents contents_;
};

}  // namespace

TEST_CASE("any flipped bit is found", "[model]") {
  const Victim victim;
  std::mt19937_64 random(8);
  for (const fs::directory_entry& entry : fs::directory_iterator(victim.path())) {
    const std::string whole = contents_of(entry.path());
    const bool weights = entry.path().extension() == ".h5";
    for (int i = 0; i < 120; ++i) {
      // Every other flip in the first quarter, where HDF5's own structures are.
      const std::size_t position = random() % (i % 2 == 0 ? whole.size() : whole.size() / 4);
      std::string damaged = whole;
      damaged[position] = static_cast<char>(damaged[position] ^ (1 << random() % 8));
      write_file(entry.path(), damaged);
      INFO(entry.path().filename() << ", byte " << position);
      CHECK_FALSE(victim.verdict().empty());
      const bool refused = victim.reading_is_refused();
      if (weights || entry.path().filename() == "weft.json") CHECK(refused);
    }
    write_file(entry.path(), whole);
  }
  CHECK(victim.verdict().empty());
}

TEST_CASE("files of the wrong length or kind are found", "[model]") {
  const Victim victim;
  const fs::path shard = victim.path() / "shard-pp01-tp00.h5";
  const std::string whole = contents_of(shard);
  const auto found = [&](std::string_view why) {
    const std::string text = victim.verdict();
    INFO(text);
    CHECK(contains(text, "shard-pp01-tp00.h5"));
    CHECK(contains(text, why));
    CHECK(victim.reading_is_refused());
  };
  for (const std::size_t length :
       {std::size_t{0}, std::size_t{1}, whole.size() / 2, whole.size() - 1}) {
    write_file(shard, whole.substr(0, length));
    found("bytes long");
  }
  write_file(shard, whole + "x");
  found("bytes long");
  write_file(shard, std::string(whole.size(), 't'));
  found("digest of its metadata");
  fs::remove(shard);
  found("No such file");
  fs::create_directory(shard);
  found("not a regular file");
  fs::remove(shard);

  // A proper HDF5 file of the right length, but another one.
  std::vector<hdf5::Dataset> datasets(1);
  datasets[0].name = "model.norm.weight";
  datasets[0].shape = datasets[0].global_shape = {48};
  datasets[0].global_offset = {0};
  hdf5::create(shard, datasets);
  fs::resize_file(shard, whole.size());
  found("digest of its metadata");
  write_file(shard, whole);
  CHECK(victim.verdict().empty());
}

TEST_CASE("swapped shard files are found", "[model]") {
  const Victim victim;
  const fs::path a = victim.path() / "shard-pp00-tp00.h5";
  const fs::path b = victim.path() / "shard-pp00-tp01.h5";
  fs::rename(a, victim.path() / "swap");
  fs::rename(b, a);
  fs::rename(victim.path() / "swap", b);
  CHECK(contains(victim.verdict(), "2 faults"));
  CHECK(victim.reading_is_refused());
}

TEST_CASE("shards of another seed are found", "[model]") {
  const Victim victim;
  const TempDir other;
  write_file(other.path() / "config.json", small_config().dump());
  ModelOptions options = grid(2, 2);
  options.seed = 1;
  synth(other.path() / "config.json", other.path() / "model", options);
  const fs::path name = "shard-pp01-tp01.h5";
  const auto overwrite = fs::copy_options::overwrite_existing;
  fs::copy_file(other.path() / "model" / name, victim.path() / name, overwrite);
  CHECK(contains(victim.verdict(), "shard-pp01-tp01.h5"));
  CHECK(victim.reading_is_refused());
}

TEST_CASE("a reader opens only the files that it needs", "[model]") {
  const Victim victim;
  fs::remove(victim.path() / "shard-pp01-tp01.h5");
  ModelReader reader(victim.path());
  const TensorSpec& tensor = reader.tensor("model.layers.0.self_attn.q_proj.weight");
  CHECK(read_rows(reader, tensor, {0, tensor.rows()}) == victim.contents().at(tensor.name));
  CHECK(contains(user_error([&] {
                   const TensorSpec& late = reader.tensor("lm_head.weight");
                   read_rows(reader, late, {0, late.rows()});
                 }),
                 "shard-pp01-tp01.h5"));
}

TEST_CASE("manifests that are not ours are refused by reason", "[model]") {
  const Victim victim;
  const fs::path path = victim.path() / "weft.json";
  const json whole = json::parse(contents_of(path));
  const auto refused = [&](const json& changes, std::string_view why) {
    json manifest = whole;
    manifest.merge_patch(changes);
    write_file(path, manifest.dump(1) + "\n");
    const std::string text = victim.verdict();
    INFO(text);
    CHECK(contains(text, why));
  };
  refused({{"format_version", 2}}, "format version 2");
  refused({{"numerics", {{"contract", 2}}}}, "version 2 of the numerics contract");
  refused({{"numerics", {{"segment_caps", {{"split", 3}}}}}}, "power of two");
  refused({{"dtype", "f16"}}, "must be bf16 or f32");
  refused({{"config", {{"model_type", "gpt2"}}}}, "model_type");
  refused({{"config", {{"rope_theta", 5}}}}, "changed since it was written");
  refused({{"weft_version", "9"}}, "changed since it was written");
  refused({{"note", "added by hand"}}, "changed since it was written");
  refused({{"shards", nullptr}}, "shards is missing");
  refused({{"shards", json::array()}}, "changed since");
  refused({{"tokenizer", {{{"name", "../../etc/passwd"}, {"bytes", 1}, {"digest", "0"}}}}},
          "not a tokenizer file");
  write_file(path, "weights? what weights?");
  CHECK(contains(victim.verdict(), "not valid JSON"));
  fs::remove(path);
  CHECK(contains(victim.verdict(), "not a model directory"));
}
