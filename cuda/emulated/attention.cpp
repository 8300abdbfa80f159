#include "cuda/ops/attention.inl"
