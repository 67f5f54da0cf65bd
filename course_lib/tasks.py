"""Tasks for patching: pairs of prompts, and a number that says how well the model does.

A *task* is four things: clean prompts, corrupted prompts in which the deciding word is another
one, the answers, and a metric. Clean and corrupted prompts have the same number of tokens, and so
have all prompts of a task: position 6 is the same place of the sentence in every one of them.

    greater_than      The war lasted from 1741 to 17 -> 1701         p(years above 41) - p(others)
    agreement         The keys near the cabinet -> key               p(agreeing) - p(others)
    indirect_objects  ..., John gave a drink to -> ..., Mary gave    logit(Mary) - logit(John)
    capitals          ... capital of Poland? A: -> of France?        logit(Warsaw) - logit(Paris)

The prompts come from held-out combinations of the course world. They are plain texts, so the same
templates serve any model whose tokenizer keeps the words in question whole.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from course_lib.architectures import bare_model
from course_lib.models.text_model import require_causal
from course_lib.world import prompts as world
from course_lib.world.lexicon import LEXICON

SCALES = {"prob": "probability difference", "logit": "logit difference"}
ONE_LENGTH = "A task compares positions, so all its prompts need the same number of tokens. "
Triple = tuple[str, str, tuple[str, ...], tuple[str, ...]]  # clean, corrupted, right, wrong


@dataclass(frozen=True)
class PublishedValue:
    """A mean metric on clean prompts that others have measured, to stand beside ours."""

    value: float
    model: str
    source: str


PUBLISHED = {
    "greater_than": PublishedValue(
        0.817, "GPT-2 small", "Hanna, Liu & Variengien (2023), arXiv 2305.00586: 81.7 %"
    ),
    "agreement": PublishedValue(
        0.157, "GPT-2 small", "Hanna, Pezzelle & Belinkov (2024), lists of verbs, their data"
    ),
    "indirect_objects": PublishedValue(
        3.56, "GPT-2 small", "Wang et al. (2022), arXiv 2211.00593, over 100,000 prompts"
    ),
    "capitals": PublishedValue(
        6.123, "GPT-2 small", "Hanna, Pezzelle & Belinkov (2024), their data"
    ),
}


@dataclass(frozen=True)
class WordContrast:
    """Metric: probability or logit of the right words minus that of the wrong ones.

    Attributes
    ----------
    words : int64 [K]
        Ids of all words that are right or wrong for some example.
    weights : float64 [N, K]
        Positive for the right words of an example, negative for its wrong ones.
    scale : "prob" (sums of probabilities) or "logit" (difference of mean logits)
    """

    words: Tensor
    weights: Tensor
    scale: str

    def __call__(self, logits: Tensor) -> Tensor:
        """Logits [N, V] -> [N]; differentiable."""
        values = logits.softmax(-1) if self.scale == "prob" else logits
        chosen = values[:, self.words.to(logits.device)]  # [N, K]
        return (chosen * self.weights.to(chosen)).sum(-1)  # [N]


@dataclass(frozen=True)
class Task:
    """Clean and corrupted prompts of equal length, with a metric on the next word.

    Attributes
    ----------
    name : str
    clean, corrupted : int64 [N, T]
        Token ids, start token first.
    metric : function of logits [N, V] -> [N]
        Of the word after the prompt, one number per example; it is always given all N examples
        in their order. Higher = the model does what the clean prompt asks for.
    unit : str
        Of the metric.
    corruption : str
        What the corrupted prompts say instead.
    clean_texts, corrupted_texts, tokens : tuple of str
        The prompts as written, and the T tokens of the first clean one.
    published : PublishedValue or None
    skipped : int
        Prompts of the world that this tokenizer could not take.

    Raises
    ------
    ValueError
        For ids of unequal shapes.
    """

    name: str
    clean: Tensor
    corrupted: Tensor
    metric: Callable[[Tensor], Tensor]
    unit: str = "metric"
    corruption: str = ""
    clean_texts: tuple[str, ...] = ()
    corrupted_texts: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    published: PublishedValue | None = None
    skipped: int = 0

    def __post_init__(self) -> None:
        shapes = [tuple(self.clean.shape), tuple(self.corrupted.shape)]
        if len(shapes[0]) != 2 or shapes[0] != shapes[1]:
            raise ValueError(
                f"{ONE_LENGTH}Clean ids have shape {shapes[0]}, corrupted ids {shapes[1]}; both "
                "must be [N, T]."
            )

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def length(self) -> int:
        """T, the number of tokens of every prompt, the start token included."""
        return self.clean.shape[1]

    @property
    def first_change(self) -> int:
        """First position at which some clean prompt differs from its corrupted one; T if none."""
        differs = (self.clean != self.corrupted).any(0).nonzero()  # [places, 1], the first first
        return int(differs[0]) if len(differs) else self.length

    def measure(self, logits: Tensor) -> Tensor:
        """The metric on logits [N, V] after the last token, float64 [N]; differentiable.

        Raises
        ------
        ValueError
            If the metric does not return one number per example.
        """
        # effects are differences of nearly equal values: in float32 they would be mostly rounding
        values = self.metric(logits.double())
        if not isinstance(values, Tensor) or values.shape != (len(self),):
            got = f"shape {list(values.shape)}" if isinstance(values, Tensor) else repr(values)
            raise ValueError(
                f"The metric of {self.name!r} returned {got}; it must return one number per "
                f"example, shape [{len(self)}]. Leave the mean over examples to us: without the "
                "single values there is no interval, and no way to see which prompts disagree."
            )
        return values.double()

    def __repr__(self) -> str:
        return f"Task({self.name!r}, {len(self)} prompts of {self.length} tokens, {self.unit})"


def last_logits(model: Any, ids: Tensor, **options: Any) -> Tensor:
    """Logits [N, V] after the last token of ids [N, T]; keeps gradients. One forward pass.

    `options` are handed to the model, for instance the keys and values of earlier tokens.
    """
    require_causal(model, "A task")
    inner = bare_model(model)
    takes = inspect.signature(inner.forward).parameters
    # where the model can, only the last position is multiplied by the unembedding [V, d]
    keep = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
    ids = ids.to(next(inner.parameters()).device)
    return inner(input_ids=ids, **keep, **options).logits[:, -1]  # [N, T or 1, V] -> [N, V]


@torch.no_grad()
def score(lm: Any, task: Task) -> tuple[Tensor, Tensor]:
    """Return the metric on the clean and on the corrupted prompts, float64 [N] each.

    The answers are those of the clean prompts in both: where the corruption works, the second is
    far below the first. Cost: two forward passes over the prompts.

    Examples
    --------
    >>> from course_lib import load_model
    >>> lm = load_model("course-lm")
    >>> clean, corrupted = score(lm, greater_than(lm, 8))
    >>> bool(clean.mean() > 0.5 > corrupted.mean())
    True
    """
    clean, corrupted = (task.measure(last_logits(lm, x)) for x in (task.clean, task.corrupted))
    return clean.cpu(), corrupted.cpu()


def make_task(
    lm: Any,
    name: str,
    clean: Sequence[str],
    corrupted: Sequence[str],
    metric: Callable[[Tensor], Tensor],
    **details: Any,
) -> Task:
    """Build a task from texts of our own.

    Parameters
    ----------
    lm : LanguageModel
        Its tokenizer decides about lengths.
    clean, corrupted : N texts each
        Pairs in the same order; each ends right before the word that the metric looks at.
    metric : function of logits [N, V] -> [N]
    details :
        The remaining fields of `Task`, for example unit="logit difference".

    Raises
    ------
    ValueError
        Where texts differ in their number of tokens; the message shows both tokenizations. Also
        for lists of different lengths, or empty ones.

    Examples
    --------
    >>> from course_lib import load_model
    >>> lm = load_model("course-lm")
    >>> verb = lm.token_id("sleeps")
    >>> make_task(lm, "dog", ["The dog"], ["The dogs"], lambda logits: logits[:, verb])
    Task('dog', 1 prompts of 3 tokens, metric)
    """
    require_causal(lm, "A task")
    clean, corrupted = list(clean), list(corrupted)
    if not clean or len(clean) != len(corrupted):
        raise ValueError(
            f"A task needs pairs of texts; got {len(clean)} clean and {len(corrupted)} corrupted."
        )
    # each pair, and every clean text with the first one: then all have the same length
    for first, second in [*zip(clean, corrupted, strict=True), *((clean[0], x) for x in clean)]:
        check_lengths(lm, first, second)
    # two of [N, T]
    ids = [torch.tensor([lm.encode(text) for text in texts]) for texts in (clean, corrupted)]
    tokens = tuple(lm.tokens(clean[0]))
    return Task(name, *ids, metric, clean_texts=tuple(clean), corrupted_texts=tuple(corrupted),
                tokens=tokens, **details)  # fmt: skip


def check_lengths(lm: Any, first: str, second: str) -> None:
    """Raise ValueError, with both tokenizations, where two texts differ in length."""
    one, two = lm.tokens(first), lm.tokens(second)
    if len(one) != len(two):
        raise ValueError(
            f"{ONE_LENGTH}These two have {len(one)} and {len(two)}:\n  {' | '.join(one)}\n"
            f"  {' | '.join(two)}\nExchange words for others that are one token here."
        )


def next_id(lm: Any, text: str, continuation: str) -> int | None:
    """The id of the single token that continues a text, or None where there is none.

    "1741 to 17" is continued by "63" as one written word, so the token is not that of " 63".
    """
    ids, longer = lm.encode(text), lm.encode(text + continuation)
    fits = len(longer) == len(ids) + 1 and longer[:-1] == ids
    return longer[-1] if fits and longer[-1] != lm.tokenizer.unk_token_id else None


def _from_world(
    lm: Any, name: str, n: int, triples: Iterable[Triple], *, scale: str, glue: str = " ",
    years: bool = False, corruption: str,
) -> Task:  # fmt: skip
    """The first n prompts of one length whose words the tokenizer keeps whole.

    Of `years`, those from 00 to 09 may be missing: GPT-2 has no token that makes 1400 of 14.
    """
    require_causal(lm, "A task")
    if n < 1:
        raise ValueError(f"A task needs at least one prompt, got n={n}.")
    triples = list(triples)
    known: dict[str, int | None] = {}
    usable, trouble = [], ""
    for clean, _, right, wrong in triples:
        for word in (*right, *wrong):
            # 76 may be whole after 18 and not after 17, where the model reads 1776 as one token
            if known.get(word) is None and (word not in known or not glue):
                known[word] = next_id(lm, clean, glue + word)
    for clean, corrupted, right, wrong in triples:
        lost = [w for w in (*right, *wrong) if known[w] is None]
        if len(right) == len(wrong) and not years:  # two forms of each verb: both, or neither
            pairs = zip(right, wrong, strict=True)
            pairs = [pair for pair in pairs if not set(pair) & set(lost)]
            right, wrong = ([pair[i] for pair in pairs] for i in (0, 1))
        ids = [[known[w] for w in words if w not in lost] for words in (right, wrong)]
        if not all(ids) or (years and lost and max(lost) > "09"):
            trouble = f"{max(lost)!r} is not one token after {clean!r}"
            continue
        try:
            check_lengths(lm, clean, corrupted)
        except ValueError as error:
            trouble = str(error)
            continue
        usable.append((clean, corrupted, *ids))
    # one length for all: the one that most of the usable prompts have
    lengths = Counter(len(lm.encode(clean)) for clean, *_ in usable)
    length = max(lengths, key=lengths.get, default=0)
    chosen = [item for item in usable if len(lm.encode(item[0])) == length][:n]
    if len(chosen) < n:
        raise ValueError(
            f"Only {len(chosen)} of {len(triples)} {name} prompts suit the tokenizer of "
            f"{lm.name!r}, and {n} were asked for. Take fewer, or a model that keeps years, names "
            f"and verbs whole, such as 'course-lm'. The last trouble: {trouble}"
        )
    metric = word_contrast([item[2] for item in chosen], [item[3] for item in chosen], scale)
    clean, corrupted = ([item[i] for item in chosen] for i in (0, 1))
    return make_task(lm, name, clean, corrupted, metric, unit=SCALES[scale], corruption=corruption,
                     published=PUBLISHED[name], skipped=len(triples) - len(usable))  # fmt: skip


def word_contrast(
    right: Sequence[Sequence[int]], wrong: Sequence[Sequence[int]], scale: str = "logit"
) -> WordContrast:
    """Build the metric from the ids of right and wrong words of each example.

    With scale "prob" it is the sum over right words minus that over wrong words, from -1 to 1;
    with "logit" the difference of the two means.

    Examples
    --------
    >>> metric = word_contrast([[0]], [[1, 2]], "logit")
    >>> metric(torch.tensor([[3.0, 1.0, 2.0]])).tolist()
    [1.5]
    """
    if scale not in SCALES:
        raise ValueError(f"Unknown scale {scale!r}. Choose one of {', '.join(SCALES)}.")
    words = sorted({i for ids in (*right, *wrong) for i in ids})
    column = {word: k for k, word in enumerate(words)}
    weights = torch.zeros(len(right), len(words), dtype=torch.float64)  # [N, K]
    for n, groups in enumerate(zip(right, wrong, strict=True)):
        for sign, ids in zip((1.0, -1.0), groups, strict=True):
            for i in ids:
                # probabilities add up; of logits we take the mean, or the side with more words
                # would count for more
                weights[n, column[i]] += sign / (len(ids) if scale == "logit" else 1)
    return WordContrast(torch.tensor(words), weights, scale)


DRAWN = 10  # prompts of the world drawn for each one asked for, to choose one length from


def greater_than(lm: Any, n: int = 32) -> Task:
    """ "The war lasted from 1741 to 17": years above 41 against years up to 41.

    Corrupted: the first year ends in 01, after which nearly every year is possible. The metric is
    sum p(y > 41) - sum p(y <= 41). Hanna, Liu & Variengien 2023.

    Raises
    ------
    ValueError
        If the tokenizer does not split years in two tokens of two digits, 10 to 99 at least; n is
        below 1.

    Examples
    --------
    >>> from course_lib import load_model
    >>> task = greater_than(load_model("course-lm"), 4)
    >>> task.tokens[-3:], task.first_change
    (('66', 'to', '15'), 6)
    """
    triples = []
    for prompt in world.greater_than(DRAWN * n):
        year = f"{prompt.facts['century']}{prompt.facts['start']:02d}"
        corrupted = prompt.text.replace(year, f"{prompt.facts['century']}01")
        if corrupted != prompt.text:
            triples.append((prompt.text, corrupted, prompt.right, prompt.wrong))
    return _from_world(lm, "greater_than", n, triples, scale="prob", glue="", years=True,
                       corruption="the first year ends in 01")  # fmt: skip


def agreement(lm: Any, n: int = 32) -> Task:
    """ "The keys near the cabinet": verb forms that agree with the subject against the others.

    Corrupted: the subject has the other number ("The key near the cabinet"). The noun before the
    verb has the number that the clean subject has not. Only subjects with "The", which says
    nothing about number. Linzen et al. 2016; as a circuit: Hanna, Pezzelle & Belinkov 2024.

    Examples
    --------
    >>> from course_lib import load_model
    >>> task = agreement(load_model("course-lm"), 4)
    >>> task.clean_texts[0], task.corrupted_texts[0]
    ('The conductors in the station', 'The conductor in the station')
    """
    other = {}
    for noun in LEXICON.nouns:
        one, many = noun.singular.form, noun.plural.form
        other |= {} if one == many else {one: many, many: one}
    triples = []
    for prompt in world.agreement(DRAWN * n):
        words = prompt.text.split(" ")
        # the first noun is the subject; the noun nearer to the verb comes later
        place = next(i for i, word in enumerate(words) if word in other or i + 1 == len(words))
        if words[0] == "The" and words[place] in other:
            words[place] = other[words[place]]
            triples.append((prompt.text, " ".join(words), prompt.right, prompt.wrong))
    return _from_world(lm, "agreement", n, triples, scale="prob",
                       corruption="the subject has the other number")  # fmt: skip


def indirect_objects(lm: Any, n: int = 32) -> Task:
    """ "When Mary and John went to the store, John gave a drink to": Mary, not John.

    Corrupted: the second clause is about the other one ("Mary gave a drink to"), so that John is
    expected. The metric is logit(Mary) - logit(John). Wang et al. 2022.

    Examples
    --------
    >>> from course_lib import load_model
    >>> task = indirect_objects(load_model("course-lm"), 4)
    >>> [(a, b) for a, b in zip(task.clean_texts[0].split(), task.corrupted_texts[0].split())
    ...  if a != b]
    [('Judith', 'Julia')]
    """
    triples = []
    for prompt in world.indirect_objects(DRAWN * n):
        giver, receiver = prompt.facts["giver"], prompt.facts["receiver"]
        # the giver is named twice, as one of the two and as who gives: the second one is exchanged
        before, _, after = prompt.text.rpartition(f" {giver} ")
        corrupted = f"{before} {receiver} {after}"
        triples.append((prompt.text, corrupted, prompt.right, prompt.wrong))
    return _from_world(lm, "indirect_objects", n, triples, scale="logit",
                       corruption="the other person gives")  # fmt: skip


def capitals(lm: Any, n: int = 32) -> Task:
    """ "Q: What is the capital of Poland? A:" after one such question with its answer.

    Corrupted: another country is asked for. The metric is the logit of the capital minus that of
    the other country's capital.

    Examples
    --------
    >>> from course_lib import load_model
    >>> task = capitals(load_model("course-lm"), 4)
    >>> task.tokens[-4:], task.unit
    (('Tunisia', '?', 'A', ':'), 'logit difference')
    """
    drawn = world.capitals(DRAWN * n)
    triples = []
    # the other country is that of the next prompt
    for prompt, following in zip(drawn, drawn[1:] + drawn[:1], strict=True):
        country, other = prompt.facts["country"], following.facts["country"]
        if country == other or other in prompt.text:
            continue
        before, _, after = prompt.text.rpartition(country)
        triples.append((prompt.text, before + other + after, prompt.right, following.right))
    return _from_world(lm, "capitals", n, triples, scale="logit",
                       corruption="another country is asked for")  # fmt: skip


TASKS: dict[str, Callable[..., Task]] = {
    "greater_than": greater_than, "agreement": agreement,
    "indirect_objects": indirect_objects, "capitals": capitals,
}  # fmt: skip
