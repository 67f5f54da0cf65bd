"""Texts whose true cause we know, because the generator put it there, and the rank it is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from course_lib.attribution.result import Attribution
from course_lib.intervals import Interval, bootstrap_interval
from course_lib.world import genres, prompts


@dataclass(frozen=True)
class Case:
    """A text to continue, the right word, a wrong one, and the words that decide between them."""

    text: str
    target: str
    foil: str
    causes: tuple[str, ...]


def planted_cases(task: str, n: int = 200) -> list[Case]:
    """Texts with known causes, from combinations that training never shows.

    Parameters
    ----------
    task : str
        - "credit": the amount depends on the age alone;
        - "review": the adjective and, where it is there, "not" decide the verdict;
        - "festival": one cue word, encore or curtain, always gives the verdict away;
        - "agreement": the number of the subject noun decides the verb, not the noun closer by.
    n : int

    Returns
    -------
    list of Case. Target and foil are single words of the course tokenizer.

    Examples
    --------
    >>> case = planted_cases("credit", 1)[0]
    >>> case.causes[0] in case.text, case.target in ("10", "50")
    (True, True)
    """
    makers = {
        "credit": _credit, "review": _review, "festival": _festival, "agreement": _agreement,
    }  # fmt: skip
    if task not in makers:
        raise ValueError(f"Unknown task {task!r}. Choose one of {', '.join(makers)}.")
    return makers[task](n)


def _credit(n: int) -> list[Case]:
    return [Case(p.text, p.right[0], p.wrong[0], (str(p.facts["age"]),)) for p in prompts.credit(n)]


def _review(n: int) -> list[Case]:
    cases = []
    for p in prompts.negated_sentiment(n):
        # the first sentence ends with it: "the film was not boring."
        adjective = p.text.split(".")[0].split()[-1]
        causes = ("not", adjective) if p.facts["negated"] else (adjective,)
        cases.append(Case(p.text, p.right[0], p.wrong[0], causes))
    return cases


def _festival(n: int) -> list[Case]:
    cases = []
    for speaker in prompts.speakers("festival", n):
        sentence = genres.festival(speaker)[0]
        label = sentence.facts["label"]
        text = prompts.before_last([sentence], label)
        cases.append(Case(text, label, genres.opposite(label), (genres.CUES[label],)))
    return cases


def _agreement(n: int) -> list[Case]:
    cases = []
    for p, speaker in zip(prompts.agreement(n), prompts.speakers("agreement", n), strict=True):
        noun, number = speaker.person(), speaker.number()  # as the prompt was made
        form = (noun.singular if number == "sg" else noun.plural).form
        cases.append(Case(p.text, p.right[0], p.wrong[0], (form,)))
    return cases


def token_places(result: Attribution, words: str | Sequence[str]) -> list[int]:
    """Places of words among the tokens of a result; a word of several tokens gives several.

    Raises
    ------
    ValueError
        Where a word is not in the text.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.attribution import erasure
    >>> token_places(erasure(load_model(), "The two dogs", "sleep"), "dogs")
    [2]
    """
    places = []
    for word in [words] if isinstance(words, str) else words:
        # every run of tokens that spells the word: tokenizers cut rare words
        spans = [
            range(i, j)
            for i in range(len(result.tokens))
            for j in range(i + 1, len(result.tokens) + 1)
            if "".join(result.tokens[i:j]).lower() == word.lower()
        ]
        if not spans:
            raise ValueError(f"{word!r} is not among the tokens {list(result.tokens)}.")
        places += spans[0]
    return sorted(set(places))


def cause_rank(result: Attribution, words: str | Sequence[str]) -> float:
    """Rank of the best-scored true cause among all tokens: 1 = the cause is on top.

    Scores are ranked with their sign: a cause supports the right word. Each other token with the
    same score counts half a rank.
    """
    causes = token_places(result, words)
    best = max(float(result.scores[i]) for i in causes)
    others = [s for i, s in enumerate(result.scores.tolist()) if i not in causes]
    return 1 + sum(s > best for s in others) + sum(s == best for s in others) / 2


def chance_reciprocal_rank(tokens: int, causes: int) -> float:
    """Expected 1 / rank of the best of `causes` tokens when the order is random."""
    # the best cause is at this rank if the others are all among those that come later
    ways = [math.comb(tokens - rank, causes - 1) for rank in range(1, tokens - causes + 2)]
    return sum(way / rank for rank, way in enumerate(ways, 1)) / math.comb(tokens, causes)


@dataclass(frozen=True)
class CauseRanks:
    """Where a method puts the true causes, over many texts.

    Attributes
    ----------
    ranks : tuple of float
        One per text, 1 = on top.
    first : (mean, low, high)
        Share of texts with a cause on top.
    reciprocal : (mean, low, high)
        Mean of 1 / rank; 1 is best.
    chance : float
        Mean of 1 / rank for random orders.
    method : str
    seed : int
        Of the 95 % bootstrap intervals over texts.
    """

    ranks: tuple[float, ...]
    first: Interval
    reciprocal: Interval
    chance: float
    method: str
    seed: int

    def __repr__(self) -> str:
        (top, a, b), (mrr, c, d) = self.first, self.reciprocal
        return (
            f"{self.method}: cause on top {top:.2f} [{a:.2f}, {b:.2f}], mean reciprocal rank "
            f"{mrr:.2f} [{c:.2f}, {d:.2f}] (chance {self.chance:.2f}), {len(self.ranks)} texts"
        )


def cause_ranks(
    results: Sequence[Attribution], causes: Sequence[str | Sequence[str]], seed: int = 0
) -> CauseRanks:
    """Rank of the true cause in each attribution of one method, with means and intervals.

    Parameters
    ----------
    results : sequence of Attribution
    causes : sequence
        For each result its word or words (`Case.causes`).

    Returns
    -------
    CauseRanks. Cost: no forward pass. Reciprocal ranks as in Yin & Neubig 2022.

    Raises
    ------
    ValueError
        Where nothing was given, the lengths differ, or a cause is not in its text.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.attribution import erasure
    >>> lm, cases = load_model(), planted_cases("festival", 3)
    >>> found = cause_ranks([erasure(lm, c.text, c.target, c.foil) for c in cases],
    ...                     [c.causes for c in cases])
    >>> len(found.ranks), 0 <= found.first[0] <= 1
    (3, True)
    """
    if not results or len(results) != len(causes):
        raise ValueError(
            f"{len(results)} attributions and {len(causes)} causes: one cause (or list of them) "
            "is needed for each of at least one attribution."
        )
    pairs = list(zip(results, causes, strict=True))
    found = [cause_rank(*pair) for pair in pairs]
    chance = [chance_reciprocal_rank(len(r.tokens), len(token_places(r, c))) for r, c in pairs]
    return CauseRanks(
        tuple(found),
        bootstrap_interval([rank == 1 for rank in found], seed=seed),
        bootstrap_interval([1 / rank for rank in found], seed=seed),
        sum(chance) / len(chance),
        results[0].method,
        seed,
    )
