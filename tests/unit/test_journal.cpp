#include "app/output/journal.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "app/output/journal_frame.h"
#include "base/cancelled.h"
#include "base/error.h"
#include "catch.h"
#include "io/json.h"
#include "temp_dir.h"

namespace {

using namespace weft;
using testing::contents_of;
using testing::message_of;
using testing::TempDir;

const JobIdentity kIdentity = {{"the model", "abc"}, {"sampling.temperature", "0"}};

std::string row(std::int64_t index) {
  return R"({"custom_id":"r)" + std::to_string(index) + R"(","text":")" +
         std::string(static_cast<std::size_t>(index % 7), 'x') + "\"}";
}

/// All rows in order, as results.jsonl has them.
std::string all_rows(std::int64_t requests) {
  std::string text;
  for (std::int64_t i = 0; i < requests; ++i) text += row(i) + '\n';
  return text;
}

void append_rows(const TempDir& dir, int replica, const std::vector<std::int64_t>& indices) {
  JournalPart part(dir.path(), replica);
  for (const std::int64_t index : indices) part.append(index, index % 3 != 0, row(index));
  part.close();
}

std::vector<std::int64_t> missing(const Journal& journal) {
  std::vector<std::int64_t> indices;
  for (std::size_t i = 0; i < journal.rows().size(); ++i) {
    if (journal.rows()[i] == RowState::missing) indices.push_back(static_cast<std::int64_t>(i));
  }
  return indices;
}

std::string refusal(const TempDir& dir, const JobIdentity& identity = kIdentity) {
  return message_of<UserError>([&] { Journal(dir.path(), identity, 4); });
}

/// One line of a journal, with its '\n'.
std::string journal_line(std::int64_t index, const std::string& text) {
  std::string line;
  write_journal_line({.index = index, .succeeded = true, .text = text}, line);
  return line + '\n';
}

}  // namespace

TEST_CASE("a journal line is JSON, and whole or nothing", "[journal]") {
  std::string line;
  write_journal_line({.index = 12, .succeeded = false, .text = row(3)}, line);
  const nlohmann::json parsed = parse_json(line, "line");
  CHECK(parsed["index"] == 12);
  CHECK(parsed["ok"] == false);
  CHECK(parsed["row"] == nlohmann::json::parse(row(3)));
  CHECK(parsed["digest"] == digest_of("12 false " + row(3)).hex());

  const auto back = read_journal_line(line);
  REQUIRE(back.has_value());
  CHECK(back->index == 12);
  CHECK_FALSE(back->succeeded);
  CHECK(back->text == row(3));

  for (std::size_t end = 0; end < line.size(); ++end) {
    CHECK_FALSE(read_journal_line(std::string_view(line).substr(0, end)).has_value());
    CHECK_FALSE(read_journal_line(std::string_view(line).substr(end + 1)).has_value());
  }
  for (std::size_t at = 0; at < line.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = line;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      CHECK_FALSE(read_journal_line(damaged).has_value());
    }
  }
}

TEST_CASE("tokens are read off the end of a row", "[journal]") {
  const RowTokens tokens = tokens_of_row(
      R"({"text":"\"completion_tokens\":99","usage":{"prompt_tokens":7,"completion_tokens":12,"total_tokens":19}})");
  CHECK(tokens.prompt == 7);
  CHECK(tokens.completion == 12);
  CHECK(tokens_of_row(R"({"error":{"message":"\"prompt_tokens\":5"}})").prompt == 0);
}

TEST_CASE("a journal adds up the tokens of the rows that count", "[journal]") {
  const TempDir dir;
  const std::string usage = R"({"prompt_tokens":7,"completion_tokens":12})";
  { const Journal journal(dir.path(), kIdentity, 3); }
  {
    JournalPart part(dir.path(), 0);
    part.append(0, true, usage);
    part.append(0, true, usage);  // computed twice: the first counts
    part.append(1, false, "{}");
    part.append(1, true, usage);
    part.close();
  }
  Journal journal(dir.path(), kIdentity, 3);
  CHECK(journal.tokens().completion == 24);
  append_rows(dir, 0, {2});
  journal.finish();
  CHECK(journal.tokens().prompt == 14);
}

