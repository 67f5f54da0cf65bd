"""Sparse autoencoders: activations as sums of few feature directions, x ~ b + sum_c f_c(x) d_c.

    from course_lib.sae import load_sae, feature_card
    sae = load_sae()
    feature_card(lm, sae, 17, texts)

- `superposition`: why look for features at all: more of them than dimensions, in a toy model;
- `base`, and one file for each architecture: `l1`, `topk`, `jumprelu`, `gated`;
- `stream`: activations of a model on generated text;
- `train`: one training loop for all four; `store`: saving, loading, `course-sae`;
- `evaluate`: L0, FVU, explained variance, cross-entropy recovered, dead features;
- `concepts`: the generator's gold labels, and the best single feature or neuron for each;
- `known`: whether the model knows a topic at all, before we look for its feature;
- `steer`: clamp a feature (0 ablates it), put a reconstruction with the error term in place;
- `doses`: dose-response of what the model says, with random features as control;
- `pitfalls`: absorption, splitting with width, dependence on the seed;
- `cards`: what a feature reacts to and what it promotes; `page`: all of them as one HTML page.
"""

from course_lib.sae.base import Loss, SparseAutoencoder
from course_lib.sae.cards import FeatureCard, FeatureIndex, feature_card, index_features
from course_lib.sae.concepts import (
    BestUnit,
    GoldTokens,
    best_units,
    f1_difference,
    gold_tokens,
    judge_unit,
    per_document,
    unit_activations,
)
from course_lib.sae.doses import Dose, DoseResponse, directions_prompts, dose_response
from course_lib.sae.evaluate import SAEScores, score_sae
from course_lib.sae.gated import GatedSAE
from course_lib.sae.jumprelu import JumpReLUSAE
from course_lib.sae.known import TopicKnowledge, topic_knowledge
from course_lib.sae.l1 import L1SAE
from course_lib.sae.page import write_page
from course_lib.sae.pitfalls import Absorption, Splitting, absorption, matched_features, splitting
from course_lib.sae.steer import clamp, reconstruct
from course_lib.sae.store import ARCHITECTURES, load_sae, save_sae
from course_lib.sae.stream import collect_activations, generated_documents
from course_lib.sae.superposition import ToyWorld, train_toy
from course_lib.sae.topk import TopKSAE
from course_lib.sae.train import Training, train_sae

__all__ = [
    "ARCHITECTURES", "L1SAE", "Absorption", "BestUnit", "Dose", "DoseResponse", "FeatureCard",
    "FeatureIndex", "GatedSAE", "GoldTokens", "JumpReLUSAE", "Loss", "SAEScores",
    "SparseAutoencoder", "Splitting", "TopKSAE", "TopicKnowledge", "ToyWorld", "Training",
    "absorption", "best_units", "clamp", "collect_activations", "directions_prompts",
    "dose_response", "f1_difference", "feature_card", "generated_documents", "gold_tokens",
    "index_features", "judge_unit", "load_sae", "matched_features", "per_document", "reconstruct",
    "save_sae", "score_sae", "splitting", "topic_knowledge", "train_sae", "train_toy",
    "unit_activations", "write_page",
]  # fmt: skip
