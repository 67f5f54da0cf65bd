"""Training of the bundled models: `python -m course_lib.training` (or `make models`)."""
