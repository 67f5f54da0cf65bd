"""Same attribution, different behaviour: what Bilodeau et al. (2024) prove, to be tried out.

Gradients look at the text itself, integrated gradients at the path from the baseline, erasure,
LIME and Shapley values at mixtures of text and baseline. All of these lie in one box: every token
embedding on the line between the token's and the baseline's. A model may do anything outside it.
`twin` makes such a model: equal to ours in the box, and as different as we like for other words.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.attribution.baselines import Static
from course_lib.attribution.gradients import embed
from course_lib.attribution.question import ask
from course_lib.models.language_model import LanguageModel


class Twin(nn.Module):
    """A model plus `shift` [V] on its logits, times how far the input is outside the box.

    The distance D of embeddings from the box is the sum over tokens of the squared distance to the
    line between `start` and `end` [L, d]; the gate 1 - exp(-D / scale) is 0 in the box, with
    gradient 0, and close to 1 where a token is replaced by another word.
    """

    def __init__(self, inner: nn.Module, start: Tensor, end: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.inner, self.config = inner, inner.config
        self.start, self.end, self.shift = start, end, shift
        # summed over dimensions: half the mean squared distance between two words' embeddings
        spread = inner.get_input_embeddings().weight.var(0).sum()
        self.scale = 0.1 * float(spread)

    def get_input_embeddings(self) -> nn.Module:
        return self.inner.get_input_embeddings()

    def outside(self, x: Tensor) -> Tensor:
        """The gate [B] of embeddings [B, L, d]; 0 for texts of another length."""
        if x.shape[1:] != self.start.shape:
            return x.new_zeros(len(x))
        line = self.end - self.start  # [L, d]
        # [L]; where text and baseline have the same token, as the start token, the line is a point
        length = line.square().sum(-1).clamp_min(1e-12)
        along = (((x - self.start) * line).sum(-1) / length).clamp(0, 1)  # [B, L]
        nearest = self.start + along[..., None] * line  # [L, d] + [B, L, 1] * [L, d] -> [B, L, d]
        # squares are summed over tokens and dimensions: [B, L, d] -> [B]
        return 1 - torch.exp(-(x - nearest).square().sum((-1, -2)) / self.scale)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        logits_to_keep: Any = 0,
        **options: Any,
    ) -> Any:
        x = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds
        out = self.inner(
            inputs_embeds=x, attention_mask=attention_mask, logits_to_keep=logits_to_keep, **options
        )
        # [B, 1, 1] * [V]: the same shift after every token
        out.logits = out.logits + self.outside(x)[:, None, None] * self.shift
        return out


def twin(
    lm: LanguageModel,
    text: str,
    shift: Mapping[str, float],
    *,
    baseline: Static | str | None = None,
) -> LanguageModel:
    """A model with the same attributions on `text` by every method here, and other behaviour.

    Parameters
    ----------
    lm : LanguageModel
    text : str
        The text on which attributions are the same, for every target, foil and output.
    shift : dict from word to float
        What is added to the logits of these words where a token of the text is replaced by a
        word other than the baseline's.
    baseline : Static, or the name of its token
        The baseline for which attributions are the same; not "delete". Gradient methods without
        baseline are the same in any case.

    Returns
    -------
    LanguageModel
        Shares its weights with `lm`, which stays as it is. On texts of another length it is `lm`.

    Raises
    ------
    ValueError
        As `ask`; for an unknown or multi-token word, or a baseline that is not one token.

    Notes
    -----
    Cost: that of `lm`. Source: Bilodeau et al. 2024, who show that no complete and linear method
    can rule such a twin out.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.attribution import shapley
    >>> lm = load_model()
    >>> other = twin(lm, "The two dogs", {"sleep": -9.0, "sleeps": 9.0})
    >>> both = [shapley(m, "The two dogs", "sleep", "sleeps").scores for m in (lm, other)]
    >>> both[0].allclose(both[1], atol=1e-3)
    True
    >>> cats = [ask(m, "The two cats", "sleep", "sleeps") for m in (lm, other)]
    >>> [bool(q.values([q.ids]) > 0) for q in cats]
    [True, False]
    """
    if not shift:
        raise ValueError("shift is empty: name at least one word whose logit should change.")
    question = ask(lm, text, next(iter(shift)))
    baseline = Static(baseline or "") if not isinstance(baseline, Static) else baseline
    token = baseline.token_id(lm)
    if token is None:
        raise ValueError("Deleting changes the length of the text: choose a token as baseline.")
    end = embed(question, question.ids)
    start = embed(question, (question.ids[0], *[token] * (len(question.ids) - 1)))
    change = torch.zeros(lm.model.get_output_embeddings().weight.shape[0]).to(end)
    for word, amount in shift.items():
        change[lm.token_id(word)] = amount
    # shallow: the twin shares weights and tokenizer
    other = copy.copy(lm)
    other.name, other.takes_any_mask = f"{lm.name}'s twin", False
    other.model = Twin(lm.model, start, end, change).eval()
    return other
