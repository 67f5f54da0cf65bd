"""Weights in half precision: what they lose is lost in the forward pass, and nowhere else."""

import pytest
import torch

from course_lib import load_model, tasks
from course_lib.attribution.question import ask
from course_lib.behaviour import region_surprisals, score_pairs, surprisals
from course_lib.lens import direct_attribution, logit_lens, word_ranks
from course_lib.models.language_model import LanguageModel
from course_lib.models.packing import score_unique
from course_lib.patching import patch
from course_lib.sae import dose_response, index_features, load_sae, score_sae
from course_lib.widgets.tour import read_stream
from tests.families import CAUSAL, random_model, word_tokenizer

TEXTS = ["The dog sleeps.", "The keys near the cabinet are old."]
HALF = pytest.mark.parametrize("lm", [torch.bfloat16, torch.float16], indirect=True)


@pytest.fixture(scope="module")
def lm(request):
    return load_model("course-lm", dtype=request.param)


def exact(lm, ids) -> torch.Tensor:
    """Scores of a row of ids from the logits as the model wrote them, in float64."""
    with torch.no_grad():
        logits = lm.model(input_ids=torch.tensor([ids])).logits
    logp = logits[0, :-1].double().log_softmax(-1)
    return logp.gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]


@HALF
def test_scores_are_those_of_the_logits_in_float64(lm):
    ids = lm.encode(TEXTS[0])
    (alone,) = lm.token_logprobs(TEXTS[0])
    packed = score_unique(lm, [tuple(ids)])[tuple(ids)]
    for found in (alone, packed):
        torch.testing.assert_close(found.double(), exact(lm, ids), rtol=1e-5, atol=1e-5)
    values = torch.tensor([value for _, value in surprisals(lm, TEXTS[0])])
    torch.testing.assert_close(values.double(), -exact(lm, ids), rtol=1e-5, atol=1e-5)
    regions = region_surprisals(lm, ["The dog", "sleeps", "."])
    assert sum(regions) == pytest.approx(-float(exact(lm, ids).sum()), abs=1e-4)
    probs = lm.next_token_probs(TEXTS)
    assert probs.dtype == torch.float32
    torch.testing.assert_close(probs.double().sum(1), torch.ones(2).double(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_family(kind, dtype):
    """Logits far from 0, where the steps of half precision are wide."""
    model = random_model(kind, torch.float32).to(dtype)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(8)
    lm = LanguageModel(model, word_tokenizer(), kind)
    ids = lm.encode("The dog sees two cats.")
    (found,) = lm.score_ids([ids])
    torch.testing.assert_close(found.double(), exact(lm, ids), rtol=1e-4, atol=1e-4)
    assert lm.logits("The dog").dtype == torch.float32


@pytest.mark.parametrize("name", ["course-lstm", "course-txl"])
def test_recurrent_models(name):
    lm = load_model(name, dtype=torch.bfloat16)
    ids = lm.encode(TEXTS[0])
    (found,) = lm.token_logprobs(TEXTS[0])
    torch.testing.assert_close(found.double(), exact(lm, ids), rtol=1e-5, atol=1e-5)


def test_margins_tie_no_more_often_than_in_float32():
    pairs = [(f"The {a} sleeps.", f"The {a} sleep.") for a in ("dog", "cat", "boy", "girl")]
    pairs += [(b, a) for a, b in pairs]
    margins = score_pairs(load_model("course-lm", dtype=torch.bfloat16), pairs).margin
    steps = margins * 32  # of bfloat16 between 4 and 8: 1/32 nat
    assert not bool((margins == 0).any()) and not torch.equal(steps, steps.round())


@HALF
def test_double_precision_and_float32_stay_as_they_are(lm):
    assert lm(torch.tensor([lm.encode(TEXTS[0])])).logits.dtype == torch.float32
    double = load_model("course-lm", dtype=torch.float64)
    assert double.token_logprobs(TEXTS[0])[0].dtype == torch.float64


@HALF
def test_readings_inside_the_model_are_normalised_in_float32(lm):
    reading = logit_lens(lm, TEXTS[0])
    total = reading.logprobs.double().logsumexp(-1)
    torch.testing.assert_close(total, torch.zeros_like(total), rtol=0, atol=1e-5)
    assert word_ranks(lm, ["The dog"], ["sleeps"]).logprobs.dtype == torch.float32
    assert read_stream(lm, TEXTS[0])[1].dtype == torch.float32
    single = direct_attribution(load_model("course-lm"), "The dog", "sleeps")
    assert direct_attribution(lm, "The dog", "sleeps").logit == pytest.approx(single.logit, abs=0.1)


@HALF
def test_autoencoders_and_patches_of_models_in_half_precision(lm):
    single, sae = load_model("course-lm"), load_sae()
    half, whole = (score_sae(model, sae, TEXTS) for model in (lm, single))
    assert half.recovered()[0] == pytest.approx(whole.recovered()[0], abs=0.02)
    assert index_features(lm, sae, TEXTS).maxima.max() > 0
    maxima = torch.ones(sae.features)
    assert dose_response(lm, sae, 0, maxima, ["The dog went"], controls=2, multiples=(0, 1))
    task = tasks.greater_than(lm, 4)
    assert float(patch(lm, task, "resid_pre.0").share) == pytest.approx(1.0, abs=1e-6)
    question = ask(lm, "The dogs near the cat", "are", "is")
    expected = ask(single, "The dogs near the cat", "are", "is").values([question.ids])
    torch.testing.assert_close(question.values([question.ids]), expected, rtol=0, atol=0.3)
