"""Settings of nbgrader for this course: ``make exercises``, ``nbgrader generate_assignment``."""

c = get_config()  # noqa: F821  nbgrader defines get_config

c.CourseDirectory.course_id = "interpretability"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"
# nbgrader copies everything that lies beside a notebook, so what only instructors may see is named
# here as well; `make exercises` hands nbgrader the notebook alone.
c.CourseDirectory.ignore = [
    ".ipynb_checkpoints",
    "__pycache__",
    "*.pyc",
    "answers",
    "rubric.md",
]
c.ClearSolutions.begin_solution_delimeter = "BEGIN SOLUTION"
c.ClearSolutions.end_solution_delimeter = "END SOLUTION"
