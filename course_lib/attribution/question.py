"""A question about one prediction, and the model's answers to changed texts, each read once.

A method of attribution asks why the model expects the word `target`, or expects it more than the
word `foil`, after a text x. Its metric is one number per text:

    m(x) = o(target | x)                      without a foil
    m(x) = o(target | x) - o(foil | x)        with a foil (contrastive)

where the output scale o is the probability, the log-probability (nats) or the logit of a word.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from course_lib.models.packing import inputs, pack
from course_lib.models.text_model import TextModel

Ids = tuple[int, ...]
OUTPUTS = {"prob": "probability", "logprob": "log-probability (nats)", "logit": "logit"}
ROW_TOKENS = 96  # tokens of a packed row: longer ones share more, and attend over more
BATCH_TOKENS = 1536  # tokens of one forward pass; larger batches fall out of a CPU's cache


@dataclass(frozen=True)
class Question:
    """Why `target` (and not `foil`) after `text`? Made by `ask`.

    Attributes
    ----------
    lm : LanguageModel
    text, target, foil, output :
        As given to `ask`.
    ids : tuple of int
        The text with its start token, T + 1 ids. The start token is never erased.
    target_id, foil_id : int
    seen : dict
        m(x) of every row of ids that the model has read for this question.
    """

    lm: Any
    text: str
    target: str
    foil: str | None
    output: str
    ids: Ids
    target_id: int
    foil_id: int | None
    seen: dict[Ids, float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The T tokens that scores are given to, without the start token."""
        return tuple(self.lm.token_string(i) for i in self.ids[1:])

    @property
    def passes(self) -> int:
        """Number of different texts the model has read for this question."""
        return len(self.seen)

    def measure(self, logits: Tensor) -> Tensor:
        """Logits after the last token [..., V] -> the metric m [...], float64; differentiable."""
        scale = {"prob": torch.softmax, "logprob": torch.log_softmax, "logit": lambda x, _: x}
        # double: the contrast of two words is a difference of nearly equal numbers
        scores = scale[self.output](logits.double(), -1)
        value = scores[..., self.target_id]  # [...]
        return value if self.foil_id is None else value - scores[..., self.foil_id]

    def values(self, rows: Sequence[Ids]) -> Tensor:
        """m of each row of ids, float64 [N]; a row that was read before costs nothing."""
        # in alphabetical order rows that begin alike stand together, and are read once
        for batch, logits in last_logits(self.lm, sorted(set(rows) - self.seen.keys())):
            self.seen.update(zip(batch, self.measure(logits).tolist(), strict=True))
        return torch.tensor([self.seen[row] for row in rows], dtype=torch.float64)


def ask(
    lm: TextModel, text: str, target: str, foil: str | None = None, output: str = "logprob"
) -> Question:
    """Check and prepare a question about the word after a text.

    Parameters
    ----------
    lm : LanguageModel
        A left-to-right neural model.
    text : str
        Ends right before the predicted word.
    target, foil : str
        Words of one token each. With a foil the question is contrastive: why the target rather
        than the foil (Yin & Neubig 2022)?
    output : "logprob", "logit" or "prob"
        Of two words the difference of log-probabilities equals that of logits.

    Raises
    ------
    ValueError
        For a target or foil of several tokens or the same token, a text of fewer than two
        tokens, an unknown output, or a model that does not predict the next word from tokens.

    Examples
    --------
    >>> from course_lib import load_model
    >>> q = ask(load_model(), "Can you stop the dog from", "barking", "crying")
    >>> q.tokens
    ('Can', 'you', 'stop', 'the', 'dog', 'from')
    >>> bool(q.values([q.ids]) > 0)
    True
    """
    if output not in OUTPUTS:
        raise ValueError(f"Unknown output {output!r}. Choose one of {', '.join(OUTPUTS)}.")
    if not getattr(lm, "is_causal", True) or not hasattr(lm, "model"):
        raise ValueError(
            f"{lm!r} cannot be asked: attribution needs a left-to-right neural model that "
            "predicts the word after a text. Load one, for example load_model('course-lm')."
        )
    ids = tuple(lm.encode(text))
    if len(ids) < 3:  # the start token, and two of the text
        raise ValueError(
            f"The text {text!r} is a single token, so all credit would go to it and nothing could "
            "be compared. Write at least two words."
        )
    target_id = _word_id(lm, "target", target)
    foil_id = None if foil is None else _word_id(lm, "foil", foil)
    if target_id == foil_id:
        raise ValueError(
            f"Target and foil are the same token ({target!r}): the contrast is 0 for every text. "
            "Choose as foil a word the model could have preferred."
        )
    return Question(lm, text, target, foil, output, ids, target_id, foil_id)


def _word_id(lm: TextModel, role: str, word: str) -> int:
    try:
        return lm.token_id(word)
    except ValueError as error:
        raise ValueError(f"The {role} must be a word of one token. {error}") from None


def forward(lm: Any, keep: int = 1, **inputs: Any) -> Tensor:
    """Run the model; logits of the last `keep` positions [B, keep, V]. Keeps gradients."""
    takes = inspect.signature(lm.model.forward).parameters
    if "logits_to_keep" in takes:
        inputs["logits_to_keep"] = keep
    return lm.model(**inputs).logits[:, -keep:]  # [B, keep, V]


def last_logits(lm: Any, rows: Sequence[Ids]) -> Iterator[tuple[list[Ids], Tensor]]:
    """Yield batches of rows with the logits [B, V] after their last token.

    Rows in alphabetical order share their beginnings: where the model takes any attention mask,
    a beginning is read once (`pack`). Rows of different lengths never meet, so nothing is padded.
    """
    lengths = defaultdict(list)
    for row in rows:
        lengths[len(row)].append(row)
    read = _read_packed if getattr(lm, "takes_any_mask", False) else _read_plain
    for same in lengths.values():
        yield from read(lm, same)


def _read_plain(lm: Any, rows: list[Ids]) -> Iterator[tuple[list[Ids], Tensor]]:
    size = max(1, BATCH_TOKENS // len(rows[0]))
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        with torch.no_grad():
            ids = torch.tensor(batch, device=lm.device)
            yield batch, forward(lm, input_ids=ids)[:, -1]


def _read_packed(lm: Any, rows: list[Ids]) -> Iterator[tuple[list[Ids], Tensor]]:
    packed = pack(rows, ROW_TOKENS, ends_last=True)
    size = max(1, BATCH_TOKENS // max(ROW_TOKENS, len(rows[0])))
    for start in range(0, len(packed), size):
        batch = packed[start : start + size]
        keep = max(len(row.paths) for row in batch)
        with torch.no_grad():
            logits = forward(lm, keep, **inputs(lm, batch, right=True))
        ends = [logits[b, keep - len(row.paths) :] for b, row in enumerate(batch)]
        yield [ids for row in batch for ids in row.paths], torch.cat(ends)
