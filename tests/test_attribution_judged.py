"""Faithfulness, agreement, rank of the planted cause, and twins that no method tells apart."""

import math
from itertools import permutations

import pytest
import torch

from course_lib import attribution as att
from course_lib.attribution import causes, games
from course_lib.attribution import judge as judged
from course_lib.attribution.result import Attribution
from course_lib.models.language_model import LanguageModel
from tests.closeness import close, precision
from tests.families import CAUSAL, random_model, word_tokenizer

TEXT, TARGET, FOIL = "The two dogs in a cat", "sleep", "sleeps"


def family(kind: str = "gpt2") -> LanguageModel:
    return LanguageModel(random_model(kind), word_tokenizer(), kind)


def result(scores, text="a b c", tokens=None, method="m", target="t") -> Attribution:
    tokens = tuple(tokens or text.split())
    scores = torch.tensor(scores, dtype=torch.float64)
    return Attribution(method, text, tokens, scores, target, None, "prob", 0.0, "b", 1)


# --- faithfulness ----------------------------------------------------------------------------


def test_curves_are_the_formula():
    lm = family()
    asked = att.ask(lm, TEXT, TARGET, FOIL)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    deletion, insertion = judged.curves(asked, order[None], "mask")
    for k in range(7):
        keep = torch.ones(1, 6, dtype=torch.bool)
        keep[0, order[:k]] = False
        assert deletion[0, k] == att.coalition_values(asked, keep, "mask")[0, 0]
        assert insertion[0, k] == att.coalition_values(asked, ~keep, "mask")[0, 0]
    assert deletion[0, 0] == insertion[0, 6] and deletion[0, 6] == insertion[0, 0]


def test_measures_are_the_formula():
    lm = family()
    scored = att.shapley(lm, TEXT, TARGET, FOIL)
    found = att.faithfulness(lm, scored, fractions=(0.1, 0.5), orders=3)
    drops = [scored.value - float(found.deletion[k]) for k in (1, 3)]
    assert found.measures["comprehensiveness"] == pytest.approx(sum(drops) / 2)
    drops = [scored.value - float(found.insertion[k]) for k in (1, 3)]
    assert found.measures["sufficiency"] == pytest.approx(sum(drops) / 2)
    for name, curve in (("deletion", found.deletion), ("insertion", found.insertion)):
        inner = float(curve[1:-1].sum() + (curve[0] + curve[-1]) / 2) / 6
        assert found.measures[f"{name} area"] == pytest.approx(inner)


def additive(lm, weights):
    """A question whose metric is a sum of weights over the tokens that are present."""
    asked = att.ask(lm, TEXT, TARGET)
    full = torch.tensor(asked.ids[1:])
    for mask in games.all_coalitions(6):
        row = (asked.ids[0], *torch.where(mask, full, lm.tokenizer.unk_token_id).tolist())
        asked.seen[row] = float(mask.double() @ weights)
    return asked


def test_on_an_additive_metric_the_true_order_is_best_and_the_reverse_worst():
    lm, weights = family(), torch.tensor([0.5, 3.0, -1.0, 2.0, 0.1, -0.2]).double()
    orders = torch.tensor(list(permutations(range(6))))
    deletion, insertion = judged.curves(additive(lm, weights), orders)
    every = judged._measures(float(weights.sum()), deletion, insertion, (0.2, 0.5))
    best = (orders == weights.argsort(descending=True)).all(1).nonzero().item()
    worst = (orders == weights.argsort()).all(1).nonzero().item()
    for name, values in every.items():
        signed = values if judged.MEASURES[name] else -values
        assert signed[best] >= signed.max() - 1e-9, name
        assert signed[worst] <= signed.min() + 1e-9, name


