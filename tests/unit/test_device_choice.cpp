// Which GPU each rank gets, without any.
#include "app/device_choice.h"
#include "base/error.h"
#include "catch.h"

namespace weft {
namespace {

DeviceOffer offer(const std::string& host, int local_rank, int gpus,
                  const std::string& kind = "cuda sm_90") {
  DeviceOffer result{host, local_rank, {}, {}};
  for (int i = 0; i < gpus; ++i) {
    result.uuids.push_back(host + "-" + std::to_string(i));
    result.kinds.push_back(kind);
  }
  return result;
}

JobEngine engine(Device device, bool share = false) {
  JobEngine result;
  result.device = device;
  result.share_gpus = share;
  return result;
}

TEST_CASE("each rank of a host gets the next GPU", "[device]") {
  const auto choices = choose_devices(engine(Device::automatic),
                                      {offer("a", 0, 2), offer("a", 1, 2), offer("b", 0, 4)});
  CHECK(choices[0].device == 0);
  CHECK(choices[1].device == 1);
  CHECK(choices[2].device == 0);
  for (const DeviceChoice& choice : choices) {
    CHECK(choice.cuda);
    CHECK(choice.kind == "cuda sm_90");
    CHECK(choice.sharing == 1);
    CHECK(choice.map.size() == 3);
  }
}

TEST_CASE("no GPU anywhere means CPUs unless GPUs are asked for", "[device]") {
  const std::vector<DeviceOffer> none = {offer("a", 0, 0), offer("a", 1, 0)};
  CHECK_FALSE(choose_devices(engine(Device::automatic), none)[1].cuda);
  CHECK(choose_devices(engine(Device::automatic), none)[0].kind == "cpu");
  CHECK_THROWS_AS(choose_devices(engine(Device::cuda), none), UserError);
}

TEST_CASE("GPUs on some hosts only, or of several kinds, are refused", "[device]") {
  const std::vector<DeviceOffer> some = {offer("a", 0, 1), offer("b", 0, 0)};
  CHECK_THROWS_AS(choose_devices(engine(Device::automatic), some), UserError);
  CHECK_THROWS_AS(choose_devices(engine(Device::cuda), some), UserError);
  CHECK_FALSE(choose_devices(engine(Device::cpu), some)[0].cuda);
  const std::vector<DeviceOffer> mixed = {offer("a", 0, 1), offer("b", 0, 1, "cuda sm_80")};
  CHECK_THROWS_AS(choose_devices(engine(Device::automatic), mixed), UserError);
}

TEST_CASE("two ranks share a GPU only when the job says so", "[device]") {
  const std::vector<DeviceOffer> three = {offer("a", 0, 2), offer("a", 1, 2), offer("a", 2, 2)};
  CHECK_THROWS_AS(choose_devices(engine(Device::cuda), three), UserError);
  const auto choices = choose_devices(engine(Device::cuda, true), three);
  CHECK(choices[0].sharing == 2);
  CHECK(choices[1].sharing == 1);
  CHECK(choices[2].device == 0);
}

}  // namespace
}  // namespace weft
