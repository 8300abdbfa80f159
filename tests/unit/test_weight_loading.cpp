// When one replica reads the weights for all.
#include "app/weight_loading.h"

#include <string>
#include <vector>

#include "catch.h"

namespace weft {
namespace {

TEST_CASE("weights are broadcast where the same bytes would be fetched for several hosts",
          "[weights]") {
  const std::vector<std::string> one_host{"a", "a", "a", "a"};
  const std::vector<std::string> two_hosts{"a", "a", "b", "b"};
  struct Case {
    WeightLoading asked;
    int replicas;
    const std::vector<std::string>& hosts;
    bool local;
    bool broadcasts;
  };
  const std::vector<Case> cases = {
      // What is asked for holds, whatever the machine is like.
      {WeightLoading::read, 4, two_hosts, false, false},
      {WeightLoading::read, 4, one_host, true, false},
      {WeightLoading::broadcast, 4, one_host, true, true},
      {WeightLoading::broadcast, 2, two_hosts, false, true},
      // One replica has nobody to send to.
      {WeightLoading::broadcast, 1, two_hosts, false, false},
      {WeightLoading::automatic, 1, two_hosts, false, false},
      // Left to the program: only a file system that several hosts share.
      {WeightLoading::automatic, 2, two_hosts, false, true},
      {WeightLoading::automatic, 4, two_hosts, false, true},
      {WeightLoading::automatic, 2, two_hosts, true, false},
      {WeightLoading::automatic, 2, one_host, false, false},
      {WeightLoading::automatic, 2, one_host, true, false},
  };
  for (const Case& test : cases) {
    INFO(name(test.asked) << ", " << test.replicas << " replicas, hosts from " << test.hosts.front()
                          << " to " << test.hosts.back() << (test.local ? ", local" : ", shared"));
    CHECK(broadcasts_weights(test.asked, test.replicas, test.hosts, test.local) == test.broadcasts);
  }
}

}  // namespace
}  // namespace weft
