"""Edges and circuits: against a residual stream written by hand, and identities per family."""

import dataclasses

import pytest
import torch

from course_lib import architectures as arch
from course_lib.activations import record, replace
from course_lib.circuits import (
    acdc,
    backward_search,
    build_graph,
    completeness,
    eap,
    exact_scores,
    faithfulness,
    leave_one_out,
    minimality,
    prune,
    random_circuit,
    recorded_run,
    run_edges,
    search,
)
from course_lib.circuits.running import carrying
from course_lib.circuits.scores import path_points
from course_lib.tasks import Task, last_logits, score
from tests.closeness import SINGLE_INSIDE, close, precision
from tests.families import CAUSAL, POST_NORM, random_model
from tests.test_patching import contrast, small_task

GRANULARITIES = ["block", "head"]


def by_hand(model, graph, ids, amount, other=None, difference=None, start=None):
    """The metric [N] of a GPT-2 whose edges carry (1 - amount) * own + amount * other output.

    Written without hooks: every input is the sum over the edges that lead to it. Instead of
    `other` a `difference` can be carried on top; `start` replaces the embeddings.
    """
    t, heads = model.transformer, model.config.n_head
    width = model.config.n_embd // heads
    positions = torch.arange(ids.shape[1])
    outputs = [t.wte(ids) + t.wpe(positions) if start is None else start]
    hidden = torch.full((ids.shape[1],) * 2, -torch.inf, dtype=torch.float64).triu(1)
    column = {reader.name: v for v, reader in enumerate(graph.readers)}
    bias = torch.zeros(model.config.n_embd, dtype=torch.float64)  # of W_O: it belongs to no head

    def into(name, known):
        v = column[name]
        change = (
            difference if other is None else [b - a for a, b in zip(outputs, other, strict=False)]
        )
        return sum(outputs[u] + amount[u, v] * change[u] for u in range(known)) + bias

    for layer, block in enumerate(t.h):
        weight, b = block.attn.c_attn.weight, block.attn.c_attn.bias
        known, new = len(outputs), []
        for h in range(heads):
            parts = []
            for number, letter in enumerate("qkv"):
                x = block.ln_1(into(f"a{layer}.h{h}.{letter}", known))
                at = slice((number * heads + h) * width, (number * heads + h + 1) * width)
                parts.append(x @ weight[:, at] + b[at])
            q, k, v = parts
            pattern = (q @ k.mT / width**0.5 + hidden).softmax(-1)
            new.append(pattern @ v @ block.attn.c_proj.weight[h * width : (h + 1) * width])
        outputs += new
        bias = bias + block.attn.c_proj.bias
        outputs.append(block.mlp(block.ln_2(into(f"m{layer}", len(outputs)))))
    return contrast(model.lm_head(t.ln_f(into("logits", len(outputs))))[:, -1])


def setting(kind="gpt2", granularity="head", **options):
    model, task = random_model(kind), small_task(**options)
    graph = build_graph(model, granularity)
    return model, task, graph, recorded_run(model, graph, task.corrupted)[1]


def test_the_graph_has_the_edges_of_the_formula():
    for kind, heads, shared in [("gpt2", 4, 4), ("llama", 4, 2)]:
        graph = build_graph(random_model(kind), "head")
        reads = heads + 2 * shared
        layers = [1 + (heads + 1) * layer for layer in range(3)]
        assert graph.n_edges == sum(reads * n + n + heads for n in layers) + 1 + 3 * (heads + 1)
        assert len(graph.writers) == 16 and len(graph.readers) == 3 * (reads + 1) + 1
    parallel = build_graph(random_model("gpt_neox"), "head")
    assert parallel.n_edges == sum(13 * (1 + 5 * layer) for layer in range(3)) + 16
    blocks = build_graph(random_model("gpt2"), "block")
    assert [f"{u}>{v}" for u, v in blocks.edges()][:6] == [
        "embed>a0", "embed>m0", "a0>m0", "embed>a1", "a0>a1", "m0>a1",
    ]  # fmt: skip
    assert blocks.n_edges == 28


def test_gpt2_small_has_the_published_number_of_edges():
    import transformers

    with torch.device("meta"):
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config())
    graph = build_graph(model, "head")
    counts = (len(graph.writers), len(graph.readers), graph.n_edges)
    assert counts == (157, 445, 32_491)


