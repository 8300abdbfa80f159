// The table of rules.
#include "layout/legality.h"

namespace weft {
namespace {

constexpr bool always(const LayoutLimits& /*limits*/) { return true; }
constexpr bool dense_layers(const LayoutLimits& limits) { return limits.down_segments > 0; }
constexpr bool experts(const LayoutLimits& limits) { return limits.experts > 0; }
constexpr bool no_experts(const LayoutLimits& limits) { return limits.experts == 0; }
constexpr bool shared_expert(const LayoutLimits& limits) { return limits.shared_segments > 0; }

/// One of the two is a multiple of the other.
constexpr bool commensurable(int a, int b) { return a % b == 0 || b % a == 0; }

constexpr std::string_view kAtLeastOne = "{axis}={size}: every axis has at least 1 rank";

// Where an axis has no rank, the rules behind these five are not looked at.
constexpr Rule kRules[] = {
    {Primitive::tp,
     {},
     {},
     kAtLeastOne,
     always,
     [](const AskedLayout& asked) { return asked.layout.tp >= 1; }},
    {Primitive::pp,
     {},
     {},
     kAtLeastOne,
     always,
     [](const AskedLayout& asked) { return asked.layout.pp >= 1; }},
    {Primitive::sp,
     {},
     {},
     kAtLeastOne,
     always,
     [](const AskedLayout& asked) { return asked.layout.sp >= 1; }},
    {Primitive::ep,
     {},
     {},
     kAtLeastOne,
     always,
     [](const AskedLayout& asked) { return asked.layout.ep >= 1; }},
    {Primitive::dp,
     {},
     {},
     kAtLeastOne,
     always,
     [](const AskedLayout& asked) { return asked.layout.dp >= 1; }},

    {Primitive::tp, Module::output, "up to {o_segments}: every rank needs a segment of its input",
     "tp={tp}: the attention output projection has {o_segments} segments, and every rank needs at "
     "least one",
     always, [](const AskedLayout& asked) { return asked.layout.tp <= asked.limits.o_segments; }},
    {Primitive::tp, Module::ffn,
     "up to {down_segments}: every rank needs a segment of the down projection's input",
     "tp={tp}: the ffn down projection has {down_segments} segments, and every rank needs at least "
     "one",
     dense_layers,
     [](const AskedLayout& asked) { return asked.layout.tp <= asked.limits.down_segments; }},
    {Primitive::pp,
     {},
     "up to {sublayers}: every stage needs a sub-layer, the attention or the ffn of a layer",
     "pp={pp}: the model has {sublayers} sub-layers (the attention and the ffn of each layer), and "
     "every stage needs at least one",
     always,
     [](const AskedLayout& asked) { return asked.layout.pp <= asked.limits.sublayers; }},
    {Primitive::tp, Module::experts,
     "up to {shared_segments}: every rank needs a segment of the shared expert's down projection",
     "tp={tp}: the shared expert's down projection has {shared_segments} segments, and every rank "
     "needs at least one",
     shared_expert,
     [](const AskedLayout& asked) { return asked.layout.tp <= asked.limits.shared_segments; }},
    {Primitive::ep, Module::ffn, "1: ep divides experts only, and the model has none",
     "{refusal}, and the model has none", no_experts,
     [](const AskedLayout& asked) { return asked.layout.ep == 1; }},
    {Primitive::ep, Module::experts, "up to {experts}: every part needs an expert",
     "ep={ep}: a layer has {experts} experts, and every part needs at least one", experts,
     [](const AskedLayout& asked) { return asked.layout.ep <= asked.limits.experts; }},
    {Primitive::ep, Module::experts,
     "a multiple of tp, or tp one of ep: every rank has the same place among the experts",
     "ep={ep} with tp={tp}: one must be a multiple of the other, so that every rank has the same "
     "place among the experts of its stage",
     experts,
     [](const AskedLayout& asked) { return commensurable(asked.layout.ep, asked.layout.tp); }},
    {Primitive::ep, Module::experts,
     "a divisor of sp times tp: the ranks of a stage share the experts",
     "ep={ep}: must divide the {stage} ranks of a stage (sp={sp} times tp={tp}), which share the "
     "experts",
     experts,
     [](const AskedLayout& asked) {
       const Layout& layout = asked.layout;
       return std::int64_t{layout.sp} * layout.tp % layout.ep == 0 ||
              !commensurable(layout.ep, layout.tp);  // the rule before is broken
     }},
    {Primitive::tp, Module::experts,
     "up to {expert_segments} times ep: every rank that shares an expert needs a segment of its "
     "down projection",
     "tp={tp} ep={ep}: each expert is shared by tp/ep = {sharers} ranks, but its down projection "
     "has {expert_segments} segments, and every rank needs at least one",
     experts,
     [](const AskedLayout& asked) {
       const Layout& layout = asked.layout;
       return !commensurable(layout.ep, layout.tp) || layout.tp <= layout.ep ||
              layout.tp / layout.ep <= asked.limits.expert_segments;
     }},
    {Primitive::dp,
     {},
     "whatever fills the job: tp times pp times sp times dp ranks",
     "{layout} needs {needed} ranks ({replica} for each replica), the job has {ranks}",
     always,
     [](const AskedLayout& asked) { return asked.layout.world_size() == asked.ranks; }},
};

}  // namespace

std::span<const Rule> rules() { return kRules; }

}  // namespace weft
