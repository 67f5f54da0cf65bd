"""Grading a class: collect, run in a sandbox, check from outside, feed back.

Nothing of a submission ever runs in the grader's own process. A submission's cells run in a sandbox
(``sandbox.py`` outside, ``worker.py`` inside), and the checks, which stay outside, call the
student's functions through a channel that carries plain data only (``wire.py``). See
docs/grading.md.
"""
