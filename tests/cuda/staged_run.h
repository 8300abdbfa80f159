// A replica whose ranks compute on GPU memory and exchange data by way of the host.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "cuda/staged_group.h"
#include "device_under_test.h"
#include "support/replica.h"

namespace weft::test {

/// The digest of the completions, computed by operators of its own.
inline Digest staged_digest(const SyntheticModel& model, const std::vector<Request>& requests,
                            ReplicaOptions options, std::unique_ptr<Group> group, int variant) {
  const auto ops = testing::make_device(variant);
  const auto staged = make_staged_group(std::move(group), *ops);
  options.borrowed_ops = ops.get();
  Replica replica(model.path(), options, *staged);
  return digest_of_completions(replica.complete(requests));
}

}  // namespace weft::test