def test_random_orders_beat_half_of_random_orders():
    lm = family()
    scored = att.erasure(lm, TEXT, TARGET, FOIL)
    beaten = []
    for seed in range(12):
        scores = torch.randperm(6, generator=torch.Generator().manual_seed(seed)).double()
        random = Attribution(**{**vars(scored), "scores": scores})
        found = att.faithfulness(lm, random, orders=40, seed=100)
        beaten.append(found.beaten["comprehensiveness"])
        low, high = found.random["comprehensiveness"][1:]
        assert low <= found.random["comprehensiveness"][0] <= high
    assert 0.3 < sum(beaten) / 12 < 0.7
    assert found.random_curves.shape == (2, 7) and "beats" in repr(found)


def test_faithfulness_refuses_what_it_cannot_judge():
    lm = family()
    scored = att.erasure(lm, TEXT, TARGET)
    for options in ({"fractions": ()}, {"fractions": (0, 0.5)}, {"orders": 0}):
        with pytest.raises(ValueError, match="fractions"):
            att.faithfulness(lm, scored, **options)
    foreign = Attribution(**{**vars(scored), "tokens": tuple("abcdef")})
    with pytest.raises(ValueError, match="another model"):
        att.faithfulness(lm, foreign)


# --- agreement -------------------------------------------------------------------------------


def test_rank_correlation_and_overlap():
    a = torch.tensor([3.0, 1.0, 2.0, 0.0])
    assert judged.rank_correlation(a, torch.exp(a)) == pytest.approx(1)
    assert judged.rank_correlation(a, -a) == pytest.approx(-1)
    assert judged.rank_correlation(a, torch.zeros(4)) == 0
    # with one tie, worked by hand: ranks 1 2 3 4 and 1.5 1.5 3 4
    b = torch.tensor([4.0, 3.0, 2.0, 1.0]), torch.tensor([4.0, 4.0, 2.0, 1.0])
    assert judged.rank_correlation(*b) == pytest.approx(4.5 / math.sqrt(5 * 4.5))
    assert judged.top_overlap(a, -a, top=2) == 0
    assert judged.top_overlap(a, a, top=9) == pytest.approx(4 / 9 * 9 / 4)


def test_agreement_over_texts():
    one = [result([3, 2, 1]), result([1, 2, 3]), result([1, 5, 2])]
    same = [result([30, 20, 10], method="n"), result([1, 2, 3]), result([1, 5, 2])]
    turned = [result((-r.scores).tolist()) for r in one]
    found = att.agreement({"one": one, "same": same, "turned": turned}, top=1)
    assert found.correlation["one", "same"] == pytest.approx((1, 1, 1))
    assert found.correlation["one", "turned"] == pytest.approx((-1, -1, -1))
    assert found.overlap["one", "turned"][0] == 0
    assert found.matrix().tolist()[0] == pytest.approx([1, 1, -1])
    assert "3 texts" in repr(found) and "top-1" in repr(found)
    for bad in ({"one": one}, {"one": one, "two": one[:2]}, {}, {"one": [], "two": []}):
        with pytest.raises(ValueError, match="two methods"):
            att.agreement(bad)
    with pytest.raises(ValueError, match="same texts"):
        att.agreement({"one": one, "two": [result([1, 2, 3], target="x")] * 3})


# --- planted causes --------------------------------------------------------------------------


def test_rank_of_the_cause():
    tokens = ["The", "un", "like", "ly", "dog"]
    scored = result([0.1, 0.5, 0.2, 0.2, 0.5], tokens=tokens)
    assert att.token_places(scored, "unlikely") == [1, 2, 3]
    assert att.token_places(scored, ["dog", "the"]) == [0, 4]
    assert causes.cause_rank(scored, "dog") == 1.5
    assert causes.cause_rank(scored, "ly") == 3.5
    assert causes.cause_rank(scored, ["the", "un"]) == 1.5
    with pytest.raises(ValueError, match="'cat' is not among"):
        att.token_places(scored, "cat")


