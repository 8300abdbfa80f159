// The readers that `load_tokenizer` chooses from, one per family of files.
#pragma once

#include <filesystem>
#include <memory>

#include "text/tokenizer/tokenizer.h"
#include "text/tokenizer/tokenizer_config.h"

namespace weft {

/// Hugging Face tokenizer.json with a BPE model.
std::unique_ptr<Tokenizer> load_tokenizer_json(const std::filesystem::path& model_dir,
                                               const TokenizerConfig& config);

/// vocab.json and merges.txt: byte-level BPE of the GPT-2 or the Qwen2 family.
std::unique_ptr<Tokenizer> load_vocab_merges(const std::filesystem::path& model_dir,
                                             const TokenizerConfig& config);

/// SentencePiece tokenizer.model.
std::unique_ptr<Tokenizer> load_sentencepiece(const std::filesystem::path& model_dir,
                                              const TokenizerConfig& config);

}  // namespace weft
