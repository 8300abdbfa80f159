#include "app/device_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "comm/session.h"
#include "cuda/devices.h"

namespace weft {
namespace {

/// Every rank must call it.
DeviceOffer own_offer(const JobEngine& engine, Group& world) {
  DeviceOffer offer{host_name(), host_share(world).rank, {}, {}};
  std::vector<GpuDevice> devices;
  // GPUs that cannot be used are no concern of a job that wants none.
  agree(world, [&] {
    if (engine.device != Device::cpu) devices = gpu_devices();
  });
  for (const GpuDevice& device : devices) {
    offer.uuids.push_back(device.uuid);
    offer.kinds.push_back(fmt::format("cuda sm_{}{}", device.major, device.minor));
  }
  return offer;
}

/// Whether the job runs on GPUs.
bool wants_gpus(const JobEngine& engine, const std::vector<DeviceOffer>& offers) {
  if (engine.device == Device::cpu) return false;
  const auto without = std::find_if(offers.begin(), offers.end(),
                                    [](const DeviceOffer& offer) { return offer.uuids.empty(); });
  const auto rank = without - offers.begin();
  if (engine.device == Device::cuda) {
    if (without == offers.end()) return true;
    fail_user("engine.device is cuda, but rank {} on {} sees no GPU{}", rank, without->host,
              cuda_toolkit().empty() ? ": this program was built without CUDA" : "");
  }
  const auto with = std::find_if(offers.begin(), offers.end(),
                                 [](const DeviceOffer& offer) { return !offer.uuids.empty(); });
  if (with == offers.end()) return false;
  if (without == offers.end()) return true;
  fail_user(
      "rank {} on {} sees a GPU and rank {} on {} sees none: set engine.device to cpu, or give "
      "every rank a GPU",
      with - offers.begin(), with->host, rank, without->host);
}

}  // namespace

std::vector<DeviceChoice> choose_devices(const JobEngine& engine,
                                         const std::vector<DeviceOffer>& offers) {
  std::vector<DeviceChoice> choices(offers.size());
  if (!wants_gpus(engine, offers)) return choices;
  std::map<std::string, std::vector<std::size_t>> ranks_of;  // by UUID
  std::vector<std::string> map;
  for (std::size_t rank = 0; rank < offers.size(); ++rank) {
    const DeviceOffer& offer = offers[rank];
    const std::size_t device = static_cast<std::size_t>(offer.local_rank) % offer.uuids.size();
    choices[rank].cuda = true;
    choices[rank].device = static_cast<int>(device);
    choices[rank].kind = offer.kinds[device];
    ranks_of[offer.uuids[device]].push_back(rank);
    map.push_back(fmt::format("rank {} on {}: GPU {}, {} ({})", rank, offer.host, device,
                              offer.kinds[device], offer.uuids[device]));
    if (choices[rank].kind != choices.front().kind) {
      fail_user("rank 0 has a GPU of kind {}, rank {} one of kind {}: their bits differ",
                choices.front().kind, rank, choices[rank].kind);
    }
  }
  for (const auto& [uuid, ranks] : ranks_of) {
    for (const std::size_t rank : ranks) {
      choices[rank].sharing = static_cast<int>(ranks.size());
      choices[rank].map = map;
    }
    if (ranks.size() > 1 && !engine.share_gpus) {
      fail_user(
          "ranks {} and {} would have the same GPU ({} on {}): start as many ranks on a host as it "
          "has GPUs, or set engine.share_gpus for a test",
          ranks[0], ranks[1], uuid, offers[ranks[0]].host);
    }
  }
  return choices;
}

DeviceChoice choose_device(const JobEngine& engine, Group& world) {
  const DeviceOffer mine = own_offer(engine, world);
  const nlohmann::json text = {mine.host, mine.local_rank, mine.uuids, mine.kinds};
  std::vector<DeviceOffer> offers;
  for (const std::string& line : gather_strings(world, text.dump())) {
    const nlohmann::json offer = nlohmann::json::parse(line);
    offers.push_back({offer[0], offer[1], offer[2], offer[3]});
  }
  std::vector<DeviceChoice> choices;
  agree(world, [&] { choices = choose_devices(engine, offers); });
  return choices[static_cast<std::size_t>(world.rank())];
}

}  // namespace weft