def test_names_lead_to_edges_and_back():
    graph = build_graph(random_model("gpt2"), "head")
    some = [("embed", "a0.h1.k"), ("a0.h2", "m0"), ("m1", "a2.h3.v"), ("a2.h0", "logits")]
    assert graph.edges(graph.mask(some)) == some
    with pytest.raises(ValueError, match="does not come after 'm1'"):
        graph.edge("m1", "a1.h0.q")
    with pytest.raises(ValueError, match="readers like 'a0.h0.q', 'm2', 'logits'"):
        graph.edge("embed", "a0")


@pytest.mark.parametrize("kind", CAUSAL)
def test_writers_add_up_to_the_stream(kind):
    for granularity in GRANULARITIES:
        model, task, graph, outputs = setting(kind, granularity)
        with record(model, "resid_post.2") as seen:
            model(task.corrupted)
        total = outputs.sum(0)
        if granularity == "head":
            for block in arch.blocks(model):
                bias = block.get_submodule(arch.family_of(model).attn_out).bias
                total = total + (0 if bias is None else bias)
        close(total, seen["resid_post.2"], precision(kind))


def test_exact_edges_are_those_of_the_stream_written_by_hand():
    model, task, graph, other = setting()
    nothing = torch.zeros(graph.allowed.shape, dtype=torch.float64)
    clean = by_hand(model, graph, task.clean, nothing, other)
    close(clean, score(model, task)[0])
    found = exact_scores(model, task, graph)
    assert found.passes == graph.n_edges + 2 == 264
    for u, v in graph.allowed.nonzero().tolist():
        one = nothing.clone()
        one[u, v] = 1.0
        expected = (clean - by_hand(model, graph, task.clean, one, other)).mean()
        close(found.scores[u, v], expected)
    assert found.scores.abs().max() > 1e-2
    assert (found.scores[~graph.allowed] == 0).all()


def test_many_edges_and_mixtures_are_those_of_the_stream_written_by_hand():
    model, task, graph, other = setting()
    generator = torch.Generator().manual_seed(3)
    amounts = torch.rand((4, *graph.allowed.shape), generator=generator, dtype=torch.float64)
    amounts = amounts * graph.allowed
    amounts[:2] = (amounts[:2] > 0.5).double()
    found = run_edges(model, graph, task, [(amounts, other)])
    for amount, values in zip(amounts, found, strict=True):
        close(values, by_hand(model, graph, task.clean, amount, other))


def test_eap_is_the_gradient_of_the_stream_written_by_hand():
    model, task, graph, other = setting()
    amount = torch.zeros(graph.allowed.shape, dtype=torch.float64, requires_grad=True)
    value = by_hand(model, graph, task.clean, amount, other).mean()
    (gradient,) = torch.autograd.grad(value, amount)
    found = eap(model, task, graph)
    close(found.scores, -gradient)  # lower when the edge is corrupted = supports
    assert found.scores.abs().max() > 1e-2 and found.passes == 3


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("kind", CAUSAL)
def test_edge_scores_of_a_writer_sum_to_its_node_attribution(kind, granularity):
    model, task, graph, other = setting(kind, granularity)
    found = eap(model, task, graph)
    names = list(dict.fromkeys(writer.site for writer in graph.writers))
    with record(model, names) as corrupted:
        model(task.corrupted)
    with record(model, "embed") as bottom:
        model(task.clean)
    leaf = bottom["embed"].clone().requires_grad_()
    with replace(model, {"embed": leaf}), record(model, names) as clean:
        value = contrast(model(task.clean).logits[:, -1]).mean()
    gradients = dict(zip(names, torch.autograd.grad(value, [clean[n] for n in names]), strict=True))
    for u, writer in enumerate(graph.writers):
        terms = (clean[writer.site] - corrupted[writer.site]) * gradients[writer.site]
        terms = terms if writer.head is None else terms[..., writer.head, :]
        scale = float(terms.detach().abs().sum())
        close(found.by_writer()[u], terms.sum(), precision(kind), scale)
    assert found.by_writer().abs().min() > 1e-7


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("kind", CAUSAL)
def test_eap_is_the_slope_of_the_exact_effect(kind, granularity):
    model, task, graph, other = setting(kind, granularity)
    places = graph.allowed.nonzero()[:: 5 if granularity == "head" else 1]
    # float32 numbers need a long step, and a long step the rule of fourth order
    step = 1e-2 if kind in SINGLE_INSIDE else 1e-4
    amount = torch.zeros(len(places), *graph.allowed.shape, dtype=torch.float64)
    amount[torch.arange(len(places)), places[:, 0], places[:, 1]] = step
    at = {k: run_edges(model, graph, task, [(k * amount, other)]).mean(1) for k in (-2, -1, 1, 2)}
    slopes = (8 * (at[-1] - at[1]) - (at[-2] - at[2])) / (12 * step)
    found = eap(model, task, graph).scores[places[:, 0], places[:, 1]]
    close(found, slopes, precision(kind), scale=100)  # the rounding is divided by the step
    assert slopes.abs().max() > 0.05


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("kind", CAUSAL)
def test_all_edges_patched_is_the_corrupted_run_and_none_the_clean_one(kind, granularity):
    model, task, graph, other = setting(kind, granularity)
    clean, corrupted = score(model, task)
    every, none = graph.allowed[None], torch.zeros_like(graph.allowed)[None]
    close(run_edges(model, graph, task, [(every, other)])[0], corrupted, precision(kind))
    close(run_edges(model, graph, task, [(none, other)])[0], clean, precision(kind))
    # clean into clean, on every edge
    own = recorded_run(model, graph, task.clean)[1]
    close(run_edges(model, graph, task, [(every, own)])[0], clean, precision(kind))


