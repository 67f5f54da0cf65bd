"""Write a trained model into the package: fp16 weights, tokenizer, configuration, checksums."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import nn

from course_lib.models.assets import ASSETS, write_manifest
from course_lib.models.ngram import NGramModel
from course_lib.world.tokenizer import build_tokenizer


def bundle(model: nn.Module, name: str) -> None:
    """Save `model` under `course_lib/assets/<name>` in half precision with its tokenizer."""
    folder = ASSETS / name
    folder.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(model).to(torch.float16).save_pretrained(folder)
    tokenizer = build_tokenizer()
    if name == "course-bert":  # a masked model reads both ends of a text, as in training
        from tokenizers.processors import TemplateProcessing

        ends = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("[BOS]", "[EOS]")]
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="[BOS] $A [EOS]", special_tokens=ends
        )
    tokenizer.save_pretrained(folder)
    seal(folder)


def bundle_ngram(model: NGramModel) -> None:
    """Save the n-gram model, which keeps its tokenizer itself."""
    folder = ASSETS / "course-ngram"
    model.save(folder)
    seal(folder)


def seal(folder: Path) -> None:
    """Make the files readable for all (safetensors does not) and renew the checksums."""
    for file in folder.iterdir():
        file.chmod(0o644)
    write_manifest()
