"""The word-level tokenizer of the course models, built from the lexicon.

Text splits at spaces and before punctuation; a four-digit year is two pieces ("1741" -> 17, 41),
so that the model has to compare two-digit numbers. Words outside the course world become [UNK].
"""

from __future__ import annotations

from course_lib.world.lexicon import LEXICON

SPECIALS = ("[PAD]", "[UNK]", "[BOS]", "[EOS]", "[MASK]")
WORD_PATTERN = r"\d{2}|\d|'s|[A-Za-z]+(?:-[A-Za-z]+)*|[^\sA-Za-z\d]"
OPENING_POS = ("DET", "NUM", "PRON", "AUX", "ADP", "CONJ", "ADV")


def vocabulary() -> list[str]:
    """All tokens: specials, every form of the lexicon, and the forms that can open a sentence."""
    functions = [LEXICON.word(form) for form in LEXICON.function_forms]
    openers = [word for word in functions if word.pos in OPENING_POS and word.form[0].islower()]
    openers += [LEXICON.word("people"), LEXICON.word("walk")]
    capitals = [LEXICON.capitalised[word].form for word in openers]
    return list(dict.fromkeys([*SPECIALS, *LEXICON.forms, *capitals]))


def build_tokenizer():
    """The course tokenizer as a `PreTrainedTokenizerFast`.

    `decode` undoes `encode` for every text of the world: spaces, punctuation and years.

    Examples
    --------
    >>> tokenizer = build_tokenizer()
    >>> ids = tokenizer("The war lasted from 1741 to 1763.")["input_ids"]
    >>> tokenizer.convert_ids_to_tokens(ids)[4:6]
    ['17', '41']
    >>> tokenizer.decode(ids)
    'The war lasted from 1741 to 1763.'
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ids = {token: index for index, token in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(WORD_PATTERN), behavior="isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(Regex("^"), " "),
            decoders.Fuse(),
            decoders.Replace(Regex(r" (?=[.,?:]|'s)"), ""),
            decoders.Replace(Regex(r"(?<= \d\d) (?=\d\d(?!\d))"), ""),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]", unk_token="[UNK]", bos_token="[BOS]", eos_token="[EOS]",
        mask_token="[MASK]", clean_up_tokenization_spaces=False, padding_side="right",
        model_max_length=256,
    )  # fmt: skip
