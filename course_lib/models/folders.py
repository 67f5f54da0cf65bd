"""Can the course use this model? The one reason why not, with the file that is to blame.

A folder may be half copied, put together from two models, or hold something else altogether.
transformers reports that with the errors of three libraries, or not at all: a missing tokenizer
becomes an empty one, and a model that sees the words to come is scored as if it did not. So we
look before loading (`check_files`) and once more afterwards (`check_config`, `check_model`).
"""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

WEIGHTS = ("model.safetensors", "model.safetensors.index.json",
           "pytorch_model.bin", "pytorch_model.bin.index.json")  # fmt: skip
TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt")  # the first of them is read
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt")


class UnfitModel(ValueError):
    """The reason why a model cannot be used, as half a sentence."""


def read_config(folder: Path) -> dict[str, Any]:
    """The settings in config.json; UnfitModel if they are not there or not those of a model."""
    if not (folder / "config.json").is_file():
        raise UnfitModel("the folder has no config.json, so it holds no saved model")
    config = _sound(folder / "config.json")
    if not isinstance(config.get("model_type"), str):
        raise UnfitModel("config.json names no model_type, so it is no configuration of a model")
    return config


def check_files(folder: Path) -> None:
    """Look at each file that loading will read.

    Raises
    ------
    UnfitModel
        Naming the first file that is missing, empty, cut off, damaged, a web page, or the
        pointer that git-lfs leaves in the place of a large file.
    """
    weights = [name for name in WEIGHTS if (folder / name).is_file()][:1]
    if not weights:
        raise UnfitModel("a file is missing or unreadable: there is no model.safetensors")
    listed = _sound(folder / weights[0])
    if isinstance(listed, dict):  # an index, of weights in several files
        weights = sorted(set(map(str, listed.get("weight_map", {}).values())))
    tokenizer = [name for name in TOKENIZERS if (folder / name).is_file()][:1]
    for name in [*weights, *tokenizer, *(s for s in SETTINGS if (folder / s).is_file())]:
        _sound(folder / name)


def _sound(file: Path) -> Any:
    """What is in a JSON file, or None for another sound file; UnfitModel for a damaged one."""
    try:
        with open(file, "rb") as opened:
            head = opened.read(200).lstrip()
        if not head:
            raise ValueError("it is empty")
        if head.startswith(b"version https://git-lfs"):
            raise ValueError("it is a pointer of git-lfs; run `git lfs pull` in the folder")
        if head.lower().startswith((b"<!doctype", b"<html")):
            raise ValueError("it is a web page, not the file itself; download it again")
        return _content(file)
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UnfitModel(f"a file is missing or unreadable: {file.name} ({told})") from None


def _content(file: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    if file.suffix == ".json":
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON object {...}")
        return content
    if file.suffix == ".safetensors":
        try:
            safe_open(file, "pt")  # reads the header, and compares the length with it
        except SafetensorError as error:
            raise ValueError(f"it is damaged or cut off; {error}") from None
    elif file.suffix == ".bin" and not zipfile.is_zipfile(file):
        with open(file, "rb") as opened:
            if opened.read(1) != b"\x80":  # the weights of old versions were not zipped
                raise ValueError("it is damaged or cut off")
    return None


def is_masked(config: Any) -> bool:
    """Is it a masked model (True) or a left-to-right one (False)? UnfitModel if neither."""
    from transformers.models.auto import modeling_auto as auto

    from course_lib.architectures import FAMILIES

    kind, names = config.model_type, config.architectures or []
    causal = kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = kind in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    what = "is neither a left-to-right nor a masked language model"
    if getattr(config, "is_encoder_decoder", False):
        raise UnfitModel(f"this {kind!r} model {what}: it is an encoder-decoder")
    if not causal and not masked:
        raise UnfitModel(f"this {kind!r} model {what} that the course can read")
    if any(re.search("Classification|Answering|Choice", name) for name in names):
        raise UnfitModel(f"this model {what}: it was saved as {names[0]}")
    if getattr(config, "is_decoder", False) and causal:
        return False  # the BERT family can be built to read from left to right
    family = FAMILIES.get(kind)
    says_so = any(name.endswith("ForMaskedLM") for name in names)
    return masked and (not causal or says_so or (family is not None and not family.is_causal))


def check_weights(model: Any, report: dict[str, Any]) -> None:
    """Raise UnfitModel unless the weights in the file were exactly those of the model.

    `report` is what ``from_pretrained`` gives with ``output_loading_info=True``.
    """
    if report["mismatched_keys"]:
        name, saved, needed = sorted(report["mismatched_keys"])[0]
        raise UnfitModel(
            f"config.json and the weights do not belong together: {name} has shape {list(saved)} "
            f"in the file and {list(needed)} by config.json"
        )
    if report["missing_keys"]:
        raise UnfitModel(
            f"it was saved without {sorted(report['missing_keys'])[:3]}: these weights would be "
            "random. Choose a folder saved from a complete language model"
        )
    # other leftovers are harmless: buffers of old versions, layers for other purposes
    names, extra = model.state_dict().keys(), sorted(report["unexpected_keys"])
    layers = [name for name in extra if re.sub(r"\.\d+\.", ".0.", name, count=1) in names]
    if layers:
        raise UnfitModel(
            "config.json and the weights do not belong together: the file has layers that "
            f"config.json leaves out, such as {layers[0]}"
        )


def check_tokenizer(model: Any, tokenizer: Any) -> None:
    """Raise UnfitModel for an empty tokenizer, or one with ids that the model does not have.

    A tokenizer of less than half the tokens gives a warning.
    """
    vocab = tokenizer.get_vocab()
    if vocab.keys() <= {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}:
        raise UnfitModel(NO_TOKENIZER)
    rows, most = model.get_input_embeddings().weight.shape[0], max(vocab.values()) + 1
    if most > rows:
        raise UnfitModel(
            f"its tokenizer has {most:,} tokens and the embedding of the model {rows:,}: tokenizer "
            "and weights do not belong together"
        )
    if most < rows / 2:
        warnings.warn(
            f"The tokenizer of this model has {most:,} tokens, and its embedding {rows:,} rows: do "
            "they come from the same model?",
            stacklevel=4,
        )


NO_TOKENIZER = (
    "it has no tokenizer files, such as tokenizer.json; a checkpoint of a training run often "
    "lacks them. Write them beside the weights: tokenizer.save_pretrained(folder)"
)


@torch.no_grad()
def check_direction(model: Any) -> None:
    """Raise UnfitModel if a word to come changes what the model predicts before it.

    Cost: one forward pass over six tokens.
    """
    ids = torch.tensor([[0, 0, 0], [0, 0, 1]], device=model.device)
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, :2].double()
    rounding = min(0.05, 100 * torch.finfo(model.dtype).eps) * float(logits.abs().max())
    if bool((logits[0] - logits[1]).abs().max() > rounding):
        raise UnfitModel(
            f"it is no left-to-right model: {type(model).__name__} sees the words to come, so what "
            "it says about the next word is no prediction"
        )


def reason(error: BaseException) -> str:
    """Half a sentence about an error of loading."""
    first = (str(error).strip().splitlines() or ["no details"])[0]
    if isinstance(error, UnfitModel):
        return str(error)
    if "custom code" in str(error):
        return "it needs code that comes with it, and the course runs no code from model folders"
    if "backend tokenizer" in first:
        return NO_TOKENIZER
    if "`merges`" in first:
        return "vocab.json and merges.txt belong together, and one of the two is missing"
    return f"{type(error).__name__}: {first.rstrip('.')}"
