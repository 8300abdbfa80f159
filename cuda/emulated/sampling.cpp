#include "cuda/ops/sampling.inl"
