#include "cuda/ops/answers.inl"
#include "cuda/ops/sampling.inl"
