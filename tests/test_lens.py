"""Logit lens, causal check and direct logit attribution: identities on every family."""

import math
from dataclasses import replace as altered

import pytest
import torch
from torch.nn import functional as F

from course_lib.activations import record, replace
from course_lib.architectures import UnsupportedArchitecture, blocks, family_of, final_norm
from course_lib.intervals import bootstrap_interval as bootstrap
from course_lib.lens import (
    causal,
    direct_attribution,
    lens_direction,
    lens_sites,
    logit_lens,
    readout,
    remove_reading,
    run_changed,
    without,
    word_ranks,
)
from course_lib.lens.reading import WordRanks, rank_of
from course_lib.models.language_model import LanguageModel
from tests.closeness import close, precision
from tests.families import CAUSAL, POST_NORM, VOCAB, random_model, word_tokenizer

TEXT, WORD, FOIL = "The two dogs in a cat", "sleep", "sleeps"
EVERY_SITE = [f"{s}.{k}" for k in range(3) for s in ("resid_pre", "attn_out", "mlp_out")]


def family(kind: str, **options) -> LanguageModel:
    model = random_model(kind, **options)
    return LanguageModel(model, word_tokenizer(masked=kind in POST_NORM), kind)


def states(lm, sites, text=TEXT):
    with record(lm, sites) as seen:
        logits = lm.logits(text)[0]
    return seen, logits


# ---- readout ------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", CAUSAL)
def test_formula_is_the_end_of_the_model(kind):
    lm = family(kind)
    read = readout(lm)
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    formula = x @ read.directions().T / read.scale(x)[:, None] + read.constants()
    close(formula, read(x), precision(kind))
    close(read.directions([7, 9]), read.directions()[[7, 9]])
    close(read.constants([7, 9]), read.constants()[[7, 9]])


def test_bias_of_the_unembedding_is_in_the_constants():
    lm = family("gpt2")
    lm.model.lm_head.bias = torch.nn.Parameter(torch.arange(VOCAB).double(), requires_grad=False)
    plain = readout(family("gpt2")).constants()
    close(readout(lm).constants(), plain + torch.arange(VOCAB))
    shares = direct_attribution(lm, TEXT, WORD, FOIL)
    assert abs(shares.gap) < 1e-9


@pytest.mark.parametrize("kind", POST_NORM)
def test_post_norm_families_are_refused(kind):
    lm = family(kind)
    for use in (
        lambda: logit_lens(lm, TEXT),
        lambda: word_ranks(lm, TEXT, WORD),
        lambda: remove_reading(lm, TEXT, WORD),
        lambda: direct_attribution(lm, TEXT, WORD),
    ):
        with pytest.raises(UnsupportedArchitecture, match="post-norm"):
            use()


class GainPlusOne(torch.nn.Module):
    """An RMSNorm that multiplies by 1 + weight, as some families do."""

    def __init__(self, weight):
        super().__init__()
        self.weight, self.variance_epsilon = weight, 1e-6

    def forward(self, x):
        return (1 + self.weight) * x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()


def test_other_ends_of_a_model_are_refused():
    lm = family("llama")
    lm.model.model.norm = GainPlusOne(lm.model.model.norm.weight)
    with pytest.raises(UnsupportedArchitecture, match="neither a plain"):
        readout(lm)
    with pytest.raises(UnsupportedArchitecture, match="a layer between them"):
        readout(family("opt", word_embed_proj_dim=8))


@pytest.mark.parametrize("use", [logit_lens, word_ranks, direct_attribution])
def test_a_model_that_changes_its_logits_afterwards_is_refused(use):
    lm = family("gpt2")

    def cap(module, args, out):
        out.logits = 2 * torch.tanh(out.logits / 2)
        return out

    lm.model.register_forward_hook(cap)
    with pytest.raises(UnsupportedArchitecture, match=r"changes the logits|sum to its logit"):
        use(lm, TEXT, *([] if use is logit_lens else [WORD]))


