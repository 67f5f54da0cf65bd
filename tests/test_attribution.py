"""Attribution: identities that hold whatever the model, every family, and bad input."""

import math
from itertools import permutations
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from course_lib import attribution as att
from course_lib.attribution import games, gradients, question
from course_lib.attribution.result import Attribution
from course_lib.models.language_model import LanguageModel
from course_lib.models.packing import inputs, pack
from tests.closeness import close, precision
from tests.families import CAUSAL, VOCAB, byte_tokenizer, random_model, word_tokenizer

TEXT = "The two dogs in a cat"
TARGET, FOIL = "sleep", "sleeps"
OUTPUTS = ("prob", "logprob", "logit")
BACKGROUND = ["The cats see two dogs", "a dog sleeps in from 17"]


class Scorer(nn.Module):
    """Logits of the last position from embeddings [B, L, d]; `score` [B, L, d] -> [B, V]."""

    def __init__(self, score, embedding):
        super().__init__()
        self.score, self.config = score, SimpleNamespace()
        self.table = nn.Embedding.from_pretrained(embedding)

    def get_input_embeddings(self):
        return self.table

    def forward(self, input_ids=None, attention_mask=None, inputs_embeds=None, **options):
        x = self.table(input_ids) if inputs_embeds is None else inputs_embeds
        return SimpleNamespace(logits=self.score(x)[:, None])


def scorer(score) -> LanguageModel:
    table = torch.randn(VOCAB, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return LanguageModel(Scorer(score, table), word_tokenizer(), "scorer")


def linear(unused: int | None = None, length: int = 7) -> tuple[LanguageModel, torch.Tensor]:
    """Logits = sum of the tokens' embeddings times weights [L, d, V]; one place may be unused."""
    generator = torch.Generator().manual_seed(4)
    weights = torch.randn(length, 6, VOCAB, generator=generator, dtype=torch.float64)
    if unused is not None:
        weights[unused] = 0
    return scorer(lambda x: torch.einsum("bld,ldv->bv", x, weights[: x.shape[1]])), weights


def crossed() -> LanguageModel:
    """Logits with products of tokens: nothing is additive."""
    generator = torch.Generator().manual_seed(5)
    read = torch.randn(6, VOCAB, generator=generator, dtype=torch.float64)
    return scorer(lambda x: torch.tanh(x.sum(1) / 2) @ read + (x[:, 2] * x[:, 4]) @ read)


def family(kind: str, **options) -> LanguageModel:
    return LanguageModel(random_model(kind, **options), word_tokenizer(), kind)


def every_method(lm, target=TARGET, foil=FOIL, **options):
    for name in att.METHODS:
        yield name, att.attribute(lm, TEXT, target, foil, method=name, **options)


def plain_value(lm, ids, output="logit", target=TARGET, foil=FOIL) -> float:
    with torch.no_grad():
        logits = lm.model(input_ids=torch.tensor([ids])).logits[0, -1]
    if output != "logit":
        logits = logits.softmax(-1) if output == "prob" else logits.log_softmax(-1)
    value = logits[lm.token_id(target)]
    return float(value if foil is None else value - logits[lm.token_id(foil)])


# --- the model is read correctly -------------------------------------------------------------


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("packed", [True, False])
def test_batched_values_are_those_of_one_text_at_a_time(kind, packed):
    lm = family(kind)
    if not packed:
        lm.takes_any_mask = False
    asked = att.ask(lm, TEXT, TARGET, FOIL, "logprob")
    keep = games.all_coalitions(6)
    keep = keep[torch.randperm(64, generator=torch.Generator().manual_seed(0))]
    for token in ("a", "delete"):
        found = att.coalition_values(asked, keep, token)[:, 0]
        for value, mask in zip(found[:20].tolist(), keep[:20].tolist(), strict=True):
            new = [] if token == "delete" else [lm.token_id("a")]
            pairs = zip(asked.ids[1:], mask, strict=True)
            ids = [asked.ids[0], *(j for i, kept in pairs for j in ([i] if kept else new))]
            # RMSNorm and rotary positions compute in single precision, whatever the weights
            assert value == pytest.approx(plain_value(lm, ids, "logprob"), rel=1e-5, abs=2e-5)


def test_packed_rows_share_beginnings_and_keep_every_row():
    rows = sorted({tuple(row) for row in torch.randint(1, 3, (40, 6)).tolist()})
    packed = pack(rows, question.ROW_TOKENS, ends_last=True)
    assert [ids for row in packed for ids in row.paths] == rows
    given = inputs(family("gpt2"), packed, right=True)
    ids, positions = given["input_ids"], given["position_ids"]
    assert ids.shape[1] <= question.ROW_TOKENS
    for b, row in enumerate(packed):
        for n, sequence in enumerate(row.paths):
            end = ids.shape[1] - len(row.paths) + n
            seen = (given["attention_mask"][b, 0, end] == 0).nonzero()[:, 0]
            assert tuple(ids[b, seen].tolist()) == sequence
            assert positions[b, seen].tolist() == list(range(6))


def test_a_text_is_read_once():
    lm = family("gpt2")
    read = []
    hook = lm.model.register_forward_pre_hook(lambda *_: read.append(1))
    asked = att.ask(lm, TEXT, TARGET)
    keep = games.all_coalitions(6)
    first = att.coalition_values(asked, keep, "a")
    batches = len(read)
    assert att.coalition_values(asked, keep.flip(0), "a").equal(first.flip(0))
    hook.remove()
    # "a" is already at place 4: half of the masks give a text that another mask gives too
    assert (len(read), asked.passes) == (batches, 32)


@pytest.mark.parametrize("kind", CAUSAL)
def test_every_method_runs_on_every_family_and_leaves_nothing_behind(kind):
    lm = family(kind)
    before = {name: tensor.clone() for name, tensor in lm.model.state_dict().items()}
    with torch.no_grad():  # gradients are taken also here
        for name, result in every_method(lm):
            assert result.scores.shape == (6,), name
            assert result.scores.dtype == torch.float64 and result.scores.isfinite().all()
            assert not result.scores.requires_grad
            assert result.value == pytest.approx(plain_value(lm, lm.encode(TEXT)), abs=2e-5)
    assert all(p.grad is None and not p.requires_grad for p in lm.model.parameters())
    assert not lm.model.training
    assert all(tensor.equal(before[n]) for n, tensor in lm.model.state_dict().items())
    modules = lm.model.modules()
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in modules)


