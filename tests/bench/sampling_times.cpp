#include "bench/sampling_times.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "comm/group.h"
#include "engine/sampler.h"

namespace weft::bench {
namespace {

constexpr std::int64_t kRows = 64;

struct Times {
  double elapsed = 1e30;
  double processor = 1e30;
};

Times least_seconds(const std::function<void()>& run) {
  Times least;
  run();
  for (int i = 0; i < 9; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t used = std::clock();
    run();
    const double processor = static_cast<double>(std::clock() - used) / CLOCKS_PER_SEC;
    const double elapsed =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    least = {std::min(least.elapsed, elapsed), std::min(least.processor, processor)};
  }
  return least;
}

struct Kind {
  std::string name;
  SamplingParams params;
};

std::vector<Kind> kinds() {
  std::vector<Kind> all(9);
  all[0] = {"greedy", {}};
  all[0].params.temperature = 0;
  all[1] = {"temperature 0.7", {}};
  all[1].params.temperature = 0.7;
  all[2] = {"top_p 0.95", {}};
  all[2].params.top_p = 0.95;
  all[3] = {"top_p 0.5", {}};
  all[3].params.top_p = 0.5;
  all[4] = {"top_k 20, top_p 0.95", {}};
  all[4].params.top_k = 20;
  all[4].params.top_p = 0.95;
  all[5] = {"top_k 1000", {}};
  all[5].params.top_k = 1000;
  all[6] = {"min_p 0.05", {}};
  all[6].params.min_p = 0.05;
  all[7] = {"presence_penalty, 1,000 tokens", {}};
  all[7].params.presence_penalty = 1;
  all[8] = {"logprobs 5", {}};
  all[8].params.logprobs = 5;
  for (Kind& kind : all) kind.params.max_tokens = 1 << 20;
  return all;
}

Times microseconds_a_row(Sampler& chooser, const Tensor& logits, const Kind& kind) {
  std::vector<Sequence> sequences;
  std::mt19937 random(3);
  for (std::int64_t row = 0; row < kRows; ++row) {
    Request request;
    request.sampling = kind.params;
    request.sampling.seed = random();
    request.prompt = {1};
    sequences.emplace_back(std::move(request), nullptr);
    for (int i = 0; i < 1000; ++i) {
      sequences.back().append(static_cast<TokenId>(random() % 30000), {}, 1 << 20);
    }
  }
  std::vector<LogitRow> rows;
  for (const Sequence& sequence : sequences) rows.push_back({&sequence, 1001});
  const Times seconds = least_seconds([&] { chooser.sample(logits, rows); });
  return {seconds.elapsed / kRows * 1e6, seconds.processor / kRows * 1e6};
}

}  // namespace

void print_sampling_times(Ops& ops, std::int64_t vocab) {
  const std::unique_ptr<Group> group = make_self_group();
  Vocabulary vocabulary(std::vector<Range>{{0, vocab}}, kRows, ops, *group);
  Sampler chooser(vocabulary, {}, false);
  Sampler digesting(vocabulary, {}, true);
  const Buffer buffer(ops.memory(), static_cast<Bytes>(kRows * vocab) * sizeof(float));
  const Tensor logits = buffer.tensor(DType::f32, {kRows, vocab});
  fmt::print("{}, {} columns, microseconds a row\n", ops.description(), vocab);
  fmt::print("{:<32}{:>18}{:>18}\n", "", "flat", "peaked");
  fmt::print("{:<32}{:>9}{:>9}{:>9}{:>9}\n", "", "elapsed", "cpu", "elapsed", "cpu");
  std::vector<float> values(static_cast<std::size_t>(kRows * vocab));
  std::vector<std::vector<Times>> times;
  for (const float deviation : {1.0F, 4.0F}) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0, deviation);
    for (float& value : values) value = normal(random);
    ops.upload(std::as_bytes(std::span(values)), logits);
    std::vector<Times>& column = times.emplace_back();
    for (const Kind& kind : kinds()) column.push_back(microseconds_a_row(chooser, logits, kind));
    column.push_back(microseconds_a_row(digesting, logits, kinds()[0]));
  }
  for (std::size_t i = 0; i < times[0].size(); ++i) {
    const std::string name = i < kinds().size() ? kinds()[i].name : "greedy, with digests";
    fmt::print("{:<32}{:>9.1f}{:>9.1f}{:>9.1f}{:>9.1f}\n", name, times[0][i].elapsed,
               times[0][i].processor, times[1][i].elapsed, times[1][i].processor);
  }
}

}  // namespace weft::bench