@pytest.mark.parametrize("kind", CAUSAL)
def test_unpatched_edges_are_bit_identical(kind):
    model, task, graph, other = setting(kind)
    patched = graph.mask([("m0", "a1.h1.q"), ("embed", "a1.h0.v"), ("a0.h3", "m1")])
    parts = {r.projection or r.norm for r in graph.readers if r.name[:2] in ("a1", "m1")}

    def outputs():
        kept = {}
        hooks = [
            model.get_submodule(path).register_forward_hook(
                lambda module, args, out, path=path: kept.__setitem__(path, out)
            )
            for path in parts
        ]
        return kept, hooks

    kept, hooks = outputs()
    plain = last_logits(model, task.clean)
    before = dict(kept)
    for hook in hooks:
        hook.remove()
    with carrying(model, graph, [(patched[None], other)]):
        kept, hooks = outputs()  # after ours: they see what the model goes on with
        changed = last_logits(model, task.clean)
    for hook in hooks:
        hook.remove()
    assert not torch.equal(plain, changed)
    for v, reader in enumerate(graph.readers):
        path = reader.projection or reader.norm
        if path not in parts or reader.name == "m1":
            continue
        at = slice(*reader.features)
        same = torch.equal(before[path][..., at], kept[path][..., at])
        assert same == (not patched[:, v].any()), reader.name


@pytest.mark.parametrize("kind", CAUSAL)
def test_variants_in_one_batch_do_not_meet(kind, monkeypatch):
    from course_lib.circuits import running

    model, task, graph, other = setting(kind)
    generator = torch.Generator().manual_seed(4)
    masks = (torch.rand((5, *graph.allowed.shape), generator=generator) > 0.6) & graph.allowed
    together = run_edges(model, graph, task, [(masks, other)])
    monkeypatch.setattr(running, "BATCH_TOKENS", 1)
    close(together, run_edges(model, graph, task, [(masks, other)]), precision(kind))
    assert together.std(0).min() > 1e-6
    hooks = ("_forward_hooks", "_forward_pre_hooks")
    assert not any(getattr(m, kind) for m in model.modules() for kind in hooks)


