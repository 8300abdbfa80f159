#include "cuda/ops/sampling_results.inl"
#include "cuda/ops/sampling.inl"