TEST_CASE("parts of several replicas merge in the order of the input", "[journal]") {
  const TempDir dir;
  Journal journal(dir / "new/out", kIdentity, 7);
  CHECK(missing(journal).size() == 7);
  {
    JournalPart a(dir / "new/out", 0);
    JournalPart b(dir / "new/out", 1);
    for (const std::int64_t i : {5, 1, 3}) a.append(i, true, row(i));
    for (const std::int64_t i : {6, 0, 4, 2}) b.append(i, i != 4, row(i));
    a.close();
    b.close();
  }
  const RowCounts counts = journal.finish();
  CHECK(counts.succeeded == 6);
  CHECK(counts.failed == 1);
  CHECK(contents_of(dir / "new/out/results.jsonl") == all_rows(7));
  CHECK_FALSE(std::filesystem::exists(dir / "new/out/results.jsonl.tmp"));
}

TEST_CASE("a run that was killed goes on, with any number of replicas", "[journal]") {
  const TempDir dir;
  { const Journal journal(dir.path(), kIdentity, 9); }
  append_rows(dir, 0, {0, 4});
  append_rows(dir, 1, {1});
  append_rows(dir, 2, {2, 8});
  {
    const Journal journal(dir.path(), kIdentity, 9);
    CHECK(missing(journal) == std::vector<std::int64_t>{3, 5, 6, 7});
    CHECK(journal.counts().failed == 1);
    CHECK(journal.counts().succeeded == 4);
    CHECK_FALSE(journal.complete());
  }
  append_rows(dir, 0, {3, 5, 6, 7});
  {
    Journal journal(dir.path(), kIdentity, 9);
    CHECK(missing(journal).empty());
    CHECK_FALSE(journal.complete());  // all rows are there, but results.jsonl is not
    journal.finish();
    CHECK(journal.complete());
  }
  CHECK(contents_of(dir / "results.jsonl") == all_rows(9));
  const Journal again(dir.path(), kIdentity, 9);
  CHECK(again.complete());
  CHECK(again.counts().failed == 3);
}

TEST_CASE("a part torn at any byte loses its last rows only", "[journal]") {
  const std::vector<std::string> lines = {journal_line(0, row(0)), journal_line(1, row(1)),
                                          journal_line(2, row(2))};
  const std::string whole = lines[0] + lines[1] + lines[2];
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const TempDir dir;
    { const Journal journal(dir.path(), kIdentity, 3); }
    dir.write("journal/part-0000.jsonl", whole.substr(0, size));
    const auto lost = [&] {
      std::vector<std::int64_t> indices;
      std::size_t end = 0;
      for (std::size_t i = 0; i < lines.size(); ++i) {
        end += lines[i].size();
        if (end > size) indices.push_back(static_cast<std::int64_t>(i));
      }
      return indices;
    }();
    INFO(size);
    {
      const Journal journal(dir.path(), kIdentity, 3);
      REQUIRE(missing(journal) == lost);
    }
    {
      JournalPart part(dir.path(), 0);
      for (const std::int64_t index : lost) part.append(index, true, row(index));
    }
    REQUIRE(contents_of(dir / "journal/part-0000.jsonl") == whole);
    Journal journal(dir.path(), kIdentity, 3);
    journal.finish();
    REQUIRE(contents_of(dir / "results.jsonl") == all_rows(3));
  }
}

TEST_CASE("a damaged line is passed over, the others count", "[journal]") {
  const std::string first = journal_line(0, row(0));
  const std::string whole = first + journal_line(1, row(1)) + journal_line(2, row(2));
  for (std::size_t at = first.size(); at < first.size() + 60; at += 7) {
    const TempDir dir;
    { const Journal journal(dir.path(), kIdentity, 3); }
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    dir.write("journal/part-0000.jsonl", damaged);
    const Journal journal(dir.path(), kIdentity, 3);
    CHECK(missing(journal) == std::vector<std::int64_t>{1});
    CHECK(journal.damaged_lines() == 1);
  }
  const TempDir dir;
  { const Journal journal(dir.path(), kIdentity, 3); }
  dir.write("journal/part-0000.jsonl", whole + std::string(5000, '\0'));
  CHECK(missing(Journal(dir.path(), kIdentity, 3)).empty());
}

