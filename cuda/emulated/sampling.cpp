#include "cuda/ops/sampling.inl"
#include "cuda/ops/answers.inl"
