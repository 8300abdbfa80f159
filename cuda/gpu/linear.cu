#include "cuda/ops/linear.inl"