TEST_CASE("a row that was written twice counts once, a success before a failure", "[journal]") {
  const TempDir dir;
  { const Journal journal(dir.path(), kIdentity, 2); }
  {
    JournalPart a(dir.path(), 0);
    a.append(0, false, "{\"failed\":0}");
    a.append(1, true, "{\"first\":1}");
    JournalPart b(dir.path(), 1);
    b.append(0, true, "{\"done\":0}");
    b.append(1, true, "{\"second\":1}");
  }
  Journal journal(dir.path(), kIdentity, 2);
  CHECK(journal.finish().failed == 0);
  CHECK(contents_of(dir / "results.jsonl") == "{\"done\":0}\n{\"first\":1}\n");
}

TEST_CASE("nothing to do is a complete job", "[journal]") {
  const TempDir dir;
  {
    Journal journal(dir.path(), kIdentity, 0);
    CHECK_FALSE(journal.complete());
    journal.finish();
  }
  CHECK(contents_of(dir / "results.jsonl").empty());
  CHECK(Journal(dir.path(), kIdentity, 0).complete());
}

TEST_CASE("rows that failed are forgotten on request", "[journal]") {
  const TempDir dir;
  { const Journal journal(dir.path(), kIdentity, 7); }
  append_rows(dir, 1, {0, 1, 2, 3});
  append_rows(dir, 2, {4, 5, 6, 1});
  {
    Journal journal(dir.path(), kIdentity, 7);
    journal.finish();
    CHECK(journal.counts().failed == 3);
    CHECK(journal.forget_failed() == 3);
    CHECK_FALSE(journal.complete());
    CHECK(missing(journal) == std::vector<std::int64_t>{0, 3, 6});
  }
  CHECK(contents_of(dir / "results.jsonl") == all_rows(7));  // until there are others
  {
    // Killed here, the next run goes on without being asked to retry.
    const Journal journal(dir.path(), kIdentity, 7);
    CHECK(missing(journal) == std::vector<std::int64_t>{0, 3, 6});
    CHECK(journal.damaged_lines() == 0);
    CHECK_FALSE(journal.complete());
  }
  {
    JournalPart part(dir.path(), 0);
    for (const std::int64_t i : {0, 3}) part.append(i, true, row(i));
    part.append(6, false, R"({"again":6})");
    part.close();
  }
  Journal journal(dir.path(), kIdentity, 7);
  journal.finish();
  CHECK(journal.counts().failed == 1);
  std::string expected = all_rows(6) + R"({"again":6})" + "\n";
  CHECK(contents_of(dir / "results.jsonl") == expected);
}

TEST_CASE("the reading of a journal hears of a stop, at each line", "[journal]") {
  const TempDir dir;
  { const Journal journal(dir.path(), kIdentity, 7); }
  append_rows(dir, 1, {0, 1, 2, 3});
  append_rows(dir, 2, {4, 5});
  const std::string first = contents_of(dir / "journal/part-0001.jsonl");
  const std::string second = contents_of(dir / "journal/part-0002.jsonl");
  for (int stop = 1; stop <= 6; ++stop) {
    int asked = 0;
    const auto now = [&] { return ++asked == stop; };
    CHECK_THROWS_AS(Journal(dir.path(), kIdentity, 7, now), Cancelled);
    CHECK(asked == stop);
    asked = 0;
    Journal journal(dir.path(), kIdentity, 7);
    CHECK_THROWS_AS(journal.forget_failed(now), Cancelled);
    CHECK(asked == stop);
    CHECK(contents_of(dir / "journal/part-0001.jsonl") == first);
    CHECK(contents_of(dir / "journal/part-0002.jsonl") == second);
    CHECK_FALSE(std::filesystem::exists(dir / "journal/part-0000.jsonl"));
    CHECK_FALSE(std::filesystem::exists(dir / "journal/part-0000.jsonl.tmp"));
  }
  int asked = 0;
  const auto never = [&] { return ++asked < 0; };
  CHECK(missing(Journal(dir.path(), kIdentity, 7, never)) == std::vector<std::int64_t>{6});
  CHECK(asked >= 6);  // each line, and now and then within one
}

