"""Change a feature and run on: does the model use it?

A state is what the autoencoder explains plus what it does not:

    x = x_hat + error = b + sum_c f_c d_c + error

Changing f_c to a value v and keeping all the rest, the error as well, gives

    x' = x + (v - f_c(x)) d_c

so that everything the autoencoder misses stays as it was: with v = f_c(x) nothing changes at all.
Without the error term an effect could come from the bad reconstruction alone. The functions here
return edits for `course_lib.activations.replace`. The start token is never changed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.sae.base import SparseAutoencoder, check_width

Edit = Callable[[Tensor], Tensor]


def check_feature(sae: SparseAutoencoder, feature: int) -> int:
    """The feature's number; ValueError if there is none."""
    if not 0 <= feature < sae.features:
        raise ValueError(f"There is no feature {feature}: this one has 0 to {sae.features - 1}.")
    return int(feature)


def clamp(
    sae: SparseAutoencoder,
    feature: int,
    value: float,
    along: Tensor | None = None,
    tokens: slice | None = None,
) -> Edit:
    """Set a feature to one value at every token, or at some.

    Parameters
    ----------
    sae : SparseAutoencoder
    feature : int
    value : float
        In the units of its strengths; several times its maximum to push, 0 to ablate.
    along : Tensor [d], optional
        Move along this direction instead of the feature's own, by as much: for controls. Its length
        is brought to 1.
    tokens : slice, optional
        Places in the text to change, such as slice(5, 6); default all but the start token.

    Returns
    -------
    function of states [B, T, d]
        For `replace(lm, {sae.site: clamp(sae, 17, 80.0)})`.

    Raises
    ------
    ValueError
        For a feature that is not there, or a direction of length 0.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.activations import replace
    >>> from course_lib.sae import load_sae
    >>> lm, sae = load_model(), load_sae()
    >>> with replace(lm, {sae.site: clamp(sae, 0, 50.0)}):
    ...     changed = lm.logits("The dog sleeps.")
    >>> bool((changed == lm.logits("The dog sleeps.")).all())
    False
    """
    feature = check_feature(sae, feature)
    direction = sae.W_dec[feature].detach() if along is None else along
    if not bool(direction.norm()):
        raise ValueError("The direction to move along has length 0.")
    direction = direction / direction.norm()

    def edit(x: Tensor) -> Tensor:
        check_width(sae, x)
        moved = value - sae.encode(x)[..., feature]  # [B, T]
        here = torch.zeros_like(moved)
        here[:, slice(None) if tokens is None else tokens] = 1.0
        here[:, 0] = 0.0  # never the start token
        return x + ((here * moved)[..., None] * direction).to(x)  # [B, T, 1] * [d]

    return edit


def reconstruct(sae: SparseAutoencoder, change: Edit | None = None, error: bool = True) -> Edit:
    """Replace states by their reconstruction, with or without the error term.

    Parameters
    ----------
    change : function of strengths [B, T, F], optional
        Applied before decoding; default none. It gets a copy.
    error : bool
        True adds x - x_hat, as it is without the change: with no change the state is exact, up to
        rounding. False shows what the model does with the autoencoder's reconstruction alone.
    """

    def edit(x: Tensor) -> Tensor:
        check_width(sae, x)
        f = sae.encode(x)
        new = sae.decode(f if change is None else change(f.clone()))
        # x + (changed - x_hat) = changed + (x - x_hat): the error term comes along
        new = x + (new - sae.decode(f)) if error else new
        return torch.cat([x[:, :1], new[:, 1:].to(x)], dim=1)

    return edit