def test_a_byte_tokenizer_and_the_course_model(lm):
    tokenizer = byte_tokenizer()
    model = random_model("gpt2", vocab_size=len(tokenizer), max_position_embeddings=64)
    other = LanguageModel(model, tokenizer, "bytes")
    result = att.erasure(other, "the dog sees the rain", "dog", "dogs")
    assert "".join(result.tokens).replace("Ġ", "") == "thedogseestherain"
    for name, result in every_method(lm):
        assert result.scores.isfinite().all(), name


def test_the_recurrent_model_is_perturbed_but_has_no_gradients():
    from course_lib import load_model

    lstm = load_model("course-lstm")
    assert att.erasure(lstm, "The dogs near the doctor", "are", "is").scores.abs().sum() > 0
    with pytest.raises(ValueError, match="inputs_embeds"):
        att.gradient_norm(lstm, "The dogs near the doctor", "are")


# --- identities ------------------------------------------------------------------------------


@pytest.mark.parametrize("output", OUTPUTS)
def test_erasure_is_the_formula(output):
    lm = family("gpt2")
    for foil in (None, FOIL):
        result = att.erasure(lm, TEXT, TARGET, foil, output=output, baseline="mask")
        ids = lm.encode(TEXT)
        for i, score in enumerate(result.scores.tolist(), 1):
            without = [*ids[:i], lm.tokenizer.mask_token_id, *ids[i + 1 :]]
            plain = [plain_value(lm, x, output, foil=foil) for x in (ids, without)]
            close(score, plain[0] - plain[1])


def test_a_token_a_linear_scorer_does_not_use_gets_zero():
    lm, _ = linear(unused=3)
    for name, result in every_method(lm, output="logit"):
        assert abs(result.scores[2]) < 1e-9, name
        assert result.scores.abs().max() > 0.1, name


