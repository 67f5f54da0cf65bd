"""Checks of 01.1 to 01.3: scores of tokens and sentences, accuracy on pairs (see unit01.py)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import as_number, as_vector, compare
from course_lib.checks.results import Wrong

SIGN = "The sign is turned round: log-probabilities are never positive (surprisals are minus that)."
NOT_LOG = "You returned probabilities; take the logarithm: log-probabilities add, in nats."
BASE_2 = "You used the logarithm to base 2 (bits). Use the natural logarithm: nats."
SHIFT = (
    "You scored position t with the logits at t; shift by one: the logits at t are the "
    "prediction for the token at t + 1."
)


# --- shared inputs -------------------------------------------------------------------------


def language(rng, tokens, vocabulary, sharpness=2.0):
    """Probabilities [T, V] we choose, and logits [T, V] that give them (rows shifted freely)."""
    scores = rng.normal(size=(tokens, vocabulary)) * sharpness
    probs = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    logits = np.log(probs) + rng.normal(size=(tokens, 1)) * 5
    return probs, torch.tensor(logits, dtype=torch.float32)


def chosen(probs, ids):
    """log p of each token after the first, looked up in the probabilities we chose."""
    return np.log([probs[t - 1, ids[t]] for t in range(1, len(ids))])


# --- 01.1 next_token_logprobs(logits [T, V], ids [T]) -> [T - 1] ------------------------------


def token_values(student, rng):
    for tokens, vocabulary in ((5, 7), (9, 4), (12, 30)):
        probs, logits = language(rng, tokens, vocabulary)
        ids = rng.integers(vocabulary, size=tokens)
        got = as_vector(
            student(logits, torch.tensor(ids)),
            tokens - 1,
            "next_token_logprobs(logits, ids)",
            f"{tokens} tokens have {tokens - 1} predictions: nothing predicts the first one, and "
            f"the logits after the last one predict a token that is not there. {SHIFT}",
        )
        right, rows = chosen(probs, ids), np.arange(tokens)
        raw, turned = logits.double().numpy(), torch.log_softmax(logits.double(), 0).numpy()
        mistakes = {
            SHIFT: np.log(probs[rows[1:], ids[1:]]),
            "You looked up the current token in its own row; look up the next token, ids[1:], in "
            "the row before it: shift by one.": np.log(probs[rows[:-1], ids[:-1]]),
            "You shifted the wrong way: row t predicts the token at t + 1, not at t - 1.": np.log(
                probs[rows[1:], ids[:-1]]
            ),
            SIGN: -right,
            NOT_LOG: np.exp(right),
            BASE_2: right / np.log(2),
            "These are raw logits; normalise over the vocabulary first (log_softmax).": raw[
                rows[:-1], ids[1:]
            ],
            "You normalised over the positions (axis 0). Each row is one distribution over the "
            "vocabulary: use the last axis.": turned[rows[:-1], ids[1:]],
            "You returned one number per sentence repeated; we need one per token.": np.full(
                tokens - 1, right.sum()
            ),
        }
        compare(got, right, mistakes, "These are not the log-probabilities of the next tokens.")


def token_normalised(student, rng):
    for tokens, vocabulary in ((4, 6), (7, 11)):
        _, logits = language(rng, tokens, vocabulary)
        ids = torch.tensor(rng.integers(vocabulary, size=tokens))
        place = int(rng.integers(1, tokens))
        scores = []
        for word in range(vocabulary):
            ids[place] = word
            scores.append(as_vector(student(logits, ids), tokens - 1)[place - 1])
        if np.ptp(scores) < 1e-6:
            raise Wrong(
                f"Your score of the token at position {place} does not depend on which token "
                "stands there."
            )
        if np.max(scores) > 1e-6:
            raise Wrong(f"A log-probability is above 0. {SIGN}")
        total = float(np.exp(scores).sum())
        if abs(total - 1) > 1e-3:
            raise Wrong(
                f"Over all {vocabulary} words that could stand at position {place}, exp of your "
                f"scores sums to {total:.3f}; the probabilities of all next words must sum to 1. "
                "Check the axis of the softmax and the base of the logarithm."
            )


def token_stable(student, rng):
    for size in (200.0, 3000.0):
        tokens, vocabulary = 6, 5
        _, logits = language(rng, tokens, vocabulary)
        favourite = rng.integers(vocabulary, size=tokens)
        rows = np.arange(tokens - 1)
        logits[rows, favourite[1:]] += size
        best = as_vector(student(logits, torch.tensor(favourite)), tokens - 1)
        likely = "Tokens of probability 1 must get 0, also when their logits are very large. "
        compare(best, np.zeros(tokens - 1), {}, likely + SHIFT)
        other = np.append(favourite[:1], (favourite[1:] + 1) % vocabulary)
        gap = (logits[rows, other[1:]] - logits[rows, favourite[1:]]).numpy()
        worst = as_vector(student(logits, torch.tensor(other)), tokens - 1)
        rare = f"A token {size:.0f} nats behind the best one got the wrong value: stay in logs. "
        compare(worst, gap, {}, rare + SHIFT)


# --- 01.2 sentence_logprobs(logits [B, T, V], ids [B, T], mask [B, T], reduction) -> [B] ------


def padded(rng, lengths, vocabulary, filling=0.0):
    """Right-padded logits, ids and mask, and the chosen log-probabilities of every sentence."""
    width = max(lengths)
    logits = torch.full((len(lengths), width, vocabulary), filling)
    ids, mask = torch.zeros(len(lengths), width, dtype=torch.long), []
    words = []
    for row, length in enumerate(lengths):
        probs, own = language(rng, length, vocabulary)
        sentence = rng.integers(1, vocabulary, size=length)
        logits[row, :length], ids[row, :length] = own, torch.tensor(sentence)
        mask.append([1] * length + [0] * (width - length))
        words.append(chosen(probs, sentence))
    return logits, ids, torch.tensor(mask), words


FIRST_WORD = (
    "The first word after BOS is missing from the score: BOS is there to predict it "
    "(p(w1 | BOS)), so T tokens with BOS give T - 1 terms."
)
LENGTH = (
    "You divided by the number of tokens with BOS; BOS is given, not predicted: divide by the "
    "number of scored tokens."
)


def sentence_sum(student, rng):
    for lengths in ((4, 4), (6, 6, 6), (9,)):
        logits, ids, mask, words = padded(rng, lengths, 8)
        got = as_vector(student(logits, ids, mask, "sum"), len(lengths), "one score per sentence")
        right = np.array([w.sum() for w in words])
        own = torch.log_softmax(logits, -1).gather(-1, ids[..., None])[..., 0].double().numpy()
        mistakes = {
            SHIFT: own[:, 1:].sum(1),
            FIRST_WORD: [w[1:].sum() for w in words],
            SIGN: -right,
            NOT_LOG: np.exp(right),
            BASE_2: right / np.log(2),
            "You took the mean over the tokens; reduction='sum' asks for the sum.": [
                w.mean() for w in words
            ],
            "You added probabilities; multiply them, that is, add their logarithms.": [
                np.exp(w).sum() for w in words
            ],
        }
        compare(got, right, mistakes, "The sum is not the total of the token log-probabilities.")


def sentence_padding(student, rng):
    lengths = (3, 8, 5)
    for filling in (0.0, 4.0, float("nan")):
        logits, ids, mask, words = padded(rng, lengths, 6, filling)
        if filling == 4.0:  # padding that prefers one word, unlike the flat one
            logits[mask == 0] += torch.arange(6.0)
        try:
            got = as_vector(student(logits, ids, mask, "sum"), 3, "one score per sentence")
        except Wrong as wrong:
            if np.isnan(filling) and "nan" in str(wrong):
                raise Wrong(
                    "Padding may hold anything, and here it holds nan: a nan times a mask of 0 "
                    "is still nan. Choose with the mask (torch.where, masked_fill)."
                ) from None
            raise
        tables = torch.log_softmax(torch.nan_to_num(logits), -1)
        scores = tables[:, :-1].gather(-1, ids[:, 1:, None])[..., 0].double().numpy()
        keep = mask.numpy()
        mistakes = {
            "You counted padding: only tokens with mask 1 belong to the sentence.": scores.sum(1),
            "You used mask[:, :-1]: that scores the first padding token as well. The mask has to "
            "be shifted with the token it belongs to: mask[:, 1:].": (scores * keep[:, :-1]).sum(1),
            FIRST_WORD: [w[1:].sum() for w in words],
            "You took the mean over the tokens; reduction='sum' asks for the sum.": [
                w.mean() for w in words
            ],
        }
        otherwise = "A sentence gets another score beside longer ones than it gets alone: padding."
        compare(got, [w.sum() for w in words], mistakes, otherwise)


def sentence_mean(student, rng):
    for lengths in ((7, 3, 5), (2, 9)):
        logits, ids, mask, words = padded(rng, lengths, 9)
        got = as_vector(student(logits, ids, mask, "mean"), len(lengths), "one score per sentence")
        totals = np.array([w.sum() for w in words])
        mistakes = {
            "You returned the sum for reduction='mean': divide by the number of scored "
            "tokens.": totals,
            LENGTH: totals / np.array(lengths),
            "You divided by the padded length: every sentence has its own length.": totals
            / (max(lengths) - 1),
            "You divided by the padded length: every sentence has its own length. ": totals
            / max(lengths),
            FIRST_WORD: [w[1:].mean() if len(w) > 1 else 0.0 for w in words],
            SIGN: -totals / (np.array(lengths) - 1),
        }
        otherwise = "Mean times the number of scored tokens must be the sum."
        compare(got, totals / (np.array(lengths) - 1), mistakes, otherwise)


# --- 01.3 minimal_pair_accuracy(good [N], bad [N], ties) -> float ------------------------------


def pair_scores(rng, right, wrong, tied):
    """Scores in which exactly ``right`` pairs prefer the good sentence, and so on, shuffled."""
    bad = rng.normal(-30, 8, size=right + wrong + tied)
    gap = np.concatenate([rng.uniform(0.5, 5, right), -rng.uniform(0.5, 5, wrong), np.zeros(tied)])
    order = rng.permutation(len(bad))
    bad = torch.tensor(bad[order], dtype=torch.float32)
    return bad + torch.tensor(gap[order], dtype=torch.float32), bad


def pair_share(student, rng):
    for right, wrong in ((3, 1), (2, 9), (10, 0), (17, 8)):
        good, bad = pair_scores(rng, right, wrong, 0)
        n = right + wrong
        mistakes = {
            "You counted the pairs in which the bad sentence scores higher. Log-probabilities "
            "are negative: the larger (nearer to 0) is the more probable.": wrong / n,
            "This is a count; divide by the number of pairs.": right,
            "This is a percentage; return a share between 0 and 1.": 100 * right / n,
            "You compared the averages of all scores. Compare pair by pair, then average.": float(
                good.mean() > bad.mean()
            ),
        }
        for ties in ("half", "wrong", "right"):
            got = as_number(student(good, bad, ties), "the accuracy")
            compare(got, right / n, mistakes, f"{right} of {n} pairs are right.")
        swapped = as_number(student(bad, good, "half"), "the accuracy")
        compare(swapped, wrong / n, {}, "Swapping good and bad must give 1 - accuracy.")


def pair_ties(student, rng):
    for right, wrong, tied in ((4, 3, 5), (1, 6, 2)):
        good, bad = pair_scores(rng, right, wrong, tied)
        n = right + wrong + tied
        options = {"right": right + tied, "wrong": right, "half": right + tied / 2}
        says = {
            "right": "counted as right",
            "wrong": "counted as wrong",
            "half": "counted as half a point",
        }
        for ties, score in options.items():
            mistakes = {
                f"With ties='{ties}' your tied pairs are {says[other]}; they have to be "
                f"{says[ties]}.": value / n
                for other, value in options.items()
                if other != ties
            }
            mistakes["You left the tied pairs out; they stay in the denominator."] = right / (
                right + wrong
            )
            got = as_number(student(good, bad, ties), "the accuracy")
            compare(got, score / n, mistakes, f"Wrong accuracy with ties={ties!r}.")
