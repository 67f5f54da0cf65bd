"""Erasure and integrated gradients against captum: `make test-peers`.

Not a test of `make test`: captum has an environment of its own. Its feature ablation and its
integrated gradients run one prompt on the same model, a tiny random one of each family,
and must agree with ours to a relative difference of 1e-5.
"""

import platform
import sys

import captum
import torch
import transformers
from captum.attr import FeatureAblation, IntegratedGradients

from course_lib.attribution import ask, erasure, integrated_gradients
from course_lib.attribution.gradients import embed
from course_lib.models.language_model import LanguageModel
from tests.families import CAUSAL, random_model, word_tokenizer

TEXT, TARGET, FOIL = "The two dogs in a cat", "sleep", "sleeps"
TOLERANCE, STEPS = 1e-5, 32
METHODS = {  # our name of the rule: captum's
    "gauss-legendre": "gausslegendre", "midpoint": "riemann_middle",
    "left": "riemann_left", "right": "riemann_right",
}  # fmt: skip


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference over the largest score."""
    return float((ours - theirs.double()).abs().max() / theirs.abs().max())


def compare(kind: str, output: str, foil: str | None) -> dict[str, float]:
    lm = LanguageModel(random_model(kind), word_tokenizer(), kind)
    question = ask(lm, TEXT, TARGET, foil, output)
    ids = torch.tensor([question.ids])
    unknown = torch.full_like(ids, lm.tokenizer.unk_token_id)
    unknown[0, 0] = ids[0, 0]  # the start token stays

    def of_ids(x: torch.Tensor) -> torch.Tensor:
        return question.measure(lm.model(input_ids=x).logits[:, -1])

    def of_embeddings(x: torch.Tensor) -> torch.Tensor:
        return question.measure(lm.model(inputs_embeds=x).logits[:, -1])

    theirs = FeatureAblation(of_ids).attribute(ids, baselines=unknown)[0, 1:]
    ours = erasure(lm, TEXT, TARGET, foil, output=output, baseline="unk")
    found = {"erasure": difference(ours.scores, theirs)}
    ends = embed(question, question.ids)[None], embed(question, tuple(unknown[0].tolist()))[None]
    for rule, method in METHODS.items():
        theirs = IntegratedGradients(of_embeddings).attribute(*ends, n_steps=STEPS, method=method)
        ours = integrated_gradients(
            lm, TEXT, TARGET, foil, output=output, baseline="unk", steps=STEPS, rule=rule
        )
        found[f"IG {rule}"] = difference(ours.scores, theirs.sum(-1)[0, 1:])
    return found


def main() -> int:
    print(f"captum {captum.__version__}, python {platform.python_version()}, ", end="")
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")
    worst = 0.0
    for kind in CAUSAL:
        for output, foil in (("logprob", FOIL), ("prob", None), ("logit", None)):
            found = compare(kind, output, foil)
            worst = max(worst, *found.values())
            shown = ", ".join(f"{name} {value:.0e}" for name, value in found.items())
            print(f"{kind:<9} {output:<8} {'contrast' if foil else 'target':<9} {shown}")
    print(f"largest relative difference {worst:.1e}, allowed {TOLERANCE:.0e}")
    return int(not worst <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