def test_integrated_gradients_by_hand_and_the_rules():
    model, task, graph, other = setting()
    embeddings = [recorded_run(model, graph, ids)[1][0] for ids in (task.corrupted, task.clean)]
    own = recorded_run(model, graph, task.clean)[1]
    gradients = 0.0
    for node in (0.25, 0.75):
        point = torch.lerp(*embeddings, node)
        amount = torch.zeros(graph.allowed.shape, dtype=torch.float64, requires_grad=True)
        value = by_hand(model, graph, task.clean, amount, difference=other - own, start=point)
        gradients = gradients + torch.autograd.grad(value.mean(), amount)[0] / 2
    found = eap(model, task, graph, steps=2)
    close(found.scores, -gradients)
    assert found.passes == 6
    fine = eap(model, task, graph, steps=24, rule="gauss-legendre").scores
    assert (eap(model, task, graph, steps=48).scores - fine).abs().max() < 1e-4  # of two rules
    assert path_points(4, "left")[0] == [0.0, 0.25, 0.5, 0.75]
    for rule in ("midpoint", "gauss-legendre", "left"):
        assert sum(path_points(5, rule)[1]) == pytest.approx(1)
    for bad in ({"rule": "simpson"}, {"steps": -1}):
        with pytest.raises(ValueError, match="steps must be"):
            eap(model, task, graph, **bad)


# --- searching and judging -----------------------------------------------------------------------


def random_mask(graph, seed, share=0.5):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(graph.allowed.shape, generator=generator) < share) & graph.allowed


def test_a_path_is_patched_by_carrying_two_kinds_of_outputs():
    """a0 -> m1 -> logits alone: m1 hears of the corrupted a0, all others of the clean run."""
    model, task, graph, other = setting(granularity="block")
    own = recorded_run(model, graph, task.clean)[1]
    first, path = graph.mask([("a0", "m1")]), graph.mask([("a0", "m1"), ("m1", "logits")])
    carried = [(first[None], other), ((graph.allowed & ~path)[None], own)]
    (found,) = run_edges(model, graph, task, carried)
    # by hand
    t, u = model.transformer, {writer.name: n for n, writer in enumerate(graph.writers)}
    total = own[: u["m1"]].sum(0)
    changed = t.h[1].mlp(t.h[1].ln_2(total - own[u["a0"]] + other[u["a0"]]))
    stream = own.sum(0) - own[u["m1"]] + changed
    close(found, contrast(model.lm_head(t.ln_f(stream))[:, -1]))
    assert (found - score(model, task)[0]).abs().max() > 1e-3


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_backward_search_keeps_the_edges_that_matter_to_what_matters(granularity):
    model, task, graph, _ = setting(granularity=granularity)
    exact = exact_scores(model, task, graph)
    gap = abs(exact.clean - exact.corrupted)
    sizes, larger = [], None
    for threshold in (0.0, 0.02, 0.1, 0.3):
        found = backward_search(model, task, graph, threshold)
        matters = exact.scores.abs() >= threshold * gap
        # the definition, written as: kept = into a receiver that is reached, and it matters
        reached = {"logits"}
        for v, reader in reversed(list(enumerate(graph.readers))):
            if reader.name in reached:
                for u, writer in enumerate(graph.writers):
                    if graph.allowed[u, v] and matters[u, v]:
                        inputs = (r.name for r in graph.readers)
                        own = writer.name
                        reached |= {r for r in inputs if r == own or r.startswith(own + ".")}
        columns = torch.tensor([reader.name in reached for reader in graph.readers])
        assert torch.equal(found.scored, graph.allowed & matters & columns)
        close(found.scores, exact.scores * found.scored)
        assert larger is None or not (found.scored & ~larger).any()
        larger = found.scored
        sizes.append(int(found.scored.sum()))
    assert sizes[0] == graph.n_edges and sizes[0] > sizes[1] > sizes[-1] > 0
    with pytest.raises(ValueError, match="circuit is empty. Lower"):
        backward_search(model, task, graph, 1e6)


def test_acdc_thresholds():
    model, task, graph, other = setting(granularity="block")
    assert torch.equal(acdc(model, task, graph, 0.0), graph.allowed)
    assert not acdc(model, task, graph, float("inf")).any()
    sizes = [int(acdc(model, task, graph, t).sum()) for t in (0.0, 0.01, 0.05, 0.2, 10.0)]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) >= 4
    some = random_mask(graph, 3)
    assert torch.equal(acdc(model, task, graph, 0.0, some), some)


