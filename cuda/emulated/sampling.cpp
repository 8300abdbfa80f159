#include "cuda/ops/sampling.inl"
#include "cuda/ops/sampling_results.inl"