@pytest.mark.parametrize(("tokens", "n"), [(5, 1), (6, 2), (4, 4)])
def test_chance_is_the_mean_over_all_orders(tokens, n):
    orders = list(permutations(range(tokens)))
    mean = sum(1 / (1 + min(order.index(i) for i in range(n))) for order in orders) / len(orders)
    assert causes.chance_reciprocal_rank(tokens, n) == pytest.approx(mean)


def test_cause_ranks_and_their_intervals():
    scored = [result([3, 2, 1]), result([1, 2, 3])] * 20
    found = att.cause_ranks(scored, ["a"] * 40)
    assert found.first[0] == 0.5 and found.reciprocal[0] == pytest.approx((1 + 1 / 3) / 2)
    assert found.first[1] < 0.5 < found.first[2]
    assert found.chance == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert "40 texts" in repr(found)
    with pytest.raises(ValueError, match="one cause"):
        att.cause_ranks(scored, ["a"])


@pytest.mark.parametrize("task", ["credit", "review", "festival", "agreement"])
def test_planted_cases_name_words_of_their_text(lm, task):
    cases = att.planted_cases(task, 60)
    assert len(cases) == 60 and cases == att.planted_cases(task, 60)
    for case in cases:
        asked = att.ask(lm, case.text, case.target, case.foil)
        scored = result([0.0] * len(asked.tokens), case.text, asked.tokens)
        att.token_places(scored, case.causes)
    with pytest.raises(ValueError, match="credit, review, festival, agreement"):
        att.planted_cases("loan")


def test_causes_are_what_the_generator_uses():
    for case in att.planted_cases("credit", 40):
        assert (int(case.causes[0]) >= 40) == (case.target == "50")
    for case in att.planted_cases("festival", 40):
        assert ("encore" in case.causes) == (case.target == "positive")
    assert {len(case.causes) for case in att.planted_cases("review", 4)} == {1, 2}


# --- twins -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CAUSAL)
def test_no_method_tells_twins_apart_on_the_text(kind):
    lm = family(kind)
    lm.takes_any_mask = False  # the same arithmetic on both sides
    other = att.twin(lm, TEXT, {TARGET: -30.0, FOIL: 30.0})
    for name in att.METHODS:
        one, two = (att.attribute(m, TEXT, TARGET, FOIL, method=name) for m in (lm, other))
        assert one.scores.abs().max() > 1e-3
        assert one.scores.allclose(two.scores, rtol=1e-4, atol=1e-4), name
        close(one.value, two.value, precision(kind))


def test_twins_differ_where_a_word_is_replaced():
    lm = family()
    before = {name: tensor.clone() for name, tensor in lm.model.state_dict().items()}
    other = att.twin(lm, TEXT, {TARGET: -30.0, FOIL: 30.0})
    for change in ("The two cats in a cat", "The two dogs in a dog"):
        values = [float(q.values([q.ids])) for q in (att.ask(m, change, TARGET, FOIL)
                                                    for m in (lm, other))]  # fmt: skip
        assert values[1] < values[0] - 30
        drawn = att.Interventional(["cats dog sees"], samples=4)
        seen = [att.erasure(m, TEXT, TARGET, FOIL, baseline=drawn).scores for m in (lm, other)]
        assert (seen[0] - seen[1]).abs().max() > 1  # real words in the gaps give it away
    assert all(t.equal(before[n]) for n, t in lm.model.state_dict().items())
    assert other.name != lm.name and not other.takes_any_mask


def test_a_twin_must_be_possible():
    lm = family()
    for arguments, message in (
        (({},), "empty"),
        (({"dogs cats": 1.0},), "one token"),
        (({TARGET: 1.0}, "delete"), "length"),
        (({TARGET: 1.0}, "zzz"), "Unknown baseline"),
    ):
        shift, *baseline = arguments
        with pytest.raises(ValueError, match=message):
            att.twin(lm, TEXT, shift, **({"baseline": baseline[0]} if baseline else {}))