TEST_CASE("nothing is forgotten where nothing failed", "[journal]") {
  const TempDir dir;
  { const Journal journal(dir.path(), kIdentity, 2); }
  append_rows(dir, 3, {1, 2});
  Journal journal(dir.path(), kIdentity, 3);
  CHECK(journal.forget_failed() == 0);
  CHECK(std::filesystem::exists(dir / "journal/part-0003.jsonl"));
}

TEST_CASE("a results.jsonl that is not of the journal is refused", "[journal]") {
  const TempDir dir;
  { const Journal journal(dir.path(), kIdentity, 4); }
  append_rows(dir, 0, {0, 1, 2, 3});
  { Journal(dir.path(), kIdentity, 4).finish(); }
  CHECK(refusal(dir).empty());
  std::string changed = all_rows(4);
  changed[5] = 'X';
  for (const std::string& text : {changed, all_rows(4) + "\n", std::string()}) {
    dir.write("results.jsonl", text);
    CHECK_THAT(refusal(dir),
               Catch::Matchers::Contains("results.jsonl: not the file that was made"));
  }
  std::filesystem::remove(dir / "results.jsonl");
  Journal(dir.path(), kIdentity, 4).finish();
  CHECK(contents_of(dir / "results.jsonl") == all_rows(4));
}

TEST_CASE("results made anew and not yet renamed leave the earlier ones valid", "[journal]") {
  const TempDir dir;
  { const Journal journal(dir.path(), kIdentity, 2); }
  append_rows(dir, 0, {0, 1});
  { Journal(dir.path(), kIdentity, 2).finish(); }
  {
    Journal journal(dir.path(), kIdentity, 2);
    journal.forget_failed();
    JournalPart part(dir.path(), 0);
    part.append(0, true, "{}");
    part.close();
    journal.finish();
  }
  dir.write("results.jsonl", all_rows(2));  // as if the last rename had not come to pass
  Journal journal(dir.path(), kIdentity, 2);
  CHECK_FALSE(journal.complete());
  journal.finish();
  CHECK(contents_of(dir / "results.jsonl") == "{}\n" + row(1) + "\n");
}

TEST_CASE("a missing row is no result", "[journal]") {
  const TempDir dir;
  Journal journal(dir.path(), kIdentity, 3);
  append_rows(dir, 0, {0, 2});
  const RowCounts counts = journal.finish();
  CHECK(counts.succeeded + counts.failed == 2);
  CHECK_FALSE(journal.complete());
  CHECK_FALSE(std::filesystem::exists(dir / "results.jsonl"));
}

TEST_CASE("another job's directory is refused, with what differs", "[journal]") {
  const TempDir dir;
  const JobIdentity other = {{"the model", "abc"}, {"sampling.temperature", "0.5"}};
  { const Journal journal(dir.path(), kIdentity, 4); }
  CHECK(refusal(dir, other).empty());  // nothing was stored yet: the directory is taken over
  CHECK(refusal(dir).empty());
  append_rows(dir, 0, {1});
  CHECK_THAT(refusal(dir, other),
             Catch::Matchers::EndsWith(
                 "holds the results of another job: sampling.temperature was 0, is 0.5. Choose "
                 "another output.dir, or remove it"));
  CHECK_THAT(refusal(dir, {{"the model", "abd"}, {"sampling.temperature", "1"}, {"new", "x"}}),
             Catch::Matchers::Contains("the model was abc, is abd; sampling.temperature was 0, is "
                                       "1; new was nothing, is x"));
  CHECK(refusal(dir).empty());
}

