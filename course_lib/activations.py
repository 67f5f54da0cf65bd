"""Look at the inside of a model, or change it, while it runs: `record` and `replace`.

Sites such as "resid_post.3" are listed in ``course_lib.models.sites``.

Both are context managers around plain PyTorch hooks on the unmodified model. They remove their
hooks at the end, also after an exception, and they nest: hooks run in the order of entering, so
a `record` inside a `replace` sees the replaced value, and a `record` around it the original.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from course_lib.architectures import parts
from course_lib.models.sites import Place, find_place

Edit = Tensor | Callable[[Tensor], Tensor]


class Recording(dict):
    """The recorded tensors by site name; filled by each forward pass, the last one stays."""

    def __missing__(self, site: str) -> Tensor:
        raise KeyError(
            f"No recording of {site!r}. Recorded: {sorted(self) or 'nothing'}. A site must be "
            "listed in record(...), and the model must run inside the with block."
        )


@contextmanager
def record(model: Any, sites: str | Iterable[str]) -> Iterator[Recording]:
    """Record the tensors at some sites during the forward passes of a ``with`` block.

    Parameters
    ----------
    model : LanguageModel or transformers model
        Of one of the families in ``course_lib.architectures``.
    sites : str or iterable of str

    Yields
    ------
    Recording
        A dict from site to tensor, filled when the model runs and kept after the block. Tensors
        are those of the model, not copies. Where something upstream requires gradients (for
        example a leaf put in place with ``replace``) they are part of the graph, so that
        ``torch.autograd.grad`` can be taken with respect to them; use ``torch.no_grad()`` or
        ``.detach()`` where none are wanted. A second forward pass overwrites the first.

    Raises
    ------
    ValueError
        For a site that does not exist in this model.
    UnsupportedArchitecture
        For a model family that is not in the table.

    Examples
    --------
    >>> from course_lib import load_model
    >>> lm = load_model()
    >>> with record(lm, ["resid_pre.0", "attn_out.0", "mlp_out.0", "resid_post.0"]) as seen:
    ...     _ = lm.logits("The dog sleeps.")
    >>> parts = seen["resid_pre.0"] + seen["attn_out.0"] + seen["mlp_out.0"]
    >>> parts.allclose(seen["resid_post.0"], atol=1e-5)
    True
    """
    names = [sites] if isinstance(sites, str) else list(sites)
    known = parts(model)
    places = {site: find_place(known, site) for site in names}
    seen = Recording()
    with ExitStack() as stack:
        for site, place in places.items():
            _attach(place, lambda x, site=site: seen.__setitem__(site, x), stack)
        yield seen


@contextmanager
def replace(model: Any, edits: Mapping[str, Edit]) -> Iterator[None]:
    """Replace the tensors at some sites during the forward passes of a ``with`` block.

    Parameters
    ----------
    model : LanguageModel or transformers model
    edits : dict from site to tensor or function
        A tensor takes the place of the site's tensor; a function receives a copy of it and
        returns the new one. Shape and dtype must stay the same. Gradients flow through.

    Raises
    ------
    ValueError
        For a site that does not exist, a wrong shape or dtype, or a function that returns
        nothing.
    UnsupportedArchitecture
        For a model family that is not in the table.

    Examples
    --------
    >>> from course_lib import load_model
    >>> lm = load_model()
    >>> with replace(lm, {"attn_out.0": lambda x: x * 0}):
    ...     without_attention = lm.logits("The dog sleeps.")
    >>> bool((without_attention == lm.logits("The dog sleeps.")).all())
    False
    """
    known = parts(model)
    places = {site: find_place(known, site) for site in edits}
    if any(site.startswith("pattern") for site in edits):
        raise ValueError(
            "Attention weights can be recorded but not replaced: the model returns them after "
            "use. Replace z, or pass a 4-dimensional attention mask to block attention."
        )
    with ExitStack() as stack:
        for site, place in places.items():
            _attach(place, _edit_function(site, edits[site]), stack)
        yield


def _edit_function(site: str, edit: Edit) -> Callable[[Tensor], Tensor]:
    if not isinstance(edit, Tensor) and not callable(edit):
        raise ValueError(
            f"The edit of {site!r} must be a tensor or a function, got {type(edit).__name__}."
        )

    def visit(x: Tensor) -> Tensor:
        # a copy, so that in-place changes do not reach tensors recorded elsewhere
        new = edit if isinstance(edit, Tensor) else edit(x.clone())
        if not isinstance(new, Tensor):
            raise ValueError(
                f"The function for {site!r} returned {type(new).__name__}; it must return the "
                "new tensor. Is a `return` missing?"
            )
        if new.shape != x.shape or new.dtype != x.dtype:
            raise ValueError(
                f"The replacement for {site!r} has shape {list(new.shape)} and {new.dtype}, the "
                f"site has {list(x.shape)} and {x.dtype}. They must agree; use expand_as to "
                "repeat a vector over batch and tokens, .to(x.dtype) to convert."
            )
        return new

    return visit


def _attach(place: Place, visit: Callable[[Tensor], Tensor | None], stack: ExitStack) -> None:
    """Show the tensor at a place to `visit` in each forward pass; write back what it returns."""
    batch: dict[str, Any] = {}
    changes: list[Tensor] = []
    if place.flat_in is not None:
        # the block around it still knows B and T
        stack.callback(_note_batch(place.flat_in, batch).remove)

    def on_tensor(raw: Tensor) -> Tensor | None:
        # some families hand their MLP [B * T, d]; a site is [B, T, d] in all of them
        x = raw.unflatten(0, batch["shape"]) if raw.dim() == 2 and batch else raw
        whole = x.unflatten(-1, (place.heads, -1)) if place.heads else x  # z: [B, T, H, d_head]
        # one head: [B, T, d_head]
        x = whole if place.head is None else whole[..., place.head, :]
        new = visit(x)
        if new is None and (x is raw or not x.requires_grad):
            return None
        # a recorded view goes back too: only so does the gradient flow through it
        new = x if new is None else new
        if place.head is not None:
            # a copy: what others recorded of the other heads stays as it was
            head, new = new, whole.clone()
            new[..., place.head, :] = head
        new = new if new.shape == raw.shape else new.reshape(raw.shape)  # as the module has it
        if place.skip_to is not None:
            changes.append(new - raw)  # what the skip connection has not seen
        return new

    hook = _input_hook(on_tensor) if place.is_input else _output_hook(on_tensor, place.item or 0)
    if place.is_input:
        handle = place.module.register_forward_pre_hook(hook, with_kwargs=True)
    else:
        handle = place.module.register_forward_hook(hook)
    stack.callback(handle.remove)
    if place.skip_to is not None:
        _carry_past(place.skip_to, changes, stack)


def _carry_past(block: nn.Module, changes: list[Tensor], stack: ExitStack) -> None:
    """Add the change at the input of a norm to what the skip connection carries past it.

    The block adds the old stream to the MLP's output, out of our reach; adding (new - old) to the
    block's output gives the same sum.
    """

    def add(out: Tensor) -> Tensor | None:
        return out + changes.pop().reshape(out.shape) if changes else None

    # first of all hooks on the block, so that resid_post is right for each of them
    stack.callback(block.register_forward_hook(_output_hook(add, 0), prepend=True).remove)


def _note_batch(block: nn.Module, batch: dict[str, Any]) -> Any:
    def hook(module: nn.Module, args: tuple, kwargs: dict) -> None:
        batch["shape"] = (args[0] if args else kwargs["hidden_states"]).shape[:2]  # (B, T)

    return block.register_forward_pre_hook(hook, with_kwargs=True)


def _input_hook(on_tensor: Callable[[Tensor], Tensor | None]) -> Callable:
    def hook(module: nn.Module, args: tuple, kwargs: dict) -> tuple | None:
        # some families pass the stream by position, others by keyword
        new = on_tensor(args[0] if args else kwargs["hidden_states"])
        if new is None:
            return None
        return ((new, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": new})

    return hook


def _output_hook(on_tensor: Callable[[Tensor], Tensor | None], item: int) -> Callable:
    def hook(module: nn.Module, args: tuple, output: Any) -> Any:
        # most blocks return a tensor, some a tuple that starts with it
        is_tuple = isinstance(output, tuple)
        new = on_tensor(output[item] if is_tuple else output)
        if new is None or not is_tuple:
            return new
        return (*output[:item], new, *output[item + 1 :])

    return hook