def test_acdc_is_the_greedy_removal_written_out(monkeypatch):
    model, task, graph, other = setting(granularity="block")
    circuit, threshold = graph.allowed.clone(), 0.03

    def value(mask):
        return float(faithfulness(model, task, graph, mask).values.mean())

    for v in reversed(range(len(graph.readers))):
        for u in reversed(range(len(graph.writers))):
            smaller = circuit.clone()
            smaller[u, v] = False
            if circuit[u, v] and abs(value(smaller) - value(circuit)) < threshold:
                circuit = smaller
    for tokens in (1, 200):  # one removal at a time, and several
        monkeypatch.setattr(search, "BATCH_TOKENS", tokens)
        assert torch.equal(acdc(model, task, graph, threshold), circuit)
    assert 0 < int(circuit.sum()) < graph.n_edges


def test_acdc_on_the_heads_from_the_best_edges_of_eap():
    model, task, graph, _ = setting()
    start = eap(model, task, graph).top(25)
    found = acdc(model, task, graph, 0.02, start)
    assert found.any() and not (found & ~start).any() and int(found.sum()) < 25
    kept = faithfulness(model, task, graph, [start, found]).values.mean(1)
    # every removal moved the metric by less than the threshold
    assert abs(float(kept[1] - kept[0])) < 0.02 * (25 - int(found.sum()))


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("kind", CAUSAL)
def test_the_whole_model_is_faithful_and_nothing_is_not(kind, granularity):
    model, task, graph, _ = setting(kind, granularity)
    found = faithfulness(model, task, graph, [graph.allowed, graph.mask([])])
    close(found.share, torch.tensor([1.0, 0.0], dtype=torch.float64), precision(kind))
    close(found.values[0], score(model, task)[0], precision(kind))
    assert found.sizes == (graph.n_edges, 0)


def test_faithfulness_is_the_formula_on_the_stream_written_by_hand():
    model, task, graph, other = setting(n=6)
    mask = random_mask(graph, 1)
    outside = (graph.allowed & ~mask).double()
    value = by_hand(model, graph, task.clean, outside, other)
    clean, corrupted = score(model, task)
    expected = (value.mean() - corrupted.mean()) / (clean.mean() - corrupted.mean())
    found = faithfulness(model, task, graph, mask)
    close(found.share[0], expected)
    low, high = found.interval()[0]
    assert low < expected < high
    assert f"F = {float(expected):.3f}" in repr(found)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gpt_neox"])
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_pruning_leaves_the_circuit_s_metric_as_it_is(kind, granularity):
    model, task, graph, _ = setting(kind, granularity)
    smaller = 0
    for seed in range(4):
        mask = random_mask(graph, seed, 0.2)
        pruned = prune(graph, mask)
        assert not (pruned & ~mask).any() and torch.equal(prune(graph, pruned), pruned)
        smaller += int(pruned.sum() < mask.sum())
        found = faithfulness(model, task, graph, [mask, pruned]).values
        close(found[0], found[1], precision(kind))
    assert smaller >= 2
    assert torch.equal(prune(graph, graph.allowed), graph.allowed)


def test_completeness_and_minimality_by_their_definitions():
    model, task, graph, _ = setting(granularity="block")
    circuit = random_mask(graph, 2, 0.6)
    own, whole = completeness(model, task, graph, circuit, draws=3, seed=5)
    # K is the whole circuit first: nothing is left of it, and of the model what is outside
    outside = faithfulness(model, task, graph, graph.allowed & ~circuit).share[0]
    assert own.shape == whole.shape == (4,)
    close(own[0], 0.0)
    close(whole[0], outside)
    assert (own[1:] - whole[1:]).abs().min() > 1e-6
    loss = minimality(model, task, graph, circuit)
    assert (loss[~circuit] == 0).all()
    share = faithfulness(model, task, graph, circuit).share[0]
    for u, v in circuit.nonzero().tolist()[::4]:
        without = circuit.clone()
        without[u, v] = False
        rest = faithfulness(model, task, graph, without).share[0]
        close(loss[u, v], share - rest)


