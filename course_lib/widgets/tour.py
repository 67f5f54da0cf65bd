"""Residual-stream explorer: what each layer writes at a token, and the prediction read from it."""

from __future__ import annotations

import ipywidgets
import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.activations import record
from course_lib.architectures import final_norm, n_layers
from course_lib.display import AltFigure, show
from course_lib.models.language_model import widened
from course_lib.plots import COLOURS, HATCHES
from course_lib.tables import Table
from course_lib.widgets.live import Explorer, collected_warnings

_WIDE = ipywidgets.Layout(width="95%")


def read_stream(lm, text: str, token: int = -1) -> tuple[dict[str, list[float]], Tensor]:
    """Lengths of all writes into the residual stream at one token, and what each state predicts.

    Parameters
    ----------
    lm : causal language model.
    token : index into `lm.tokens(text)`; -1 is the last token.

    Returns
    -------
    sizes : {"attention": [L], "mlp": [L], "stream": [L + 1]}, L2 norms of what the two components
        of each layer add, and of the stream before the first layer and after each.
    probs : [L + 1, V], probabilities of the next token: softmax(W_U norm(x)) for each state x of
        the stream. The last row is the model's own prediction; the others ask what it would
        predict if the remaining layers added nothing.

    Raises
    ------
    ValueError
        If there is no such token, or the model is not causal or of an unknown family.

    Notes
    -----
    Cost: 1 forward pass.
    """
    ids = lm.encode(text)
    if not -len(ids) <= token < len(ids):
        raise ValueError(f"There is no token {token}: the text has {len(ids)}, from 0 on.")
    sites = {"attention": "attn_out", "mlp": "mlp_out", "stream": "resid_post"}
    sites = {name: [f"{s}.{k}" for k in range(n_layers(lm))] for name, s in sites.items()}
    sites["stream"].insert(0, "resid_pre.0")
    norm, unembed = final_norm(lm), lm.model.get_output_embeddings()
    with record(lm, sum(sites.values(), [])) as seen, torch.no_grad():
        lm(torch.tensor([ids], device=lm.device))
        logits = torch.stack([unembed(norm(seen[site]))[0, token] for site in sites["stream"]])
        probs = widened(logits).softmax(dim=-1)  # [L + 1, V]
    sizes = {
        name: [seen[s][0, token].norm().item() for s in names] for name, names in sites.items()
    }
    return sizes, probs[:, : len(lm.tokenizer)].cpu()


def residual_stream_figure(
    lm, text: str, token: int = -1, read: int | None = None, top: int = 8
) -> AltFigure:
    """Left: the writes into the stream at one token; right: the next token read from a state of it.

    Parameters
    ----------
    token : index into `lm.tokens(text)`, the start token being 0; -1 is the last one.
    read : how many layers have written into the state that is read: 0 is the embedding, None all
        layers, which gives the model's own prediction.
    top : number of next tokens shown.

    Notes
    -----
    Cost: 1 forward pass.
    """
    with collected_warnings() as notes:
        sizes, probs = read_stream(lm, text, token)
        tokens = lm.tokens(text)
    layers = len(probs) - 1
    read = layers if read is None else read
    if not 0 <= read <= layers:
        raise ValueError(f"read must be from 0 (the embedding) to {layers} (all layers).")
    best = probs[read].topk(min(top, probs.shape[1]))
    words = [lm.token_string(i) for i in best.indices]
    place = f"'{tokens[token]}' (token {token % len(tokens)})"
    title = f"at {place}, read {state_name(read, layers)}"
    figure = _draw_stream(sizes, read, words, best.values.tolist(), title)
    final = lm.token_string(probs[-1].argmax())
    alt = (
        f"At {place} of '{text}' the stream grows from length {sizes['stream'][0]:.1f} to "
        f"{sizes['stream'][-1]:.1f} over {layers} layers. Read {state_name(read, layers)}, the "
        f"most likely next token is '{words[0]}' with probability {best.values[0]:.2f}; the "
        f"model's own prediction is '{final}'."
    )
    drawn = Table(
        ["next token", "probability"],
        [[word, f"{p:.3f}"] for word, p in zip(words, best.values.tolist(), strict=True)],
        caption=f"Next token at {place}, read {state_name(read, layers)}",
    )
    return show(figure, alt, " ".join(notes), [drawn, _layer_table(lm, sizes, probs, place)])


