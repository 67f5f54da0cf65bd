"""Write a trained model into the package: fp16 weights, tokenizer, configuration."""

from __future__ import annotations

import copy

import torch
from torch import nn

from course_lib.world.tokenizer import build_tokenizer


def bundle(model: nn.Module, name: str) -> None:
    """Save `model` under `course_lib/assets/<name>` in half precision with its tokenizer."""
    from course_lib.assets import ASSETS, write_manifest

    folder = ASSETS / name
    folder.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(model).to(torch.float16).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes files that only their owner may read
    write_manifest()
