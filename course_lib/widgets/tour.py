"""Residual-stream explorer: what each component writes, and the prediction that comes out."""

from __future__ import annotations

import ipywidgets
import torch
from matplotlib.figure import Figure

from course_lib.activations import record
from course_lib.display import AltFigure, show
from course_lib.plots import COLOURS, HATCHES
from course_lib.widgets.live import Explorer


def stream_sizes(lm, text: str, layers: int) -> dict[str, list[float]]:
    """Length (L2 norm) of every write into the residual stream at the last token of `text`.

    Parameters
    ----------
    lm : causal language model with `layers` blocks.

    Returns
    -------
    {"attention": [layers], "mlp": [layers], "stream": [layers + 1]}: norms of what each layer's two
    components add, and of the stream before the first block and after each block.

    Notes
    -----
    Cost: 1 forward pass.
    """
    kinds = {"attention": "attn_out", "mlp": "mlp_out", "stream": "resid_post"}
    sites = [f"{site}.{layer}" for site in kinds.values() for layer in range(layers)]
    with record(lm, ["resid_pre.0", *sites]) as seen, torch.no_grad():
        lm(torch.tensor([lm.encode(text)]))

    def norm(site: str) -> float:
        return seen[site][0, -1].norm().item()

    sizes = {name: [norm(f"{site}.{k}") for k in range(layers)] for name, site in kinds.items()}
    sizes["stream"].insert(0, norm("resid_pre.0"))
    return sizes


def residual_stream_figure(lm, text: str, words: int, layers: int, top: int = 8) -> AltFigure:
    """Left: the writes into the stream at the last word read; right: the model's next words.

    Parameters
    ----------
    words : how many words of `text` the model reads; more than there are means all of them.
    layers : number of blocks of the model.
    top : number of next tokens shown.
    """
    prefix = " ".join(text.split()[:words])
    sizes = stream_sizes(lm, prefix, layers)
    best = list(lm.next_token(prefix, top=top))
    figure = Figure(figsize=(8, 2.9))
    left, right = figure.subplots(1, 2)
    for k, name in enumerate(("attention", "mlp")):
        at = [layer + 0.4 * k - 0.2 for layer in range(layers)]
        left.bar(at, sizes[name], 0.38, color=COLOURS[k], hatch=HATCHES[k], label=f"{name} adds")
    left.plot(
        [layer - 0.5 for layer in range(layers + 1)],
        sizes["stream"],
        "k^-",
        markersize=4,
        label="stream",
    )
    left.set(xlabel="layer", ylabel="length (L2 norm)", xticks=range(layers))
    left.legend(frameon=False, fontsize=7)
    right.barh([token for token, _ in best], [p for _, p in best], color=COLOURS[2])
    right.invert_yaxis()
    right.set(xlabel="probability of the next token", xlim=(0, 1))
    figure.suptitle(f"after: {prefix}", fontsize=9)
    figure.tight_layout()
    token, probability = best[0]
    alt = (
        f"After '{prefix}' the stream grows from length {sizes['stream'][0]:.1f} to "
        f"{sizes['stream'][-1]:.1f} over {layers} layers; the most likely next token is '{token}' "
        f"with probability {probability:.2f}."
    )
    return show(figure, alt)


def residual_stream_explorer(lm, text: str, layers: int) -> Explorer:
    """Type a text, let the model read it word by word, and watch stream and prediction.

    Parameters
    ----------
    lm : causal language model with `layers` blocks.
    text : the text to start from.
    """
    length = len(text.split())
    field = ipywidgets.Text(
        value=text,
        description="Text",
        continuous_update=False,
        layout=ipywidgets.Layout(width="95%"),
    )
    slider = ipywidgets.IntSlider(
        value=length, min=1, max=length, description="Words read", continuous_update=False
    )

    def fit_slider(change) -> None:
        slider.max = max(len(change["new"].split()), 1)

    field.observe(fit_slider, names="value")

    def draw(text: str, words: int) -> AltFigure:
        return residual_stream_figure(lm, text, words, layers)

    return Explorer(draw, text=field, words=slider)
