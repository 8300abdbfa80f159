#include "cuda/ops/rows.inl"
#include "cuda/ops/logits.inl"
