#include "cuda/ops/experts.inl"