TEST_CASE("a directory that is not ours is not touched", "[journal]") {
  const TempDir foreign;
  foreign.write("results.jsonl", "precious\n");
  CHECK_THAT(refusal(foreign), Catch::Matchers::Contains("holds results but no"));
  CHECK(contents_of(foreign / "results.jsonl") == "precious\n");

  const TempDir dir;
  { const Journal journal(dir.path(), kIdentity, 4); }
  dir.write("journal/identity.json", "{");
  CHECK_FALSE(refusal(dir).empty());
  dir.write("journal/identity.json", "{\"format\":2,\"identity\":{}}");
  CHECK_THAT(refusal(dir), Catch::Matchers::Contains("not an identity file of this version"));

  const TempDir blocked;
  blocked.write("journal", "a file");
  CHECK_THAT(refusal(blocked), Catch::Matchers::Contains("a file stands where a folder is to be"));
}

TEST_CASE("a second run on one directory is refused while the first goes on", "[journal]") {
  const TempDir dir;
  {
    const Journal first(dir.path(), kIdentity, 4);
    CHECK_THAT(refusal(dir),
               Catch::Matchers::Contains("another run is using this output directory") &&
                   Catch::Matchers::Contains("process"));
  }
  CHECK(refusal(dir).empty());
}

TEST_CASE("a row is one line", "[journal]") {
  const TempDir dir;
  { const Journal journal(dir.path(), kIdentity, 4); }
  JournalPart part(dir.path(), 12345);
  part.append(0, true, row(0));
  part.append(1, true, row(1));
  CHECK(contents_of(dir / "journal/part-12345.jsonl") ==
        journal_line(0, row(0)) + journal_line(1, row(1)));
  CHECK_THROWS_AS(part.append(2, true, "two\nlines"), Error);
}

TEST_CASE("the identity names what decides the bits, and nothing else", "[journal]") {
  Job job;
  const Digest model = digest_of(std::string_view("model"));
  const Digest prompts = digest_of(std::string_view("prompts"));
  const JobIdentity identity = identity_of(job, model, prompts, "cpu");
  const auto same = [&](const Job& changed) {
    return identity_of(changed, model, prompts, "cpu") == identity;
  };
  const auto changed = [&](auto change) {
    Job other = job;
    change(other);
    return !same(other);
  };
  CHECK(changed([](Job& j) { j.sampling.temperature = 0; }));
  CHECK(changed([](Job& j) { j.sampling.seed = 1; }));
  CHECK(changed([](Job& j) { j.sampling.stop = {"x"}; }));
  CHECK(changed([](Job& j) { j.engine.layers = 2; }));
  CHECK(changed([](Job& j) { j.engine.max_sequence_length = 9; }));
  CHECK(changed([](Job& j) { j.engine.numerics = Numerics::fast; }));
  CHECK(changed([](Job& j) { j.output.digest = true; }));
  CHECK(changed([](Job& j) { j.input.format = InputFormat::text; }));
  CHECK_FALSE(changed([](Job& j) { j.parallel.tp = 4; }));
  CHECK_FALSE(changed([](Job& j) { j.engine.threads = 4; }));
  CHECK_FALSE(changed([](Job& j) { j.engine.kv_block = 64; }));
  CHECK_FALSE(changed([](Job& j) { j.model = "elsewhere"; }));
  CHECK_FALSE(changed([](Job& j) { j.input.file = "elsewhere"; }));
  CHECK(identity_of(job, prompts, prompts, "cpu") != identity);
  CHECK(identity_of(job, model, model, "cpu") != identity);
  CHECK(identity_of(job, model, prompts, "sm_90") != identity);
  for (const char* name : {"the version of weft", "the text libraries"}) {
    CHECK(std::any_of(identity.begin(), identity.end(), [&](const IdentityPart& part) {
      return part.name == name && !part.value.empty();
    }));
  }
}