def test_on_a_linear_scorer_every_signed_method_gives_weights_times_difference():
    lm, weights = linear()
    table = lm.model.table.weight
    x = table[torch.tensor(lm.encode(TEXT))]
    w = weights[:, :, lm.token_id(TARGET)] - weights[:, :, lm.token_id(FOIL)]  # [L, d]
    norm = att.gradient_norm(lm, TEXT, TARGET, FOIL, output="logit")
    assert norm.scores.allclose(w[1:].norm(dim=1))
    assert att.gradient_x_input(lm, TEXT, TARGET, FOIL, output="logit").scores.allclose(
        (w * x)[1:].sum(1)
    )
    expected = (w * (x - table[lm.tokenizer.unk_token_id]))[1:].sum(1)
    for name in ("erasure", "integrated gradients", "LIME", "Shapley"):
        result = att.attribute(lm, TEXT, TARGET, FOIL, method=name, output="logit")
        assert result.scores.allclose(expected, atol=1e-8), name
    sampled = att.shapley(lm, TEXT, TARGET, FOIL, output="logit", samples=2)
    assert sampled.scores.allclose(expected) and sampled.std_errors.max() < 1e-9


def test_baseline_equal_to_the_text_gives_zeros():
    for lm in (crossed(), family("llama")):
        for name in ("erasure", "integrated gradients", "LIME", "Shapley"):
            result = att.attribute(lm, "dog dog dog dog dog", TARGET, method=name, baseline="dog")
            assert result.scores.abs().max() < 1e-9, name
    same = att.Interventional([TEXT], samples=3, aligned=True)
    result = att.erasure(lm, TEXT, TARGET, baseline=same)
    assert result.scores.abs().max() == 0 and result.std_errors.max() == 0


@pytest.mark.parametrize("kind", ["scorer", "gpt2", "qwen3"])
def test_contrast_turns_around_with_target_and_foil(kind):
    lm = crossed() if kind == "scorer" else family(kind)
    for output in OUTPUTS:
        pairs = zip(
            every_method(lm, output=output),
            every_method(lm, FOIL, TARGET, output=output),
            strict=True,
        )
        for (name, one), (_, other) in pairs:
            sign = 1 if name == "gradient norm" else -1
            close(one.scores, sign * other.scores, precision(kind))
            close(one.value, -other.value, precision(kind))


def test_contrast_is_the_difference_of_two_questions():
    lm = family("gpt2")
    for name, both in every_method(lm, output="prob"):
        if name != "gradient norm":
            one, other = (
                att.attribute(lm, TEXT, w, method=name, output="prob") for w in (TARGET, FOIL)
            )
            close(both.scores, one.scores - other.scores)


def test_contrast_of_log_probabilities_is_that_of_logits():
    lm = family("gpt2")
    for (_, a), (_, b) in zip(
        every_method(lm, output="logit"), every_method(lm, output="logprob"), strict=True
    ):
        close(a.scores, b.scores)


def test_sign_positive_supports_the_target():
    """Logit of the target grows with every token that differs from the baseline."""
    goal = word_tokenizer().convert_tokens_to_ids(TARGET)
    direction = torch.zeros(VOCAB, dtype=torch.float64)
    direction[goal] = 1
    table = torch.ones(VOCAB, 1, dtype=torch.float64)
    table[:7] = 0  # special tokens, the baseline among them
    model = Scorer(lambda x: x.sum((1, 2))[:, None] * direction, table)
    lm = LanguageModel(model, word_tokenizer(), "counts")
    for output in OUTPUTS:
        for name, result in every_method(lm, output=output):
            assert (result.scores > 1e-4).all(), (name, output)