def test_intervals_of_completeness_and_minimality_are_those_of_a_plain_bootstrap():
    model, task, graph, _ = setting(granularity="block", n=8)
    circuit = random_mask(graph, 2, 0.5)
    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(8, (1000, 8), generator=generator)
    quantiles = torch.tensor([0.025, 0.975], dtype=torch.float64)

    def share(runs, n):  # of the n-th circuit, draw by draw
        gaps = (runs.clean - runs.corrupted)[draws].mean(1)
        return (runs.values[n] - runs.corrupted)[draws].mean(1) / gaps

    found = completeness(model, task, graph, circuit, draws=2, seed=1)
    own, whole = found
    assert torch.equal(found[0], own) and torch.equal(found[:2][1], whole)
    close(found.gap, whole - own)
    for part in range(3):
        expected = (share(found.runs, 3 + part) - share(found.runs, part)).quantile(quantiles)
        close(found.interval()[part], expected)
    single = leave_one_out(model, task, graph, circuit)
    assert torch.equal(single.loss, minimality(model, task, graph, circuit))
    for number, (u, v) in list(enumerate(circuit.nonzero().tolist(), 1))[::4]:
        expected = (share(single.runs, 0) - share(single.runs, number)).quantile(quantiles)
        close(single.interval()[u, v], expected)
        assert bool(single.needed()[u, v]) == bool(expected[0] > 1e-6)
    assert (single.interval()[~circuit] == 0).all() and not single.needed()[~circuit].any()


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gpt_neox"])
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_connected_random_circuits_have_their_size_and_no_loose_end(kind, granularity):
    graph = build_graph(random_model(kind), granularity)
    for n in (0, 1, 2, 3, graph.n_edges // 2, graph.n_edges - 1, graph.n_edges):
        mask = random_circuit(graph, n, seed=n, connected=True)
        assert int(mask.sum()) == n and not (mask & ~graph.allowed).any()
        assert torch.equal(prune(graph, mask), mask)
    drawn = {tuple(graph.edges(random_circuit(graph, 4, s, connected=True))) for s in range(6)}
    assert len(drawn) >= 4


def test_the_best_edges_grow_with_their_number_and_random_ones_differ_by_seed():
    model, task, graph, _ = setting()
    scores = eap(model, task, graph)
    masks = [scores.top(n) for n in (10, 60, 262)]
    assert not (masks[0] & ~masks[1]).any() and [int(m.sum()) for m in masks] == [10, 60, 262]
    assert not torch.equal(random_circuit(graph, 60, 0), random_circuit(graph, 60, 1))
    thresholds = [int(scores.above(t).sum()) for t in (0.0, 0.01, 0.05, 0.1)]
    assert thresholds == sorted(thresholds, reverse=True) and thresholds[0] == 262


def test_bad_input_is_explained():
    model, task, graph, _ = setting()
    scores = eap(model, task, graph)
    for call, message in [
        (lambda: build_graph(model, "neuron"), "head or block"),
        (lambda: scores.above(1e9), "Lower the threshold"),
        (lambda: scores.top(0), "from 1 to 262 edges"),
        (lambda: random_circuit(graph, 999), "from 0 to 262"),
        (lambda: acdc(model, task, graph, -1.0), "at least 0"),
        (lambda: backward_search(model, task, graph, -1.0), "at least 0"),
        (lambda: faithfulness(model, task, graph, graph.allowed.double()), "boolean mask"),
        (lambda: faithfulness(model, task, graph, ~graph.allowed), "no edge a0.h0 -> a0.h0.q"),
        (lambda: acdc(model, task, graph, 0.1, ~graph.allowed), "no edge a0.h0 -> a0.h0.q"),
        (lambda: random_circuit(graph, -1, connected=True), "from 0 to 262"),
        (lambda: minimality(model, task, graph, graph.mask([])), "no edge that could be taken"),
        (lambda: completeness(model, task, graph, graph.mask([])), "no edge that could be taken"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    same = Task("same", task.clean, task.clean, contrast)
    with pytest.raises(ValueError, match="does not change the metric"):
        _ = faithfulness(model, same, graph, graph.allowed).share


@pytest.mark.parametrize("kind", POST_NORM)
def test_models_whose_stream_is_no_sum_are_refused(kind):
    with pytest.raises(arch.UnsupportedArchitecture, match="Patch nodes instead"):
        build_graph(random_model(kind))


def test_families_without_known_projections_have_block_edges_only(monkeypatch):
    row = dataclasses.replace(arch.FAMILIES["llama"], qkv=None)
    monkeypatch.setitem(arch.FAMILIES, "llama", row)
    with pytest.raises(arch.UnsupportedArchitecture, match="granularity='block'"):
        build_graph(random_model("llama"), "head")
    assert build_graph(random_model("llama"), "block").n_edges == 28
