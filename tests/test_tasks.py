"""Tasks: equal lengths, metrics per example, and the same templates for other tokenizers."""

import pytest
import torch

from course_lib import load_model, tasks
from course_lib.models.language_model import LanguageModel
from course_lib.world import prompts
from tests.closeness import close
from tests.families import random_model, word_tokenizer


@pytest.fixture(scope="module")
def lm():
    return load_model("course-lm")


def bpe_model(texts, size: int) -> LanguageModel:
    """A random GPT-2 with a byte-level tokenizer whose merges come from these texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    end = ["<|endoftext|>"]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=end, initial_alphabet=alphabet)
    raw.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token=end[0], eos_token=end[0],
                                   unk_token=end[0])  # fmt: skip
    model = random_model("gpt2", torch.float32, vocab_size=len(fast), max_position_embeddings=64)
    return LanguageModel(model, fast, "bpe")


@pytest.mark.parametrize("name", tasks.TASKS)
def test_pairs_have_one_length_and_differ_in_one_place(lm, name):
    task = tasks.TASKS[name](lm, 12)
    assert len(task) == 12 and task.clean.shape == task.corrupted.shape == (12, task.length)
    differs = task.clean != task.corrupted
    assert (differs.sum(1) == 1).all()
    assert task.first_change == int(differs.nonzero()[:, 1].min()) > 0
    for text, ids in zip(task.clean_texts, task.clean.tolist(), strict=True):
        assert lm.encode(text) == ids
    for text, ids in zip(task.corrupted_texts, task.corrupted.tolist(), strict=True):
        assert lm.encode(text) == ids
    assert len(set(task.clean_texts)) > 6


LEAST = {"greater_than": 0.5, "agreement": 0.9, "indirect_objects": 10, "capitals": 15}


@pytest.mark.parametrize(("name", "least"), LEAST.items())
def test_the_corruption_takes_the_answer_away(lm, name, least):
    clean, corrupted = tasks.score(lm, tasks.TASKS[name](lm, 12))
    assert clean.shape == corrupted.shape == (12,) and clean.dtype == torch.float64
    assert (clean > 0).all() and (clean - corrupted).mean() > least


def test_greater_than_is_the_formula_of_the_lecture(lm):
    task = tasks.greater_than(lm, 3)
    clean, _ = tasks.score(lm, task)
    for text, value in zip(task.clean_texts, clean.tolist(), strict=True):
        start = int(text.split(" from ")[1][2:4])
        probs = lm.next_token_probs([text])[0]
        years = torch.stack([probs[lm.token_id(f"{year:02d}")] for year in range(100)])
        above, others = years[start + 1 :].sum(), years[: start + 1].sum()
        close(value, float(above - others), torch.float32)


def test_names_and_capitals_are_logit_differences(lm):
    task = tasks.indirect_objects(lm, 4)
    clean, corrupted = tasks.score(lm, task)
    for n, prompt in enumerate(prompts.indirect_objects(4)):
        logits = lm.logits([task.clean_texts[n], task.corrupted_texts[n]])[:, -1]
        receiver, giver = (lm.token_id(w[0]) for w in (prompt.right, prompt.wrong))
        difference = logits[:, receiver] - logits[:, giver]
        expected = torch.stack([clean[n], corrupted[n]]).float()
        close(difference, expected, scale=float(logits.abs().max()))


def test_agreement_changes_the_subject_only(lm):
    task = tasks.agreement(lm, 8)
    for clean, corrupted in zip(task.clean_texts, task.corrupted_texts, strict=True):
        pairs = [(a, b) for a, b in zip(clean.split(), corrupted.split(), strict=True) if a != b]
        assert len(pairs) == 1 and clean.startswith("The ")
        # the same prompt in the other number: the attractor stays
        assert clean.split()[-1] == corrupted.split()[-1]


def test_the_same_templates_serve_a_byte_level_tokenizer():
    texts = [p.text for p in prompts.agreement(300)]
    texts += [f" {word}" for p in prompts.agreement(60) for word in (*p.right, *p.wrong)]
    lm = bpe_model(texts, 2200)
    task = tasks.agreement(lm, 5)
    assert task.clean.shape == task.corrupted.shape == (5, task.length)
    assert all(torch.isfinite(x).all() for x in tasks.score(lm, task))
    weights = task.metric.weights
    assert (weights.sum(1) == 0).all()  # of a verb both forms are whole, or it is left out
    assert ((weights > 0).sum(1) < max(len(p.right) for p in prompts.agreement(50))).all()


def year_model(joined: list[str], digits: str = "0123456789") -> LanguageModel:
    """A random GPT-2 whose tokens are letters, two digits, and the years that are `joined`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    merges = [("\u0120", "1"), *(("\u01201", c) for c in "12345678")]
    merges += [(a, b) for a in digits for b in "0123456789"]
    merges += [(f"\u0120{year[:2]}", year[2:]) for year in joined]
    names = ["<end>", *pre_tokenizers.ByteLevel.alphabet(), *(a + b for a, b in merges)]
    raw = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<end>", eos_token="<end>")
    model = random_model("gpt2", torch.float32, vocab_size=len(fast), max_position_embeddings=64)
    return LanguageModel(model, fast, "years")


