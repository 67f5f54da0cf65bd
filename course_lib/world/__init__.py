"""The course world: a generator of English-like text whose every rule we wrote.

`documents` and `sentences` stream training text with gold annotation, `course_suite` and
`region_suites` hold the evaluation material from combinations that training never shows.
"""

from course_lib.world.documents import document, documents, sentences
from course_lib.world.lexicon import LEXICON, TOPICS, held_out
from course_lib.world.prompts import TASKS, Prompt
from course_lib.world.regions import region_suites
from course_lib.world.sentence import Document, Sentence, Word, render
from course_lib.world.suites import course_suite

__all__ = [
    "LEXICON", "TASKS", "TOPICS", "Document", "Prompt", "Sentence", "Word", "course_suite",
    "document", "documents", "held_out", "region_suites", "render", "sentences",
]  # fmt: skip
