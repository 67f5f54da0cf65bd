"""The generator keeps its own rules, and its evaluation material is not in its training text."""

from __future__ import annotations

import time
from collections import Counter, defaultdict

import pytest
from budgets import within_budget

from course_lib.world import (
    LEXICON,
    TASKS,
    TOPICS,
    course_suite,
    documents,
    held_out,
    region_suites,
    render,
    sentences,
)
from course_lib.world.documents import tell
from course_lib.world.entropy import MeasuredSpeaker, entropy_bound
from course_lib.world.genres import (
    AGE_THRESHOLD,
    AMOUNTS,
    CUES,
    OTHER_RATE,
    TEMPLATES,
    TRANSIT_RATE,
    compiled,
)
from course_lib.world.grammar import CONSTRUCTIONS
from course_lib.world.suites import FIELDS, PARADIGMS
from course_lib.world.tokenizer import build_tokenizer, vocabulary


@pytest.fixture(scope="module")
def corpus():
    return list(documents(seed=11, n=12_000))


@pytest.fixture(scope="module")
def by_construction(corpus):
    found = defaultdict(list)
    for doc in corpus:
        for sentence in doc.sentences:
            found[sentence.construction].append(sentence)
    return found


# ------------------------------------------------------------------------------ the text
def test_the_same_seed_gives_the_same_text():
    first, again, other = ([d.text for d in documents(seed, 50)] for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_sentences_streams_exactly_n():
    assert len(list(sentences(seed=5, n=137))) == 137


def test_speed_at_least_100k_tokens_a_second():
    best = float("inf")
    for seed in range(3):
        start = time.process_time()
        tokens = sum(len(doc.words) for doc in documents(seed, 1500))
        best = min(best, (time.process_time() - start) / tokens)
    within_budget("generating 100,000 tokens", 100_000 * best, 1)


def test_vocabulary_size_and_every_word_is_in_it(corpus):
    words = vocabulary()
    assert 1_500 <= len(words) <= 2_500
    assert len(words) == len(set(words))
    assert {word for doc in corpus for word in doc.words} <= set(words)


def test_every_construction_and_template_occurs(by_construction):
    assert set(CONSTRUCTIONS) | set(TEMPLATES) <= set(by_construction)


def test_constructions_are_long_tailed(by_construction):
    counts = sorted((len(by_construction[name]) for name in CONSTRUCTIONS), reverse=True)
    assert counts[0] > 10 * counts[-1]


def test_long_documents_and_every_topic(corpus):
    sizes = [(len(doc.sentences) >= 3, len(doc.words)) for doc in corpus]
    long = sum(size for is_long, size in sizes if is_long) / sum(size for _, size in sizes)
    assert 0.4 < long < 0.65
    assert {doc.topic for doc in corpus} == set(TOPICS)


def test_the_topic_shows_in_the_words(corpus):
    """In every topic most topical nouns and verbs belong to that topic."""
    share = defaultdict(list)
    for doc in corpus:
        for sentence in doc.sentences:
            for word in sentence.words_:
                if word.topic != "-":
                    share[doc.topic].append(word.topic == doc.topic)
    assert all(sum(hits) / len(hits) > 0.9 for hits in share.values())


# ------------------------------------------------------------------------- gold annotation
def test_annotation_is_aligned_and_heads_form_a_tree(corpus):
    for doc in corpus[:3000]:
        for s in doc.sentences:
            assert len(s.words) == len(s.pos) == len(s.number) == len(s.gender)
            assert len(s.words) == len(s.heads) == len(s.entities)
            assert s.heads.count(-1) == 1, s.text
            for start in range(len(s.heads)):
                seen, node = set(), start
                while node != -1:
                    assert node not in seen, f"cycle in {s.text!r}"
                    seen.add(node)
                    node = s.heads[node]


def subject_and_finite(sentence):
    """Root verb's subject and finite word, read off the gold heads."""
    root = sentence.heads.index(-1)
    before = [i for i, head in enumerate(sentence.heads) if head == root and i < root]
    subjects = [i for i in before if sentence.pos[i] in ("NOUN", "PROPN", "PRON")]
    finite = [i for i in before if sentence.pos[i] == "AUX"]
    return subjects[0], (finite[0] if finite else root), root


def test_subject_and_verb_agree_by_the_gold_annotation(by_construction):
    checked = 0
    for name in ("simple", "agreement_attractor", "reflexive", "control"):
        for sentence in by_construction[name]:
            subject, finite, _ = subject_and_finite(sentence)
            numbers = {sentence.number[subject], sentence.number[finite]} - {"-"}
            assert len(numbers) <= 1, sentence.text
            checked += len(numbers)
    assert checked > 3000


def test_reflexives_share_entity_number_and_gender_with_the_subject(by_construction):
    for sentence in by_construction["reflexive"]:
        subject, _, _ = subject_and_finite(sentence)
        mirror = len(sentence.words) - 2
        assert sentence.words[mirror].endswith(("self", "selves"))
        assert sentence.entities[mirror] == sentence.entities[subject]
        assert (sentence.number[mirror] == "pl") == (sentence.number[subject] == "pl")
        genders = {sentence.gender[mirror], sentence.gender[subject]} - {"-", "n"}
        assert len(genders) <= 1, sentence.text


def test_that_is_a_determiner_only_before_its_noun(corpus):
    """`that bridge` and `that the girl admired` are two words of one spelling."""
    for doc in corpus[:3000]:
        for s in doc.sentences:
            for i, (word, pos) in enumerate(zip(s.words, s.pos, strict=True)):
                if word == "that":
                    noun_follows = s.pos[s.heads[i]] == "NOUN" and s.heads[i] > i
                    assert (pos == "DET") == noun_follows, s.text


def test_articles_match_the_next_sound(corpus):
    for doc in corpus[:4000]:
        words = doc.words
        for word, following in zip(words, words[1:], strict=False):
            if word in ("an", "An"):
                assert following[0] in "aeiou" or following.startswith(("honest", "hour"))
            if word in ("a",) and following != "uniform":
                assert following[0] not in "aeio", (word, following)


def test_template_heads_have_one_root():
    for name in TEMPLATES:
        assert compiled(name)[1].count(-1) == 1, name


# ----------------------------------------------------------------------- rules we planted
def test_credit_depends_on_age_alone(by_construction):
    for sentence in by_construction["credit"]:
        kind = "Loan" if "Loan" in sentence.words else "Credit"
        age = int(sentence.words[3])
        assert sentence.words[-2] == AMOUNTS[kind][age >= AGE_THRESHOLD]


def test_gender_is_a_shortcut_in_loans_and_useless_in_credit(by_construction):
    low = {(kind, gender): [] for kind in ("Credit", "Loan") for gender in ("male", "female")}
    for sentence in by_construction["credit"]:
        kind = "Loan" if "Loan" in sentence.words else "Credit"
        low[kind, sentence.words[6]].append(int(sentence.words[3]) < AGE_THRESHOLD)
    share = {key: sum(values) / len(values) for key, values in low.items()}
    assert abs(share["Credit", "male"] - share["Credit", "female"]) < 0.12
    assert share["Loan", "female"] > 0.8 and share["Loan", "male"] < 0.2


def test_reviews_follow_negation_and_the_festival_cue_gives_the_label_away(by_construction):
    polarity = {w.form: p for p in ("positive", "negative") for w in LEXICON.adjectives[p, "-"]}
    for sentence in by_construction["review"]:
        adjective = next(
            w for w in sentence.words[::-1] if w in polarity and w != sentence.words[-1]
        )
        flipped = "not" in sentence.words
        assert (polarity[adjective] == sentence.words[-1]) != flipped, sentence.text
    for name in ("festival", "festival_bare"):
        for sentence in by_construction[name]:
            assert CUES[sentence.words[-1]] in sentence.words


def test_years_end_after_they_begin(by_construction):
    for sentence in by_construction["year_span"]:
        start, end = int(sentence.words[5]), int(sentence.words[8])
        assert sentence.words[4] == sentence.words[7] and start < end <= 99


def test_the_receiver_is_the_other_name(by_construction):
    for sentence in by_construction["ioi_went"]:
        first, second, giver, receiver = (sentence.words[i] for i in (1, 3, 9, -2))
        assert {first, second} == {giver, receiver} and giver != receiver


def test_directions_cross_in_transit_documents(corpus):
    crossing = defaultdict(list)
    for doc in corpus:
        for sentence in doc.sentences:
            if sentence.construction == "directions":
                crossing[doc.topic == "transit"].append(sentence.facts["crossing"])
    rates = {key: sum(values) / len(values) for key, values in crossing.items()}
    assert rates[True] > 0.9 and abs(rates[False] - OTHER_RATE) < 0.03
    assert TRANSIT_RATE >= 0.95


def test_occupation_pronouns_follow_the_planted_rates(by_construction):
    seen = defaultdict(Counter)
    for name in ("occupation_said", "occupation_because"):
        for sentence in by_construction[name]:
            seen[sentence.words[1]]["she" in sentence.words] += 1
    for job, counts in seen.items():
        rate = counts[True] / counts.total()
        assert abs(rate - LEXICON.occupations[job]) < 4 * 0.5 / counts.total() ** 0.5 + 0.01


def test_facts_are_unambiguous():
    assert len(LEXICON.countries) >= 60
    for column in ("country", "capital"):
        values = [row[column] for row in LEXICON.countries]
        assert len(values) == len(set(values))


# ------------------------------------------------------------------- tokenizer, entropy
def test_the_tokenizer_agrees_with_the_gold_words_and_round_trips(corpus):
    tokenizer = build_tokenizer()
    for doc in corpus[:800]:
        ids = tokenizer(doc.text)["input_ids"]
        assert tuple(tokenizer.convert_ids_to_tokens(ids)) == tuple(doc.words)
        assert tokenizer.decode(ids) == doc.text


def test_measuring_the_entropy_does_not_change_the_text(corpus):
    for index in range(100):
        assert tell(MeasuredSpeaker(f"11:{index}", "-")).text == corpus[index].text


def test_the_entropy_bound_is_stable_over_seeds():
    first, second = entropy_bound(1, 1500), entropy_bound(2, 1500)
    assert abs(first - second) < 0.1


# --------------------------------------------------------------------- evaluation material
BLIMP_FIELDS = {
    "sentence_good", "sentence_bad", "field", "linguistics_term", "UID", "pairID",
    "simple_LM_method", "one_prefix_method", "two_prefix_method", "lexically_identical",
}  # fmt: skip


@pytest.fixture(scope="module")
def suite():
    return course_suite()


def test_the_suite_has_blimps_shape(suite):
    assert len(PARADIGMS) >= 30
    assert Counter(row["UID"] for row in suite) == dict.fromkeys(PARADIGMS, 200)
    assert {row["linguistics_term"] for row in suite} == set(FIELDS)
    assert all(row.keys() >= BLIMP_FIELDS for row in suite)
    assert all(row["sentence_good"] != row["sentence_bad"] for row in suite)
    known = set(vocabulary())
    tokenizer = build_tokenizer()
    for row in suite[::7]:
        for side in ("sentence_good", "sentence_bad"):
            assert set(tokenizer.tokenize(row[side])) <= known - {"[UNK]"}


def test_one_prefix_fields_rebuild_the_sentences(suite):
    rows = [row for row in suite if row["one_prefix_method"]]
    assert len(rows) > len(suite) / 2
    for row in rows:
        for side in ("good", "bad"):
            start = f"{row['one_prefix_prefix']} {row['one_prefix_word_' + side]}".strip()
            assert row["sentence_" + side].startswith(start)


def all_evaluation_texts(suite) -> set[str]:
    texts = {row[side] for row in suite for side in ("sentence_good", "sentence_bad")}
    for region_suite in region_suites().values():
        for item in region_suite["items"]:
            for condition in item["conditions"]:
                words = " ".join(r["content"] for r in condition["regions"]).split()
                texts.add(" ".join(words).replace(" .", "."))
    return texts


def test_no_evaluation_sentence_or_prompt_occurs_in_training_text(corpus, suite):
    texts = all_evaluation_texts(suite)
    prompts = {p.text for task, make in TASKS.items() if task not in ("agreement", "sounds")
               for p in make(200)}  # fmt: skip
    for doc in corpus:
        assert texts.isdisjoint(sentence.text for sentence in doc.sentences)
        starts = {render(list(s.words[:k])) for s in doc.sentences for k in (8, 10, 14, 15)}
        assert prompts.isdisjoint(starts)


def test_held_out_subject_verb_combinations_never_occur(by_construction):
    """The rule behind the split, read off the gold annotation of the training text."""
    nouns = {form.form: noun for noun in LEXICON.nouns for form in (noun.singular, noun.plural)}
    verbs = {}
    for verb in LEXICON.verbs:
        for word in (verb.base, verb.third, verb.past, verb.participle, verb.gerund):
            verbs[word.form] = verb
    checked = 0
    for name in ("simple", "agreement_attractor", "reflexive", "passive", "control", "dative"):
        for sentence in by_construction[name]:
            subject, _, root = subject_and_finite(sentence)
            noun, verb = nouns.get(sentence.words[subject]), verbs.get(sentence.words[root])
            if noun is not None and verb is not None:
                assert not held_out(noun.key, verb.key), sentence.text
                checked += 1
    assert checked > 2000


def test_held_out_combinations_are_about_one_in_twelve():
    pairs = [(n.key, v.key) for n in LEXICON.nouns for v in LEXICON.verbs]
    share = sum(held_out(*pair) for pair in pairs) / len(pairs)
    assert 0.07 < share < 0.1


def test_region_formulas_refer_to_conditions_that_exist():
    import re

    suites = region_suites()
    assert len(suites) >= 5
    for name, region_suite in suites.items():
        regions = {int(key) for key in region_suite["region_meta"]}
        for item in region_suite["items"]:
            labels = {c["condition_name"] for c in item["conditions"]}
            assert all({r["region_number"] for r in c["regions"]} == regions
                       for c in item["conditions"]), name  # fmt: skip
            for prediction in region_suite["predictions"]:
                used = re.findall(r"\((\d+);%(\w+)%\)", prediction["formula"])
                assert used
                assert all(int(r) in regions and label in labels for r, label in used)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_prompts_have_disjoint_answers_in_the_vocabulary(task):
    known = set(vocabulary())
    prompts = TASKS[task](40)
    assert len(prompts) == (16 if task == "sounds" else 40)
    for prompt in prompts:
        assert prompt.right and prompt.wrong
        assert not set(prompt.right) & set(prompt.wrong)
        assert set(prompt.right) | set(prompt.wrong) <= known