def state_name(read: int, layers: int) -> str:
    """In words, which state of the stream is read: one in which `read` layers have written."""
    if read in (0, layers):
        return f"after all {layers} layers" if read else "before the first layer"
    return f"after {read} of {layers} layers"


def _draw_stream(sizes: dict, read: int, words: list, probabilities: list, title: str) -> Figure:
    layers = len(sizes["attention"])
    figure = Figure(figsize=(8, 2.9))
    left, right = figure.subplots(1, 2)
    for k, name in enumerate(("attention", "mlp")):
        at = [layer + 0.4 * k - 0.2 for layer in range(layers)]
        left.bar(at, sizes[name], 0.38, color=COLOURS[k], hatch=HATCHES[k], label=f"{name} adds")
    states = [layer - 0.5 for layer in range(layers + 1)]
    left.plot(states, sizes["stream"], "k^-", markersize=4, label="stream")
    left.axvline(states[read], color="black", linestyle=":", linewidth=1, label="read here")
    left.set(xlabel="layer", ylabel="length (L2 norm)", xticks=range(layers))
    left.legend(frameon=False, fontsize=8)
    right.barh(range(len(words)), probabilities, color=COLOURS[2])
    for y, p in enumerate(probabilities):
        right.annotate(f"{p:.3f}", (p, y), (3, 0), textcoords="offset points", va="center", size=8)
    right.set_yticks(range(len(words)), words, parse_math=False)
    right.invert_yaxis()
    right.set(xlabel="probability of the next token", xlim=(0, 1.1), xticks=(0, 0.5, 1))
    figure.suptitle(title, fontsize=10, parse_math=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure


def _layer_table(lm, sizes: dict, probs: Tensor, place: str) -> Table:
    """One row per state of the stream: what was added on the way to it, and what it predicts."""
    layers = len(probs) - 1
    best = probs.max(dim=-1)
    rows = []
    for k, (i, p) in enumerate(zip(best.indices.tolist(), best.values.tolist(), strict=True)):
        added = [f"{sizes[name][k - 1]:.1f}" if k else "" for name in ("attention", "mlp")]
        size, word = f"{sizes['stream'][k]:.1f}", lm.token_string(i)
        rows.append([state_name(k, layers), *added, size, word, f"{p:.3f}"])
    columns = [
        "stream",
        "attention adds",
        "mlp adds",
        "length",
        "likeliest next token",
        "probability",
    ]
    return Table(columns, rows, caption=f"Layer by layer at {place}; lengths are L2 norms")


def residual_stream_explorer(lm, text: str) -> Explorer:
    """Pick a token of a text and a state of its stream, and see the next token read from it.

    Parameters
    ----------
    lm : causal language model of a known family.
    text : the text to start from; it stays editable.
    """
    layers = n_layers(lm)
    field = ipywidgets.Text(value=text, description="Text", continuous_update=False, layout=_WIDE)
    token = ipywidgets.Dropdown(options=_choices(lm, text), description="At token")
    token.value = len(token.options) - 1
    read = ipywidgets.BoundedIntText(value=layers, min=0, max=layers, description="Layers read")

    def offer_new_tokens(change) -> None:
        try:
            choices = _choices(lm, change["new"])
        except ValueError:  # the figure will say what is wrong with the text
            return
        with explorer.hold():
            token.options = choices
            token.value = len(choices) - 1

    field.observe(offer_new_tokens, names="value")

    def draw(text: str, token: int, read: int) -> AltFigure:
        return residual_stream_figure(lm, text, token, read)

    explorer = Explorer(draw, text=field, token=token, read=read)
    return explorer


def _choices(lm, text: str) -> list[tuple[str, int]]:
    with collected_warnings():  # the figure names the words it does not know
        return [(f"{k}: {token}", k) for k, token in enumerate(lm.tokens(text))]
