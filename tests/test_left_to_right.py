"""Masked models have no next word: every method that needs one refuses them."""

import pytest

from course_lib import circuits, load_model, patching, sae, tasks
from course_lib.attribution.question import ask
from course_lib.behaviour import region_surprisals, score_pairs, score_suite, surprisals
from course_lib.lens import direct_attribution, logit_lens, word_ranks
from course_lib.lens.causal import run_changed
from course_lib.models.language_model import LanguageModel
from course_lib.sae.known import topic_knowledge
from course_lib.sae.stream import collect_activations
from course_lib.sae.topk import TopKSAE
from course_lib.widgets.tour import read_stream
from tests.families import random_model, word_tokenizer

TEXTS = ["The dog sleeps.", "The cat sees a dog."]
PAIR = [("The dog sleeps.", "The dog sleep.")]


@pytest.fixture(scope="module", params=["course-bert", "distilbert"])
def masked(request):
    if request.param == "course-bert":
        return load_model("course-bert")
    return LanguageModel(random_model("distilbert"), word_tokenizer(masked=True), "distilbert")


def some_task(lm) -> tasks.Task:
    clean, corrupted = (lm.batch(text)[0] for text in ("The dog", "The cat"))
    return tasks.Task("x", clean, corrupted, lambda logits: logits[:, 9])


def some_sae() -> TopKSAE:
    made = TopKSAE(d=8, features=16)
    made.site = "resid_post.0"
    return made


CALLS = {
    "score_sae": lambda lm: sae.score_sae(lm, some_sae(), TEXTS),
    "index_features": lambda lm: sae.index_features(lm, some_sae(), TEXTS),
    "collect_activations": lambda lm: collect_activations(lm, "resid_post.0", 3, TEXTS),
    "gold_tokens": lambda lm: sae.gold_tokens(lm, n=2),
    "topic_knowledge": lambda lm: topic_knowledge(lm, None),
    "make_task": lambda lm: tasks.make_task(lm, "x", TEXTS[:1], TEXTS[:1], lambda x: x[:, 9]),
    "greater_than": lambda lm: tasks.greater_than(lm, 4),
    "agreement": lambda lm: tasks.agreement(lm, 4),
    "indirect_objects": lambda lm: tasks.indirect_objects(lm, 4),
    "capitals": lambda lm: tasks.capitals(lm, 4),
    "score": lambda lm: tasks.score(lm, some_task(lm)),
    "patch": lambda lm: patching.patch(lm, some_task(lm), "resid_post.0"),
    "sweep_positions": lambda lm: patching.sweep_positions(lm, some_task(lm), "resid_post"),
    "sweep_heads": lambda lm: patching.sweep_heads(lm, some_task(lm)),
    "build_graph": lambda lm: circuits.build_graph(lm),
    "score_pairs": lambda lm: score_pairs(lm, PAIR),
    "score_suite": lambda lm: score_suite(lm, PAIR),
    "region_surprisals": lambda lm: region_surprisals(lm, ["The dog", "sleeps"]),
    "surprisals": lambda lm: surprisals(lm, "The dog"),
    "ask": lambda lm: ask(lm, "The dog sees", "dog"),
    "logit_lens": lambda lm: logit_lens(lm, "The dog"),
    "word_ranks": lambda lm: word_ranks(lm, ["The dog"], ["dog"]),
    "direct_attribution": lambda lm: direct_attribution(lm, "The dog", "dog"),
    "run_changed": lambda lm: run_changed(lm, "The dog", {}),
    "read_stream": lambda lm: read_stream(lm, "The dog"),
    "next_token": lambda lm: lm.next_token("The dog"),
    "next_token_probs": lambda lm: lm.next_token_probs("The dog"),
    "generate": lambda lm: lm.generate("The dog"),
}


@pytest.mark.parametrize("name", CALLS)
def test_masked_models_are_refused_with_the_way_out(masked, name):
    with pytest.raises(ValueError, match="left-to-right|masked|norm"):
        CALLS[name](masked)


def test_an_autoencoder_of_another_width_is_named():
    lm = LanguageModel(random_model("gpt2"), word_tokenizer(), "tiny")
    wrong = some_sae()
    for call in (
        lambda: sae.score_sae(lm, wrong, TEXTS),
        lambda: sae.index_features(lm, wrong, TEXTS),
        lambda: sae.score_sae(lm, sae.load_sae(), TEXTS, site="resid_post.0"),
    ):
        with pytest.raises(ValueError, match="states of (8|256) numbers.* have 16"):
            call()
