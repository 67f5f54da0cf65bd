"""The model card of `course-sae`: every number in it is measured here."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from course_lib.activations import record, replace
from course_lib.models.assets import ASSETS, sha256
from course_lib.models.loading import load_model
from course_lib.sae.cards import feature_card, index_features
from course_lib.sae.concepts import (
    BestUnit,
    GoldTokens,
    best_units,
    f1_difference,
    f1_score,
    gold_tokens,
    per_document,
    unit_activations,
)
from course_lib.sae.doses import CROSSING_WORDS, GENERATOR_RATES, directions_prompts, dose_response
from course_lib.sae.evaluate import score_sae
from course_lib.sae.known import topic_knowledge
from course_lib.sae.steer import clamp
from course_lib.sae.store import load_sae
from course_lib.sae.stream import states_of
from course_lib.sae.topk import TopKSAE
from course_lib.training.sae import RECIPE, train_course_sae
from course_lib.world.documents import document
from course_lib.world.lexicon import TOPICS
from course_lib.world.prompts import credit as credit_prompts

# Seeds of documents no model was trained on.
TEST, GOLD, RARE = "sae-test", "sae-gold", "sae-eval"
SEEDS = (1, 2, 3)  # we bundle the run whose feature for transit is needed most
CONTROLS = 20  # other features for every dose


def span(row: BestUnit | tuple[float, float, float]) -> str:
    f1, low, high = row if isinstance(row, tuple) else (row.f1, row.low, row.high)
    return f"{f1:.2f} [{low:.2f}, {high:.2f}]"


def concept_rows(lm: Any, sae: TopKSAE, gold: GoldTokens) -> list[tuple[BestUnit, BestUnit]]:
    """For every gold concept the best feature and the best neuron of the same layer."""
    layer = sae.site.split(".")[1]
    features, neurons = unit_activations(lm, gold, [sae, f"neurons.{layer}"])
    rows = list(zip(best_units(features, gold), best_units(neurons, gold), strict=True))
    pairs = (best_units(*per_document(values, gold, "max")) for values in (features, neurons))
    return rows + list(zip(*pairs, strict=True))


def concept_table(rows: list[tuple[BestUnit, BestUnit]]) -> list[str]:
    return [
        f"| {a.concept} | {int(a.held.sum())} | {a.unit} | {span(a)} | {b.unit} | {span(b)} | "
        f"{span(f1_difference(a, b))} |"
        for a, b in rows
    ]


def reached(rows: list[tuple[BestUnit, BestUnit]], group: str, least: float = 0.8) -> str:
    names = [pair for pair in rows if pair[0].concept.startswith(group + ":")]
    counts = [sum(pair[k].f1 >= least for pair in names) for k in (0, 1)]
    return f"- {group}: {counts[0]} of {len(names)} (features), {counts[1]} (neurons)"


def steering(lm: Any, sae: TopKSAE, topical: BestUnit, prompts: int = 24) -> list[str]:
    """The lecture's experiment with the feature that best tells documents about transit, with the
    feature that promotes the two words most, and one on the rule that age decides on credit."""
    index = index_features(lm, sae, [document(f"{TEST}:{number}").text for number in range(600)])
    asked = directions_prompts(prompts)
    ids = [lm.token_id(word) for word in CROSSING_WORDS]
    told = ", ".join(
        f"after six sentences about {topic} {float(chance.mean()):.3f}"
        for topic in ("transit", "food")
        for chance in [lm.next_token_probs(directions_prompts(prompts, topic))[:, ids].sum(-1)]
    )
    alive = torch.tensor(np.diff(index.starts) > 0)
    names = [index.names.index(word) for word in CROSSING_WORDS]
    promoting = int((index.effects[:, names].mean(1) * alive).argmax())
    crossing = [
        repr(dose_response(lm, sae, feature, index.maxima, asked, multiples=doses,
                           controls=CONTROLS))
        for feature, doses in ((topical.unit, (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 5)),
                               (promoting, (0, 1, 2, 5, 10, 15)))
    ]  # fmt: skip
    said = continuations(lm, sae, topical.unit, float(index.maxima[topical.unit]), asked[0])
    credit = credit_prompts(4 * prompts)
    old = old_age_feature(lm, sae, credit)
    young = [prompt.text for prompt in credit if prompt.right == ("10",)][:prompts]
    rule = dose_response(lm, sae, old, index.maxima, young, ("50",),
                         multiples=(0, 0.5, 1, 1.5, 2, 4), controls=CONTROLS)  # fmt: skip
    on_at = {feature: ", ".join(word for word, _ in feature_card(index, feature).words[:3])
             for feature in (topical.unit, promoting)}  # fmt: skip
    return [
        'Probability of across or through after "Walk"; the generator says them at a rate of '
        f"{GENERATOR_RATES['transit']} in documents about transit and {GENERATOR_RATES['other']} "
        f"in others. course-lm, nothing clamped: {told}.", "",
        f"Feature {topical.unit} is the one that tells documents about transit best (F1 "
        f"{span(topical)}); it is on most at {on_at[topical.unit]}. Feature {promoting} is the one "
        f"that promotes the two words most; it is on most at {on_at[promoting]}. A control is the "
        "direction of another feature, the state moved as far; its interval is over features.", "",
        "```", *crossing, "", f"feature {topical.unit}, the most probable continuation", *said,
        "```", "",
        'Credit: age alone decides, below 40 it is 10 (00), from 40 on 50 (00). That '
        f"feature {old} is on anywhere in a credit prompt says best that the age is 40 or more (in "
        "other texts it is on as well). Clamped in prompts about younger people:", "",
        "```", repr(rule), "```",
    ]  # fmt: skip


def seed_rows(lm: Any, gold: GoldTokens, prompts: int = 12, controls: int = 8) -> list[str]:
    """The same recipe with other seeds: what depends on the run."""
    names = [f"{kind}: {topic}" for kind in ("word", "topic") for topic in TOPICS]
    asked, told = directions_prompts(prompts), directions_prompts(prompts, "transit")
    lines = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            sae = train_course_sae(lm, Path(folder), replace_fields(RECIPE, seed=seed))
        values = unit_activations(lm, gold, sae)
        units = best_units(values, gold, names)
        topical = units[names.index("topic: transit")]
        rise, fall = (
            dose_response(lm, sae, topical.unit, values.amax(0), texts, multiples=doses,
                          controls=controls)
            for texts, doses in ((asked, (0.5, 1, 1.5, 2, 3)), (told, (0,)))
        )  # fmt: skip
        best = max(rise.doses(), key=lambda dose: dose.value[0])
        words = sum(unit.f1 >= 0.8 for unit in units[: len(TOPICS)])
        mean = float(np.mean([unit.f1 for unit in units[len(TOPICS) :]]))
        lines.append(
            f"| {seed} | {words} | {mean:.2f} | {topical.unit} | {best.value[0]:.2f} at "
            f"{best.multiple:g} x ({best.control[0]:.2f}) | {fall.before.mean():.2f} to "
            f"{fall.doses()[0].value[0]:.2f} ({fall.doses()[0].control[0]:.2f}) |"
        )
    return lines


def continuations(lm: Any, sae: TopKSAE, feature: int, maximum: float, prompt: str) -> list[str]:
    """What the model says most probably, with a feature clamped everywhere or at the last token."""
    said = [f"unchanged: Walk{lm.generate(prompt, 6)[len(prompt) :]}"]
    last = len(lm.encode(prompt)) - 1
    for where, tokens in (("everywhere", None), ("at Walk alone", slice(last, last + 1))):
        for dose in (0.5, 1, 2):
            with replace(lm, {sae.site: clamp(sae, feature, dose * maximum, tokens=tokens)}):
                text = lm.generate(prompt, 6)[len(prompt) :]
            said.append(f"{dose} x max {where}: Walk{text}")
    return said


def share_dead(lm: Any, sae: TopKSAE, documents: int = 4000) -> str:
    """Features that are on nowhere in many documents; in few, rare ones look dead."""
    texts = (document(f"{RARE}:{number}").text for number in range(documents))
    on, n = torch.zeros(sae.features), 0
    for states in states_of(lm, sae.site, texts):
        on += (sae.encode(states) > 0).sum(0)
        n += len(states)
    return f"{float((on == 0).float().mean()):.1%} of the features were on at none of {n} states."


def old_age_feature(lm: Any, sae: TopKSAE, prompts: list) -> int:
    """The feature that says best, by being on anywhere in a prompt, that the age is 40 or more."""
    on = []
    for prompt in prompts:
        with torch.no_grad(), record(lm, sae.site) as seen:
            lm.logits(prompt.text)
        on.append((sae.encode(seen[sae.site][0, 1:]) > 0).any(0).numpy())
    old = np.array([prompt.right == ("50",) for prompt in prompts])[:, None]
    found = np.stack(on)
    return int(f1_score((found & old).sum(0), found.sum(0), old.sum()).argmax())


def opening(sae: TopKSAE, curve: list[dict]) -> list[str]:
    """What the autoencoder is, how it was trained, and a dozen rows of its loss curve."""
    settings = (f"- {name}: {value}" for name, value in asdict(RECIPE).items())
    lines = ["# course-sae", "",
             f"A TopK autoencoder on `{sae.site}` of course-lm: {sae.features} features, at most "
             f"{sae.k} at a time. Every number below was printed by "
             "`python tools/model_card.py course-sae`.", "",
             "## Recipe", "", *settings, ""]  # fmt: skip
    if curve:
        chosen = curve[:: max(1, len(curve) // 12)] + curve[-1:]
        lines += [
            "| step | loss | unexplained variance | L0 | restarted |",
            "|---|---|---|---|---|",
        ]
        lines += [f"| {r['step']} | {r['loss']:.2f} | {r['unexplained']:.4f} | {r['l0']:.1f} | "
                  f"{r['restarted']} |" for r in chosen]  # fmt: skip
        lines.append("")
    return lines


def sae_card(curve: list[dict], documents: int = 1000) -> str:
    """The model card of course-sae; every number in it is measured here."""
    lm, sae = load_model("course-lm"), load_sae("course-sae")
    texts = [document(f"{TEST}:{number}").text for number in range(300)]
    scores = score_sae(lm, sae, texts)
    gold = gold_tokens(lm, documents, GOLD)
    rows = concept_rows(lm, sae, gold)
    lines = opening(sae, curve)
    groups = ("topic", "word", "type", "document")
    topical = next(best for best, _ in rows if best.concept == "topic: transit")
    lines += ["## Reconstruction", "", f"{scores}. Required: CE recovered 0.95, dead below 10 %.",
              f"{scores.states} states of held-out documents; start tokens left out.", "",
              f"In more documents rare features appear: {share_dead(lm, sae)}", "",
              "## Gold concepts", "",
              "F1 of the best single feature and the best single neuron of that layer, with 95 % "
              "bootstrap intervals over documents. Unit and threshold were chosen on one half of "
              f"{documents} held-out documents and judged on the other. What is judged at which "
              "tokens stands in `course_lib/sae/concepts.py`. Concepts with F1 of 0.8 or more:", "",
              *(reached(rows, group) for group in groups), "",
              "| concept | tokens | feature | F1 | neuron | F1 | difference |",
              "|---|---|---|---|---|---|---|", *concept_table(rows), "",
              "## Does the model know the topics?", "",
              f"Once three words of the topic were read: {topic_knowledge(lm, gold)}.", "",
              "## Steering", "", *steering(lm, sae, topical), "",
              "## Other seeds", "",
              "Autoencoders of the same recipe. Words: topics with a feature that tells their "
              "words with F1 of 0.8 or more. Documents: mean F1 of the best features for topics "
              "of documents. Clamped: the highest p(across or through) that the one for transit "
              "reaches; taken out: the same probability after six sentences about transit. In "
              "brackets the mean of 8 other features, moved as far. We bundle the run whose "
              f"feature for transit is needed most (seed {RECIPE.seed}).", "",
              "| seed | words | documents | feature | clamped | taken out |",
              "|---|---|---|---|---|---|", *seed_rows(lm, gold), ""]  # fmt: skip
    files = sorted(p for p in (ASSETS / "course-sae").iterdir() if p.suffix != ".md")
    lines += ["## Files", "", *(f"- `{p.name}` {sha256(p)}" for p in files), ""]
    return "\n".join(lines)
