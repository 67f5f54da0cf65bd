"""Load a language model: one that comes with the course, a local folder, or one of the hub.

``load_model()`` gives the bundled course model; ``load_model("path/to/folder")`` and
``load_model("gpt2")`` work the same way for a local folder and for a model of the Hugging Face
hub. What comes back can be asked for tokens, logits and log-probabilities: see
:class:`~course_lib.models.language_model.LanguageModel`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from course_lib.models import folders
from course_lib.models.assets import BUNDLED, asset_folder
from course_lib.models.language_model import LanguageModel
from course_lib.models.next_tokens import NextTokens
from course_lib.models.text_model import TextModel, UnknownWordsWarning

__all__ = [
    "LanguageModel", "ModelNotFoundError", "NextTokens", "TextModel", "UnknownWordsWarning",
    "load_model",
]  # fmt: skip

DEFAULT_MODEL = "course-lm"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


class ModelNotFoundError(ValueError):
    """The model is neither bundled, nor a folder with a model, nor to be had from the hub."""


def load_model(name: str | None = None, *, dtype: torch.dtype = torch.float32) -> TextModel:
    """Load a language model by bundled name, local folder or hub id.

    Parameters
    ----------
    name : str, optional
        Default: the environment variable ``COURSE_MODEL`` if set, else "course-lm". A bundled
        name goes before a folder of that name, a folder before the hub.
    dtype : torch.dtype
        Weights are converted to this type, whatever the type of the file.

    Returns
    -------
    LanguageModel
        In evaluation mode, parameters frozen, no key-value cache. "course-ngram" gives an
        ``NGramModel``, which has the same methods for tokens and probabilities.

    Raises
    ------
    ModelNotFoundError
        If the name is none of the three, the folder holds no model, or the hub cannot be reached
        and has not been used for this model before; the message lists the ways out.
    AssetError
        If a file of a bundled model is missing or corrupted.

    Notes
    -----
    The network is used only for a hub id, and only if the model is not yet in the local cache
    and ``HF_HUB_OFFLINE`` is not set.

    Examples
    --------
    >>> lm = load_model()
    >>> lm.name, lm.is_causal
    ('course-lm', True)
    """
    name = str(name or os.environ.get("COURSE_MODEL") or DEFAULT_MODEL)
    if name in BUNDLED:
        return _load_folder(asset_folder(name), name, dtype)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _load_folder(folder, name, dtype)
    # a misspelt bundled name or path must not become a request to the network
    if name.startswith("course-") or not HUB_ID.fullmatch(name):
        raise ModelNotFoundError(_ways_out(name, "it is not a bundled name or an existing folder"))
    return _load_from_hub(name, dtype)


def _load_folder(folder: Path, name: str, dtype: torch.dtype) -> TextModel:
    try:
        kind = folders.read_config(folder)["model_type"]
        if kind == "course_sae":
            raise folders.UnfitModel("it is no language model; course_lib.sae.load_sae loads it")
        return _load_kind(kind, folder, name, dtype)
    except Exception as error:  # of whatever library: the folder is to blame, not the student
        raise ModelNotFoundError(_ways_out(name, folders.reason(error))) from None


def _load_kind(kind: str, folder: Path, name: str, dtype: torch.dtype) -> TextModel:
    files = folders.check_files(folder)
    if kind == "course_ngram":
        from course_lib.models.ngram import NGramModel

        model = NGramModel.load(folder)
        model.name = name
        return model
    if kind in ("course_lstm", "course_txl"):
        from course_lib.models.recurrent import load_baseline
        from course_lib.models.text_model import course_tokenizer

        return LanguageModel(load_baseline(folder, dtype), course_tokenizer(folder), name)
    return _load_transformers(str(folder), name, dtype, True, files)


def _load_from_hub(name: str, dtype: torch.dtype) -> LanguageModel:
    import httpx

    # the local cache first: a model that was fetched once needs no network again
    for local_only in (True, False):
        try:
            return _load_transformers(name, name, dtype, local_only)
        except (OSError, httpx.HTTPError) as error:
            failure = error
        except Exception as error:
            raise ModelNotFoundError(_ways_out(name, folders.reason(error))) from None
    reason = (
        f"it is not in the local cache and the hub could not deliver it ({folders.reason(failure)})"
    )
    raise ModelNotFoundError(_ways_out(name, reason)) from failure


def _load_transformers(
    source: str, name: str, dtype: torch.dtype, local_files_only: bool, files: Sequence[Path] = ()
) -> LanguageModel:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

    # code that comes with a model is not run; without the second word transformers would ask
    given = {"local_files_only": local_files_only, "trust_remote_code": False}
    with _quiet(local_files_only):
        with folders.blaming("config.json cannot be used"):
            config = AutoConfig.from_pretrained(source, **given)
            masked = folders.is_masked(config)
        with folders.blaming(folders.TOKENIZER_FILES):
            tokenizer = AutoTokenizer.from_pretrained(source, **given)
        auto = AutoModelForMaskedLM if masked else AutoModelForCausalLM
        if files:
            folders.check_size(auto, config, files)
        # sizes that differ are reported, and refused below
        given |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
        with folders.blaming("the weights cannot be loaded as config.json says"):
            model, report = auto.from_pretrained(source, config=config, dtype=dtype, **given)
    folders.check_weights(model, report)
    folders.check_tokenizer(model, tokenizer)
    folders.check_logits(model, masked)
    return LanguageModel(model, tokenizer, name)


@contextmanager
def _quiet(local: bool) -> Iterator[None]:
    """Say nothing while loading: what matters is raised. The bars of a download stay."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    if local:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if local and shown:
            logging.enable_progress_bar()


def _ways_out(name: str, reason: str) -> str:
    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    switched_off = " The hub is switched off here by HF_HUB_OFFLINE." if offline else ""
    return (
        f"The model {name!r} could not be loaded: {reason}.{switched_off} Three ways out:\n"
        f"  1. Use a model that comes with the course: {', '.join(BUNDLED[:-1])}.\n"
        "  2. Pass a folder on this computer with config.json, model.safetensors and the tokenizer "
        "files, as save_pretrained writes it.\n"
        "  3. For a model of the Hugging Face hub: with a network and HF_HUB_OFFLINE unset, run\n"
        f"         hf download {name if HUB_ID.fullmatch(name) else 'OWNER/NAME'}\n"
        "     once; from then on it loads from the cache, also offline."
    )