@pytest.mark.parametrize("kind", ["gpt2", "opt", "gpt_neox"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_gradients_agree_with_finite_differences(kind, output):
    lm = family(kind)
    asked = att.ask(lm, TEXT, TARGET, FOIL, output)
    x = gradients.embed(asked, asked.ids)
    _, gradient = gradients.values_and_gradients(asked, x[None])
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).double()
    step = 1e-5
    ends = torch.stack([x + step * direction, x - step * direction])
    up, down = gradients.values_and_gradients(asked, ends)[0]
    assert float((gradient[0] * direction).sum()) == pytest.approx(
        float(up - down) / (2 * step), rel=1e-6
    )


def test_the_completeness_gap_vanishes_with_steps():
    lm = family("gpt2")
    for baseline in ("unk", "zero"):
        for rule in gradients.RULES:
            gaps = []
            for steps in (4, 64, 512):
                result = att.integrated_gradients(
                    lm, TEXT, TARGET, FOIL, baseline=baseline, steps=steps, rule=rule
                )
                close(result.gap, float(result.scores.sum()) - result.value + result.base_value)
                gaps.append(abs(result.gap))
            assert gaps[2] < gaps[0] / 10 + 1e-9, (baseline, rule)
            assert gaps[2] < (1e-8 if rule == "gauss-legendre" else 0.1), (baseline, rule)
    assert result.passes == 514


@pytest.mark.parametrize("rule", gradients.RULES)
def test_quadrature_weights(rule):
    nodes, weights = gradients.path_points(9, rule)
    assert float(weights.sum()) == pytest.approx(1)
    exact = 18 if rule == "gauss-legendre" else 2 if rule in ("midpoint", "trapezoid") else 1
    for power in range(exact):
        assert float(weights @ nodes**power) == pytest.approx(1 / (power + 1)), power


def test_lime_recovers_a_scorer_that_is_linear_in_the_mask():
    keep = games.all_coalitions(5)[torch.randperm(32)[:20]]
    beta = torch.tensor([2.0, -1.0, 0.0, 3.0, 0.5]).double()
    fit = games.weighted_fit(keep, 7 + keep.double() @ beta, games.lime_weights(keep))
    assert fit[0].allclose(torch.cat([torch.tensor([7.0]).double(), beta]))
    assert fit[1].max() < 1e-9 and fit[2] == pytest.approx(1)
    lm, _ = linear()
    result = att.lime(lm, TEXT, TARGET, FOIL, output="logit", samples=30, seed=3)
    assert "R^2 1.00" in result.note
    shrunk = games.weighted_fit(keep, keep.double() @ beta, games.lime_weights(keep), ridge=1e6)
    assert shrunk[0][1:].abs().max() < 1e-3


def test_lime_weights_fall_with_the_number_of_missing_tokens():
    weights = games.lime_weights(games.all_coalitions(4))
    assert weights[-1] == 1
    assert weights[0b0111] > weights[0b0011] > weights[0b0001] > weights[0]


# --- Shapley ---------------------------------------------------------------------------------


def brute_force(values: torch.Tensor) -> torch.Tensor:
    """The mean over all orders of what a player adds."""
    size = int(math.log2(len(values)))
    phi = torch.zeros(size, dtype=values.dtype)
    for order in permutations(range(size)):
        code = 0
        for i in order:
            phi[i] += values[code | 1 << i] - values[code]
            code |= 1 << i
    return phi / math.factorial(size)


def random_game(size: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2**size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_exact_shapley_equals_brute_force_and_is_efficient(size):
    game = random_game(size, size)
    phi = games.shapley_values(game)
    close(phi, brute_force(game))
    close(phi.sum(), game[-1] - game[0])


def test_shapley_symmetry_dummy_additivity():
    mask = games.all_coalitions(4)
    alike = mask[:, :2].sum(1).double() ** 2 + 3 * mask[:, 2]  # 0 and 1 interchangeable, 3 a dummy
    phi = games.shapley_values(alike)
    close(phi[0], phi[1])
    close(phi[2:], [3.0, 0.0])
    a, b = random_game(4, 1), random_game(4, 2)
    both = games.shapley_values(torch.stack([a, b], 1))
    assert both[:, 0].allclose(games.shapley_values(a))
    assert games.shapley_values(2 * a + b).allclose(2 * both[:, 0] + both[:, 1])


def test_shapley_of_a_model_is_that_of_its_game():
    for lm in (crossed(), family("gpt2")):
        result = att.shapley(lm, TEXT, TARGET, FOIL)
        values = att.coalition_values(att.ask(lm, TEXT, TARGET, FOIL), games.all_coalitions(6))
        assert result.scores.allclose(brute_force(values[:, 0]))
        assert abs(result.gap) < 1e-9 and result.passes == 64
        assert result.base_value == pytest.approx(float(values[0]))


def test_sampled_shapley_approaches_the_exact_one_within_its_errors():
    lm = crossed()
    exact = att.shapley(lm, TEXT, TARGET, FOIL).scores
    sampled = att.shapley(lm, TEXT, TARGET, FOIL, samples=400, seed=1)
    z = (sampled.scores - exact) / sampled.std_errors
    assert (z.abs() < 4).all() and z.abs().max() > 1e-3
    assert abs(sampled.gap) < 1e-9
    fewer = att.shapley(lm, TEXT, TARGET, FOIL, samples=25, seed=1)
    ratio = float(fewer.std_errors.mean() / sampled.std_errors.mean())
    assert 2.5 < ratio < 6  # sqrt(16) = 4
    again = att.shapley(lm, TEXT, TARGET, FOIL, samples=25, seed=1)
    other = att.shapley(lm, TEXT, TARGET, FOIL, samples=25, seed=2)
    assert again.scores.equal(fewer.scores) and not other.scores.equal(fewer.scores)


# --- baselines -------------------------------------------------------------------------------


def test_interventional_draws_approach_the_expectation_within_their_errors():
    lm = crossed()
    background = {"dog": 3.0, "a": 1.0, "cats": 2.0}
    ids = lm.encode(TEXT)
    expected = []
    for i in range(1, 7):
        rows = [[*ids[:i], lm.token_id(w), *ids[i + 1 :]] for w in background]
        values = torch.tensor([plain_value(lm, row) for row in rows])
        expected.append(plain_value(lm, ids) - float(values @ torch.tensor([3.0, 1.0, 2.0]) / 6))
    drawn = att.Interventional(background, samples=600, seed=1)
    result = att.erasure(lm, TEXT, TARGET, FOIL, output="logit", baseline=drawn)
    z = (result.scores - torch.tensor(expected)) / result.std_errors
    assert (z.abs() < 4).all()
    assert (result.std_errors < 0.5).all() and result.seed == 1
    assert result.passes <= 1 + 3 * 6  # equal draws are read once


def test_aligned_background_keeps_places_and_shapley_with_draws_stays_efficient():
    lm = crossed()
    texts = ["a dog sees two cats .", "The cat sleeps in from 17"]
    aligned = att.Interventional(texts, samples=8, aligned=True)
    keep = torch.zeros(1, 6, dtype=torch.bool)
    asked = att.ask(lm, TEXT, TARGET, FOIL)
    only = {plain_value(lm, lm.encode(text)) for text in texts}
    for value in att.coalition_values(asked, keep, aligned)[0].tolist():
        close(value, min(only, key=lambda v: abs(value - v)))
    exact = att.shapley(lm, TEXT, TARGET, FOIL, baseline=aligned)
    assert abs(exact.gap) < 1e-9 and (exact.std_errors > 0).all()
    sampled = att.shapley(lm, TEXT, TARGET, FOIL, baseline=aligned, samples=300)
    assert ((sampled.scores - exact.scores).abs() < 4 * sampled.std_errors).all()


def test_observational_draws_follow_the_model():
    """One gap: p(w | rest) by enumeration; with one proposal p(w | what stands before)."""
    lm = family("llama")
    ids = lm.encode(TEXT)
    words = [i for i in range(VOCAB) if i not in lm.tokenizer.all_special_ids]
    logp = torch.stack(lm.score_ids([[*ids[:3], i, *ids[4:]] for i in words]))[:, 2:]
    exact = {1: logp[:, 0].softmax(0), 128: logp.sum(1).softmax(0)}
    gap = torch.tensor([[True, True, True, False, True, True, True]])

    def distance(a, b):
        return float((a - b).abs().sum() / 2)

    assert distance(exact[1], exact[128]) > 0.3  # what follows matters here
    for proposals, expected in exact.items():
        baseline = att.Observational(samples=1000, proposals=proposals)
        drawn = [words.index(row[3]) for row in baseline.rows(lm, tuple(ids), gap)[0]]
        found = torch.bincount(torch.tensor(drawn), minlength=len(words)) / 1000
        assert distance(found, expected) < 0.12, proposals


def test_observational_never_touches_what_is_present():
    lm = family("gpt_neo")
    keep = games.all_coalitions(6)
    full = torch.cat([torch.ones(64, 1, dtype=torch.bool), keep], 1)
    ids = tuple(lm.encode(TEXT))
    drawn = att.Observational(samples=2, proposals=2).rows(lm, ids, full)
    for mask, rows in zip(full, drawn, strict=True):
        assert len(rows) == 2
        for row in rows:
            assert torch.tensor(row)[mask].equal(torch.tensor(ids)[mask])
            assert not set(row[1:]) & set(lm.tokenizer.all_special_ids)


def test_the_same_seed_gives_the_same_scores():
    lm = family("gpt2")
    for baseline in (
        lambda seed: att.Interventional(BACKGROUND, samples=5, seed=seed),
        lambda seed: att.Observational(samples=5, proposals=2, seed=seed),
    ):
        one, two, three = (
            att.erasure(lm, TEXT, TARGET, baseline=baseline(s)).scores for s in (0, 0, 1)
        )
        assert one.equal(two) and not one.equal(three)


def test_static_tokens():
    lm = family("gpt2")
    found = {name: att.Static(name).token_id(lm) for name in ("", "unk", "pad", "eos", "dog")}
    assert found == {"": 1, "unk": 1, "pad": 0, "eos": 3, "dog": lm.token_id("dog")}
    assert att.erasure(lm, TEXT, TARGET, baseline="delete").baseline == "static, deleted"


# --- what is shown and what is refused ---------------------------------------------------------


def test_a_result_says_what_it_is():
    lm = family("gpt2")
    result = att.erasure(
        lm, TEXT, TARGET, FOIL, baseline=att.Interventional(BACKGROUND, samples=4, seed=9)
    )
    shown = repr(result)
    for part in ("S_E*", TARGET, FOIL, "nats", "4 draws", "seed 9", "passes", "±", *result.tokens):
        assert part in shown
    assert "S_E*" not in repr(att.erasure(lm, TEXT, TARGET))
    shown = repr(att.integrated_gradients(lm, TEXT, TARGET, steps=3, rule="left"))
    assert "3 steps, left" in shown and "gap" in shown
    table = result._repr_html_()
    assert table.count("<tr>") == 7 and 'scope="row"' in table
    odd = Attribution("m", "x", ("<b>",), torch.zeros(1), "t", None, "prob", 0.0, "b", 1)
    assert "<b>" not in odd._repr_html_()
    assert result.order[0] == int(result.scores.argmax())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "dog cat"}, "target must be a word of one token"),
        ({"foil": "dogcat"}, "foil must be a word of one token"),
        ({"foil": TARGET}, "same token"),
        ({"text": ""}, "no tokens"),
        ({"text": "dog"}, "at least two words"),
        ({"output": "bits"}, "prob, logprob, logit"),
        ({"method": "saliency"}, "erasure, gradient norm"),
        ({"baseline": "zzz"}, "unk, mask, pad, eos, delete"),
        ({"baseline": "interventional"}, "Interventional\\(texts\\)"),
        ({"baseline": att.Interventional([])}, "list of texts"),
        ({"baseline": att.Interventional(["a dog"], aligned=True)}, "same template"),
        ({"baseline": att.Interventional(["a dog"], samples=0)}, "at least 1"),
        ({"method": "integrated gradients", "baseline": "delete"}, "one point"),
        ({"method": "integrated gradients", "baseline": "observational"}, "one point"),
        ({"method": "integrated gradients", "rule": "simpson"}, "midpoint, gauss-legendre"),
        ({"method": "integrated gradients", "steps": 0}, "at least 1 step"),
        ({"method": "LIME", "samples": 3}, "at least as many samples"),
        ({"method": "Shapley", "samples": 1}, "at least 2"),
        ({"method": "Shapley", "text": "a " * 13}, "8,192 .*samples=200 .*2,402"),
    ],
)
def test_bad_input_is_explained(change, message):
    call = {"text": TEXT, "target": TARGET} | change
    with pytest.raises(ValueError, match=message):
        att.attribute(family("gpt2"), **call)


def test_unsupported_models_are_refused():
    from course_lib import load_model

    masked = LanguageModel(random_model("bert"), word_tokenizer(masked=True), "bert")
    with pytest.raises(ValueError, match="left-to-right"):
        att.erasure(masked, TEXT, TARGET)
    with pytest.raises(ValueError, match="neural"):
        att.erasure(load_model("course-ngram"), "The dogs near the doctor", "are")
    with pytest.raises(ValueError, match="same tokenizer"):
        att.erasure(family("gpt2"), TEXT, TARGET, baseline=att.Observational(masked))
    with pytest.raises(TypeError, match="Static"):
        att.erasure(family("gpt2"), TEXT, TARGET, baseline=3)
    with pytest.raises(ValueError, match="keep must be"):
        att.coalition_values(att.ask(family("gpt2"), TEXT, TARGET), torch.ones(2, 4))
