"""Saving and loading sparse autoencoders, and `course-sae`, which comes with the course.

A folder holds `config.json` (architecture, sizes, site, model) and `model.safetensors`.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from course_lib.models.assets import BUNDLED, asset_folder
from course_lib.models.folders import UnfitModel, check_files, read_config, reason
from course_lib.sae.base import SparseAutoencoder
from course_lib.sae.gated import GatedSAE
from course_lib.sae.jumprelu import JumpReLUSAE
from course_lib.sae.l1 import L1SAE
from course_lib.sae.topk import TopKSAE

ARCHITECTURES: dict[str, type[SparseAutoencoder]] = {
    found.kind: found for found in (L1SAE, TopKSAE, JumpReLUSAE, GatedSAE)
}


def save_sae(sae: SparseAutoencoder, folder: str | Path, model: str = "course-lm",
             dtype: torch.dtype = torch.float32) -> None:  # fmt: skip
    """Write an autoencoder to a folder, with the name of the model whose states it reads."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "course_sae", "kind": sae.kind, "d": sae.d, "features": sae.features,
              "options": sae.options, "site": sae.site, "model": model}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    weights = {name: p.detach().to(dtype).contiguous() for name, p in sae.named_parameters()}
    save_file(weights, folder / "model.safetensors")


def load_sae(name: str | Path = "course-sae") -> SparseAutoencoder:
    """Load an autoencoder by its bundled name or from a folder, in float32, frozen.

    Returns
    -------
    SparseAutoencoder
        Its `site` says which states it reads.

    Raises
    ------
    ValueError
        If there is no such name or folder, or the folder holds something else.
    AssetError
        If a bundled file is missing or damaged.

    Examples
    --------
    >>> sae = load_sae()
    >>> sae.d
    256
    """
    folder = asset_folder(str(name)) if str(name) in BUNDLED else Path(name)
    try:
        config = read_config(folder)
        if config["model_type"] != "course_sae":
            raise UnfitModel("the folder holds no sparse autoencoder; load_model may load it")
        check_files(folder)
        made = ARCHITECTURES[config["kind"]](config["d"], config["features"], **config["options"])
        weights = load_file(folder / "model.safetensors")
        made.load_state_dict({name: weight.float() for name, weight in weights.items()})
    except (UnfitModel, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"There is no autoencoder {str(name)!r}: {reason(error)}. Use 'course-sae', or a "
            "folder that save_sae has written."
        ) from None
    made.unit_decoder()  # half precision leaves lengths of 1.0003
    made.site = config["site"]
    return made.eval().requires_grad_(False)