CENTURIES = range(11, 19)


@pytest.mark.parametrize(
    ("joined", "missing"),
    [
        ([], set()),
        (["1776", "1789", "1812", "1848"], set()),  # whole after another century
        ([f"{century}00" for century in CENTURIES], {"00"}),  # GPT-2 itself
        ([f"{century}0{n}" for century in CENTURIES for n in (0, 5)], {"00", "05"}),
    ],
)
def test_years_that_a_tokenizer_joins_are_left_out(joined, missing):
    lm = year_model(joined)
    task = tasks.greater_than(lm, 8)
    words = [lm.token_string(i) for i in task.metric.words.tolist()]
    assert set(words) == {f"{n:02}" for n in range(100)} - missing and len(words) == len(set(words))
    for text, weights in zip(task.clean_texts, task.metric.weights, strict=True):
        year = text.split(" from ")[1][:4]
        assert year not in joined
        later = {word for word, weight in zip(words, weights, strict=True) if weight > 0}
        assert later == {word for word in words if word > year[2:]}
    assert all(torch.isfinite(x).all() for x in tasks.score(lm, task))


@pytest.mark.parametrize(
    ("joined", "digits"),
    [
        ([f"{century}{n}" for century in CENTURIES for n in (50, 77)], "0123456789"),
        ([], "012345678"),
    ],
)
def test_a_year_from_10_on_that_is_nowhere_whole_is_named(joined, digits):
    with pytest.raises(ValueError, match="0 of .* greater_than .*'(77|99)' is not one token after"):
        tasks.greater_than(year_model(joined, digits), 8)


def test_a_tokenizer_that_cuts_the_answers_is_refused():
    lm = bpe_model(["some other text about nothing"], 280)
    with pytest.raises(ValueError, match="0 of .* greater_than prompts.*is not one token after"):
        tasks.greater_than(lm, 3)
    with pytest.raises(ValueError, match="at least one prompt"):
        tasks.greater_than(lm, 0)


def test_texts_of_unequal_length_are_shown_token_by_token(lm):
    with pytest.raises(ValueError) as error:
        tasks.make_task(lm, "odd", ["The two dogs"], ["The dogs"], lambda x: x[:, 0])
    assert "[BOS] | The | two | dogs\n  [BOS] | The | dogs\n" in str(error.value)
    assert "4 and 3" in str(error.value)
    with pytest.raises(ValueError, match="same number of tokens"):  # also between pairs
        tasks.make_task(lm, "odd", ["A dog", "The two dogs"], ["The dog", "The two cats"], sum)
    for clean, corrupted in ([], []), (["A dog"], []):
        with pytest.raises(ValueError, match="pairs of texts"):
            tasks.make_task(lm, "odd", clean, corrupted, sum)
    with pytest.raises(ValueError, match=r"\(1, 3\), corrupted ids \(1, 4\)"):
        tasks.Task("odd", torch.ones(1, 3), torch.ones(1, 4), sum)


@pytest.mark.parametrize(
    "metric", [lambda x: x[:, 7].mean(), lambda x: x[:, 7:8], lambda x: x[:1, 7], lambda x: 3.0]
)
def test_a_metric_that_is_not_per_example_is_refused(metric):
    lm = LanguageModel(random_model("gpt2"), word_tokenizer(), "tiny")
    task = tasks.make_task(lm, "mean", ["The dog", "The cat"], ["The dogs", "The cats"], metric)
    with pytest.raises(ValueError, match=r"one number per example, shape \[2\]"):
        tasks.score(lm, task)


def test_weights_of_the_two_scales():
    logits = torch.tensor([[1.0, 2.0, 3.0, 0.0], [0.0, 5.0, 1.0, 1.0]])
    right, wrong = [[0, 1], [3]], [[2], [0, 1]]
    by_logit = tasks.word_contrast(right, wrong, "logit")(logits)
    assert by_logit.tolist() == [1.5 - 3.0, 1.0 - 2.5]
    p = logits.softmax(-1)
    by_prob = tasks.word_contrast(right, wrong, "prob")(logits)
    expected = torch.stack([p[0, 0] + p[0, 1] - p[0, 2], p[1, 3] - p[1, 0] - p[1, 1]])
    close(by_prob, expected)
    swapped = tasks.word_contrast(wrong, right, "prob")(logits)
    close(swapped, -by_prob)
    with pytest.raises(ValueError, match="prob, logit"):
        tasks.word_contrast(right, wrong, "nats")
