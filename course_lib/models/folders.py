"""Can the course use this model? The one reason why not, with the file that is to blame.

A folder may be half copied, put together from two models, or hold something else altogether.
transformers reports that with the errors of three libraries, or not at all: a missing tokenizer
becomes an empty one, and a model that sees the words to come is scored as if it did not. So we
look before loading (`check_files`, `check_size`) and once more afterwards.
"""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

WEIGHTS = ("model.safetensors", "model.safetensors.index.json",
           "pytorch_model.bin", "pytorch_model.bin.index.json")  # fmt: skip
TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt")  # the first of them is read
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt")


TOKENIZER_FILES = "its tokenizer (tokenizer.json, tokenizer_config.json) cannot be used"


class UnfitModel(ValueError):
    """The reason why a model cannot be used, as half a sentence."""


def read_config(folder: Path) -> dict[str, Any]:
    """The settings in config.json; UnfitModel if they are not there or not those of a model."""
    if not (folder / "config.json").is_file():
        adapter = (folder / "adapter_config.json").is_file()
        raise UnfitModel(ADAPTER if adapter else "the folder has no config.json: no saved model")
    config = _sound(folder / "config.json")
    if not isinstance(config.get("model_type"), str):
        raise UnfitModel("config.json names no model_type, so it is no configuration of a model")
    return config


def check_files(folder: Path) -> list[Path]:
    """Look at each file that loading will read; the files of the weights.

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
        shards = listed.get("weight_map")
        if not shards or not isinstance(shards, dict):
            raise UnfitModel(f"a file is missing or unreadable: {weights[0]} (it lists no files)")
        weights = sorted(set(map(str, shards.values())))
    tokenizer = [name for name in TOKENIZERS if (folder / name).is_file()][:1]
    for name in [*weights, *tokenizer, *(s for s in SETTINGS if (folder / s).is_file())]:
        _sound(folder / name)
    return [folder / name for name in weights]


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


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Say `what` is the trouble, where a library fails for another reason than the network."""
    try:
        yield
    except Exception as error:  # of whatever library: what it reads is to blame, not the student
        if isinstance(error, OSError | UnfitModel) or type(error).__module__.startswith("httpx"):
            raise
        raise UnfitModel(reason(error, what)) from None


def check_size(auto: Any, config: Any, files: Sequence[Path]) -> None:
    """Raise UnfitModel if config.json describes a model far larger than the weights in `files`.

    Looked at before loading: room for the weights that are not there could fill the memory.
    """
    with blaming("config.json describes no model that can be built"), torch.device("meta"):
        needed = auto.from_config(config, trust_remote_code=False).num_parameters()
    there = sum(file.stat().st_size for file in files)
    if needed > 2 * there:  # half a byte a weight is the least that anybody stores
        raise UnfitModel(
            "config.json and the weights do not belong together: by config.json there are "
            f"{needed:,} weights, and {files[0].name} has {there:,} bytes"
        )


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


@blaming(TOKENIZER_FILES)
def check_tokenizer(model: Any, tokenizer: Any) -> None:
    """Raise UnfitModel for a tokenizer that reads nothing, or has ids that the model has not.

    A tokenizer of less than half the tokens gives a warning.
    """
    vocab = tokenizer.get_vocab()
    if vocab.keys() <= {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}:
        raise UnfitModel(NO_TOKENIZER)
    if not tokenizer("A text", add_special_tokens=False)["input_ids"]:
        raise UnfitModel("the tokenizer files do not belong together: words give no tokens")
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
            stacklevel=5,
        )


ADAPTER = (
    "it holds an adapter and no whole model. Load it with peft, and save model.merge_and_unload()"
)
NO_TOKENIZER = (
    "it has no tokenizer files, such as tokenizer.json; a checkpoint of a training run often "
    "lacks them. Write them beside the weights: tokenizer.save_pretrained(folder)"
)


@blaming("the model cannot read a text")
@torch.no_grad()
def check_logits(model: Any, masked: bool) -> None:
    """Raise UnfitModel if the logits are no numbers, or depend on what a model should not see.

    Only a masked model may say something else before a word to come that is another one.
    Cost: one forward pass over six tokens.
    """
    ids = torch.tensor([[0, 0, 0], [0, 0, 1]], device=model.device)
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, :2].double()
    if bool(logits.isnan().any()):
        raise UnfitModel(
            f"its logits are no numbers: the weights are damaged, or too large for {model.dtype}"
        )
    rounding = min(0.05, 100 * torch.finfo(model.dtype).eps) * float(logits.abs().max())
    if not masked and bool((logits[0] - logits[1]).abs().max() > rounding):
        raise UnfitModel(
            f"it is no left-to-right model: {type(model).__name__} sees the words to come, so what "
            "it says about the next word is no prediction"
        )


# What libraries say -> what it means here. Never their advice to run code or to trust a file.
MEANINGS = {
    "custom code": "it needs code that comes with it, and the course runs no code from model "
    "folders",
    "weights_only": "pytorch_model.bin is damaged, or holds code, which the course does not run",
    "backend tokenizer": NO_TOKENIZER,
    "`merges`": "vocab.json and merges.txt belong together, and one of the two is missing",
    "iktoken|entence[Pp]iece": "its tokenizer is there only as a file of sentencepiece; it needs "
    "tokenizer.json, or the package: pip install sentencepiece",
}


def reason(error: BaseException, what: str = "") -> str:
    """Half a sentence about an error of loading; `what` is the part that could not be used."""
    text = str(error).strip()
    if isinstance(error, UnfitModel):
        return text
    for sign, meaning in MEANINGS.items():
        if re.search(sign, text):
            return meaning
    lines = [line.strip().rstrip(".:") for line in text.splitlines() if line.strip()]
    told = f"{type(error).__name__}: {': '.join(lines[:2]) or 'no details'}"
    return f"{what} ({told})" if what else told
