"""Tiny random models and their tokenizer, made in code: for tests of what runs models, not of what models know."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

WORDS = (
    "the of and a house dog ran over hill we then saw old boat with my it furthermore crucial landscape delve tapestry "
    "moreover overall key is binding had come loose brown stains along margin every page nobody opened book since flood"
).split()


def need_torch() -> None:
    """Skip, saying so, where the `lm` extra is not installed."""
    for package in ("torch", "transformers", "tokenizers"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'foxing[lm]' to run this test")
    import torch

    torch.set_num_threads(1)  # tests run side by side, on models that gain nothing from more


def write_tokenizer(folder: Path, *, marks: bool = True, words: tuple[str, ...] = ()) -> None:
    """A word tokenizer with single letters for what it does not know, [CLS] and [SEP] around a text if `marks`."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    letters = [chr(code) for code in range(33, 127)]
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters), *WORDS, *words]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=200))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if marks:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    wrapped.save_pretrained(folder)


def vocabulary_size(folder: Path) -> int:
    from transformers import AutoTokenizer

    return len(AutoTokenizer.from_pretrained(folder))


def write_encoder(folder: Path, *, labels: tuple[str, ...] = ("human", "machine"), seed: int = 0) -> Path:
    """A BERT of two layers with a classification head."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    write_tokenizer(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=vocabulary_size(folder),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.3,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def write_base(folder: Path, seed: int = 0) -> Path:
    """The same encoder without a head, to be fine-tuned."""
    import torch
    from transformers import BertConfig, BertModel

    write_tokenizer(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=vocabulary_size(folder),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def write_causal(folder: Path, *, seed: int = 0, marks: bool = False, words: tuple[str, ...] = ()) -> Path:
    """A Llama of two layers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    write_tokenizer(folder, marks=marks, words=words)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary_size(folder),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.3,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def prose(words: int, seed: int) -> str:
    """So many words of the tokenizer's, at random."""
    return " ".join(random.Random(seed).choices(WORDS, k=words)) + "."