def test_sites_by_name():
    lm = family("gpt2")
    stream = ("resid_pre.0", "resid_post.0", "resid_post.1", "resid_post.2")
    assert lens_sites(lm) == stream
    assert lens_sites(lm, "mlp_out") == ("mlp_out.0", "mlp_out.1", "mlp_out.2")
    assert lens_sites(lm, ["embed", "attn_out.1"]) == ("embed", "attn_out.1")
    assert lens_sites(lm, "resid_mid.2") == ("resid_mid.2",)
    for bad, message in (
        ("z.1", "cannot be read"), ("neurons", "cannot be read"), ("mlp_out.7", "layers 0 to 2"),
        ([], "No sites"), ("final_norm", "cannot be read"), ("embed.1", "not a site"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            lens_sites(lm, bad)
    with pytest.raises(ValueError, match="side by side"):
        lens_sites(family("gpt_neox"), "resid_mid")


# ---- the lens -----------------------------------------------------------------------------
@pytest.mark.parametrize("kind", CAUSAL)
def test_lens_of_the_last_state_is_the_model(kind):
    lm = family(kind)
    reading = logit_lens(lm, TEXT)
    assert reading.logits.shape == (4, 7, VOCAB)
    close(reading.logits[-1], lm.logits(TEXT)[0], precision(kind))
    close(reading.final, reading.logits[-1], precision(kind))
    assert not torch.allclose(reading.logits[-2], reading.final, atol=0.1)


@pytest.mark.parametrize("kind", CAUSAL)
def test_every_state_is_normed_by_its_own_statistics(kind):
    lm = family(kind)
    seen, _ = states(lm, EVERY_SITE)
    norm, head = final_norm(lm), lm.model.get_output_embeddings()
    reading = logit_lens(lm, TEXT, EVERY_SITE)
    for site, logits in zip(EVERY_SITE, reading.logits, strict=True):
        x = seen[site][0]
        if readout(lm).subtracts_mean:
            normed = F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps)
        else:
            normed = norm.weight * x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        close(logits, normed @ head.weight.T, precision(kind))


def test_stream_before_a_layer_is_the_stream_after_the_one_below():
    lm = family("gpt2")
    before, after = logit_lens(lm, TEXT, "resid_pre"), logit_lens(lm, TEXT, "resid_post")
    close(before.logits[1:], after.logits[:-1])


def test_probabilities_ranks_entropy_and_kl():
    lm = family("gpt2")
    reading = logit_lens(lm, TEXT)
    probs = reading.logits.softmax(-1)
    token = lm.token_id(WORD)
    close(reading.prob(WORD), probs[..., token])
    order = probs.argsort(descending=True).argsort() + 1
    close(reading.rank(WORD), order[..., token])
    close(reading.entropy, -(probs * probs.log()).sum(-1))
    expected = F.kl_div(
        reading.logprobs, reading.final.log_softmax(-1).expand(4, -1, -1), log_target=True,
        reduction="none",
    )  # fmt: skip
    close(reading.kl, expected.sum(-1))
    close(reading.kl[-1], torch.zeros(7).double())
    assert reading.kl[:-1].min() > 0.01
    flat = altered(reading, logits=torch.zeros_like(reading.logits))
    close(flat.entropy, torch.full((4, 7), math.log(VOCAB), dtype=torch.float64))
    close(flat.rank(WORD), torch.full((4, 7), (VOCAB + 1) / 2))


def test_top_words_are_the_most_probable():
    lm = family("gpt2")
    reading = logit_lens(lm, TEXT)
    top = reading.top("resid_post.1", token=2, k=3)
    assert [p for _, p in top] == sorted((p for _, p in top), reverse=True)
    for rank, (word, p) in enumerate(top, start=1):
        token = lm.tokenizer.convert_tokens_to_ids(word)
        close(reading.logits[2, 2].softmax(-1)[token], p)
        assert rank_of(reading.logits[2, 2], token) == rank
    assert reading.best()[2][2][0] == top[0][0]
    close(reading.best()[2][2][1], top[0][1])
    assert len(reading.top("resid_post.1", k=1000)) == VOCAB
    assert top[0][0] in reading._repr_html_() and "resid_post.1" in repr(reading)
    with pytest.raises(ValueError, match="was not read"):
        reading.top("mlp_out.0")


def test_tables_padded_beyond_the_tokenizer_still_print():
    lm = family("gpt2", vocab_size=VOCAB + 3)
    words = [word for word, _ in logit_lens(lm, TEXT).top("resid_post.2", k=100)]
    assert len(words) == VOCAB + 3 and f"<id {VOCAB + 2}>" in words


def test_translation_comes_before_the_norm():
    lm = family("gpt2")
    plain = logit_lens(lm, TEXT, ["resid_post.0", "resid_post.1"])
    scaled = logit_lens(lm, TEXT, plain.sites, lambda site, x: 3 * x)
    # the norm takes the length away, up to its epsilon
    assert (scaled.logits - plain.logits).abs().max() < 1e-3
    seen, _ = states(lm, "resid_post.1")
    swapped = logit_lens(lm, TEXT, ["resid_post.0"], lambda site, x: seen["resid_post.1"])
    close(swapped.logits[0], plain.logits[1])


# ---- one word through the layers of many texts --------------------------------------------
def test_word_ranks_are_those_of_the_lens():
    lm = family("gpt2")
    texts, words = [TEXT, "The dog", "The cats see a dog in"], [WORD, FOIL, "cat"]
    found = word_ranks(lm, texts, words)
    for n, (text, word) in enumerate(zip(texts, words, strict=True)):
        reading = logit_lens(lm, text)
        close(found.ranks[n], reading.rank(word)[:, -1])
        close(found.logprobs[n].exp(), reading.prob(word)[:, -1])
    assert found.among == VOCAB
    three = [WORD, FOIL, "cat"]
    few = word_ranks(lm, texts, words, "mlp_out", among=three)
    assert few.among == 3
    for n, (text, word) in enumerate(zip(texts, words, strict=True)):
        reading = logit_lens(lm, text, "mlp_out")
        others = torch.stack([reading.prob(w)[:, -1] for w in three])
        close(few.ranks[n], 1 + (others > reading.prob(word)[:, -1]).sum(0))


def test_first_and_settled_lead():
    sites = ("resid_pre.0", "resid_post.0", "resid_post.1", "resid_post.2")
    ranks = torch.tensor([[2.0, 1, 1, 1], [1, 3, 1, 1], [1, 1, 1, 2], [9, 9, 1.5, 9]])
    found = WordRanks(("a",) * 4, ("b",) * 4, sites, -ranks, ranks, 9)
    assert found.first == ["resid_post.0", "resid_pre.0", "resid_pre.0", None]
    assert found.settled == ["resid_post.0", "resid_post.1", None, None]
    assert [share for share, _, _ in found.share_leading()] == [0.5, 0.5, 0.75, 0.5]
    for share, low, high in found.share_leading():
        assert 0 <= low < share < high <= 1


def test_intervals_cover_the_mean_as_often_as_they_say():
    generator = torch.Generator().manual_seed(0)
    draws = (torch.rand(200, 60, generator=generator) < 0.4).double()
    covered = [low <= 0.4 <= high for _, low, high in (bootstrap(x, 400) for x in draws)]
    assert 0.88 <= sum(covered) / 200 <= 0.99


@pytest.mark.parametrize(
    ("texts", "words", "options", "message"),
    [
        ([TEXT], [WORD, FOIL], {}, "one word for each"),
        (TEXT, "nowhere", {}, "not in the vocabulary"),
        (TEXT, WORD, {"among": [FOIL, "cat"]}, "not among the candidates"),
        ([], [], {}, "list is empty"),
    ],
)
def test_wrong_questions_about_words_are_explained(texts, words, options, message):
    with pytest.raises(ValueError, match=message):
        word_ranks(family("gpt2"), texts, words, **options)


# ---- does the model use it? ---------------------------------------------------------------
def test_taking_a_direction_out():
    generator = torch.Generator().manual_seed(2)
    x, d = torch.randn(6, 16, generator=generator), torch.randn(16, generator=generator)
    x, d = x.double(), d.double()
    close(without(x, d) @ d, torch.zeros(6).double())
    close(without(x, d), without(x, -5 * d))
    close(without(without(x, d), d), without(x, d))
    close(without(x, d, 2).norm(dim=-1), x.norm(dim=-1))
    close(without(x, d, 2) @ d, -(x @ d))
    assert torch.equal(without(x, torch.zeros(16).double()), x)
    assert torch.equal(without(x, d, 0), x)


@pytest.mark.parametrize("kind", CAUSAL)
def test_removal_at_the_last_state_leaves_the_constants(kind):
    # there logit = x . direction / scale + constant, and the removal sets the first term to 0
    lm = family(kind)
    ids = [lm.token_id(WORD), lm.token_id(FOIL)]
    constant = readout(lm).constants(ids)
    constant = constant[0] - constant[1]
    for strength, factor in ((1, 0), (2, -1), (0, 1)):
        found = remove_reading(lm, TEXT, WORD, FOIL, ["resid_post.2"], strength=strength)
        close(found.read, found.before[:, None], precision(kind))
        close(
            found.after - constant,
            factor * (found.before - constant)[:, None],
            precision(kind),
            scale=10,
        )
    # without a foil it is the logit against the mean of the vocabulary that goes
    found = run_changed(lm, TEXT, {"resid_post.2": removal_at(lm, "resid_post.2", [ids[0]])[None]})
    rest = readout(lm).constants()
    close(
        (found[0, 0, ids[0]] - found[0, 0].mean()),
        rest[ids[0]] - rest.mean(),
        precision(kind),
        scale=10,
    )


def removal_at(lm, site, ids):
    """What removing the lens's direction adds to the last token's state, in plain code."""
    seen, _ = states(lm, site)
    x, norm, weight = seen[site][0, -1], final_norm(lm), lm.model.get_output_embeddings().weight
    u = weight[ids[0]] - (weight[ids[1]] if len(ids) > 1 else weight.mean(0))
    d = norm.weight * u
    if isinstance(norm, torch.nn.LayerNorm):
        d = d - d.mean()
    return -(x @ d) / (d @ d) * d


@pytest.mark.parametrize("kind", CAUSAL)
def test_removal_is_the_plain_edit(kind):
    lm = family(kind)
    ids = [lm.token_id(WORD), lm.token_id(FOIL)]
    found = remove_reading(lm, TEXT, WORD, FOIL, EVERY_SITE)
    reading = logit_lens(lm, TEXT, EVERY_SITE).logprobs[:, -1]
    close(found.read[0], reading[:, ids[0]] - reading[:, ids[1]], precision(kind))
    for site, after in zip(EVERY_SITE, found.after[0], strict=True):
        delta = removal_at(lm, site, ids)

        def edit(x, delta=delta):
            x[:, -1] += delta
            return x

        with replace(lm, {site: edit}):
            logits = lm.logits(TEXT)[0, -1]
        close(after, logits[ids[0]] - logits[ids[1]], precision(kind))
    assert found.effect.abs().min() > 1e-6  # every one of these edits does something


def test_removal_at_an_earlier_token():
    lm = family("gpt2")
    here, there = (remove_reading(lm, TEXT, WORD, FOIL, "resid_pre", token=t) for t in (-1, 3))
    assert (here.after - there.after).abs().min() > 1e-4
    # what the last layer writes at an earlier token is never read
    late = remove_reading(lm, TEXT, WORD, FOIL, ["resid_post.2"], token=3)
    close(late.after, late.before[:, None])
    same = remove_reading(lm, TEXT, WORD, FOIL, "resid_pre", token=6)
    close(same.after, here.after)


def test_nothing_to_remove_changes_nothing():
    lm = family("gpt2", tie_word_embeddings=False)
    weight = lm.model.lm_head.weight
    weight[lm.token_id(FOIL)] = weight[lm.token_id(WORD)]
    found = remove_reading(lm, TEXT, WORD, FOIL)
    assert found.length.max() == 0
    for values in (found.after, found.control.flatten(1)):
        close(values, found.before[:, None].expand_as(values))


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_controls_are_as_long_as_the_change(kind, monkeypatch):
    lm, changes = family(kind), {}
    original = causal.run_changed

    def spy(lm, text, given, token):
        changes.update(given)
        return original(lm, text, given, token)

    monkeypatch.setattr(causal, "run_changed", spy)
    found = remove_reading(lm, TEXT, WORD, FOIL, controls=4, seed=1)
    seen, _ = states(lm, found.sites)
    for k, site in enumerate(found.sites):
        vectors = changes[site]
        close(vectors[1:].norm(dim=-1), vectors[0].norm().expand(4))
        close(found.length[0, k], vectors[0].norm() / seen[site][0, -1].norm())
        close(vectors, readout(lm).centred(vectors))
        assert F.cosine_similarity(vectors[1:], vectors[:1]).abs().max() < 0.9
    again = remove_reading(lm, TEXT, WORD, FOIL, controls=4, seed=1)
    assert torch.equal(again.control, found.control)
    other = remove_reading(lm, TEXT, WORD, FOIL, controls=4, seed=2)
    assert not torch.equal(other.control, found.control)
    close(other.after, found.after, precision(kind))


def test_several_texts_are_as_good_as_one_at_a_time():
    lm = family("gpt2")
    texts, words = [TEXT, "The dog"], [WORD, "cat"]
    both = remove_reading(lm, texts, words)
    for n in range(2):
        alone = remove_reading(lm, texts[n], words[n])
        close(both.after[n], alone.after[0])
        close(both.before[n], alone.before[0])
        close(both.effect[n], alone.before - alone.after[0])
    assert "2 texts" in repr(both) and "log p(word) (nats)" in both.caption


def test_runs_are_separate():
    lm = family("gpt2")
    generator = torch.Generator().manual_seed(3)
    changes = {
        site: torch.randn(2, 16, generator=generator).double()
        for site in ("resid_pre.1", "mlp_out.2")
    }
    together = run_changed(lm, TEXT, changes, 2)
    for s, (site, vectors) in enumerate(changes.items()):
        for r, vector in enumerate(vectors):
            close(run_changed(lm, TEXT, {site: vector[None]}, 2)[0, 0], together[s, r])
    nothing = run_changed(lm, TEXT, {"resid_pre.1": torch.zeros(1, 16)})
    close(nothing[0, 0], lm.logits(TEXT)[0, -1])


def test_direction_is_where_the_logit_rises():
    lm = family("gpt2")
    direction = lens_direction(lm, WORD, FOIL)
    with record(lm, "resid_post.2"):
        x = states(lm, "resid_post.2")[0]["resid_post.2"][0, -1].requires_grad_()
    logits = readout(lm)(x)
    (slope,) = torch.autograd.grad(logits[lm.token_id(WORD)] - logits[lm.token_id(FOIL)], x)
    # the gradient also holds the change of the scale, which lies along the state itself
    flat = direction / readout(lm).scale(x.detach())
    centred = readout(lm).centred(x.detach())
    rest = slope - flat
    close(rest - (rest @ centred) / (centred @ centred) * centred, torch.zeros(16).double())


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((TEXT, WORD, WORD), {}, "same token"),
        ((TEXT, [WORD, FOIL]), {}, "one word"),
        ((TEXT, WORD, [FOIL, FOIL]), {}, "one word"),
        ((TEXT, WORD), {"controls": 0}, "at least 1"),
        ((TEXT, WORD), {"token": 7}, "no token 7"),
        ((TEXT, WORD), {"token": -8}, "no token -8"),
        ((TEXT, WORD), {"sites": "z.0"}, "cannot be read"),
    ],
)
def test_wrong_removals_are_explained(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        remove_reading(family("gpt2"), *arguments, **options)


# ---- direct logit attribution -------------------------------------------------------------
@pytest.mark.parametrize("token", [-1, 2])
@pytest.mark.parametrize("kind", CAUSAL)
def test_shares_sum_to_the_logits(kind, token):
    lm = family(kind)
    logits = lm.logits(TEXT)[0, token]
    word, foil = logits[lm.token_id(WORD)], logits[lm.token_id(FOIL)]
    for shares, expected in (
        (direct_attribution(lm, TEXT, WORD, FOIL, token), word - foil),
        (direct_attribution(lm, TEXT, WORD, token=token), word),
    ):
        total = shares.embedding + shares.constant + shares.attention.sum() + shares.mlp.sum()
        close(total, expected, precision(kind))
        close(shares.logit, expected)
        close(shares.gap, total - expected)
        close(sum(share for _, share in shares.parts()), expected, precision(kind))


@pytest.mark.parametrize("kind", CAUSAL)
def test_each_share_is_what_the_logit_loses_at_a_frozen_scale(kind):
    lm = family(kind)
    read, ids = readout(lm), [lm.token_id(WORD), lm.token_id(FOIL)]
    sites = [*EVERY_SITE, "resid_post.2", *(f"z.{k}" for k in range(3))]
    seen, _ = states(lm, sites)
    x = seen["resid_post.2"][0, -1]

    def logit(state):
        gain, bias = read.norm.weight, getattr(read.norm, "bias", None)
        normed = gain * read.centred(state) / read.scale(x) + (0 if bias is None else bias)
        return (normed @ read.unembed.weight[ids].T).diff().neg()

    shares = direct_attribution(lm, TEXT, WORD, FOIL)
    close(logit(x) - logit(x - seen["resid_pre.0"][0, -1]), [shares.embedding])
    for layer in range(3):
        close(logit(x) - logit(x - seen[f"mlp_out.{layer}"][0, -1]), shares.mlp[[layer]])
        close(logit(x) - logit(x - seen[f"attn_out.{layer}"][0, -1]), shares.attention[[layer]])
        project = blocks(lm)[layer].get_submodule(family_of(lm).attn_out)
        z = seen[f"z.{layer}"][0, -1]
        for head in range(4):
            only = torch.zeros_like(z)
            only[head] = z[head]
            wrote = project(only.flatten()[None]) - project(torch.zeros_like(only).flatten()[None])
            close(logit(x) - logit(x - wrote[0]), shares.heads[layer, [head]])


def test_shares_of_two_words_differ_by_the_shares_of_their_contrast():
    lm = family("gpt2")
    word, foil = direct_attribution(lm, TEXT, WORD), direct_attribution(lm, TEXT, FOIL)
    both, back = (direct_attribution(lm, TEXT, *pair) for pair in ((WORD, FOIL), (FOIL, WORD)))
    for name in ("embedding", "heads", "attention_bias", "mlp", "constant", "logit"):
        close(getattr(both, name), getattr(word, name) - getattr(foil, name))
        close(getattr(both, name), -getattr(back, name))
    assert "head" in repr(both) and "sleeps" in both._repr_html_()
    sizes = [abs(share) for _, share in both.parts()]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) == 2 + 3 * (4 + 2)


def test_a_silent_head_has_no_share():
    lm = family("gpt2")
    lm.model.transformer.h[1].attn.c_proj.weight[4:8] = 0  # rows of head 1
    shares = direct_attribution(lm, TEXT, WORD, FOIL)
    assert shares.heads[1, 1] == 0 and shares.heads[1, 0] != 0
