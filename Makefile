# make lab    set up, check the machine, open the course in JupyterLab
#             (make lab TORCH=cpu on Linux: without PyTorch's GPU libraries)
# make test   set up, then run every test
# The rest is for people who change the course; CONTRIBUTING.md says when to use what.
SHELL  := /bin/bash
PYTHON ?=
VENV   ?= .venv
PY     := $(VENV)/bin/python
READY  := environment
# TORCH=cpu: PyTorch without GPU libraries. TORCH_OPTIONS: other pip options for torch alone.
TORCH  ?=
TORCH_OPTIONS ?=
WORKERS ?= 2
THREADS ?= 1
NOTEBOOK_FOLDERS := $(wildcard notebooks lectures solutions)

.DEFAULT_GOAL := help
.PHONY: help environment setup lab test test-kernels test-peers notebooks slides exercises models bench lock

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

setup: $(READY)

# Not a file: whether the environment is whole and in its place is looked at every time.
$(READY):
	@bash tools/set_up.sh '$(VENV)' '$(PYTHON)' '$(TORCH)' $(TORCH_OPTIONS)

lab: $(READY)
	@$(PY) -m course_lib.cli lab

# Both halves always run; the exit status is that of the first one that failed.
# One thread a worker (THREADS): two workers share two cores. Budgets of time and memory are printed; where
# COURSE_BUDGET_SCALE is set (1 on two quiet cores, more on a slower machine), they fail.
# Threads that wait sleep: two workers with two threads each would otherwise keep each other from the cores.
OFFLINE := OMP_WAIT_POLICY=PASSIVE HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 PYTHONPATH="$(CURDIR)/tests/sitecustomize:$(CURDIR)/tests/notebooks:$(CURDIR)/tools" \
           PATH="$(abspath $(VENV))/bin:$$PATH"
CELL_SECONDS := 600
test: $(READY)
	@status=0; export $(OFFLINE) OMP_NUM_THREADS=$(THREADS); \
	 $(PY) -m pytest tests course_lib tools --doctest-modules -n $(WORKERS) --dist loadfile \
	   $(PYTEST_OPTIONS) </dev/null || status=$$?; \
	 $(NBVAL) $(NOTEBOOK_FOLDERS) </dev/null || { code=$$?; test $$status -ne 0 || status=$$code; }; \
	 exit $$status
NBVAL = $(PY) -m pytest -p notebook_budget -n $(WORKERS) --dist loadfile \
          --nbval-lax --nbval-current-env --nbval-cell-timeout=$(CELL_SECONDS) \
          --nbval-sanitize-with tests/notebooks/sanitize.cfg

# Whatever compares two computations, and the walkthroughs with marked outputs, once more with two
# threads and with kernels that add in another order, as on another processor: what is held closer
# than its type allows fails here. These kernels are slow, so budgets are printed only.
KERNELS := ATEN_CPU_CAPABILITY=default MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
           OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=1 COURSE_BUDGET_SCALE=
NUMERIC = $(shell grep -l 'tests.closeness' tests/test_*.py)
MARKED = $(shell grep -l NBVAL_CHECK_OUTPUT notebooks/*.ipynb)
test-kernels: $(READY)
	@status=0; export $(OFFLINE) $(KERNELS); \
	 $(PY) -m pytest $(NUMERIC) -n $(WORKERS) --dist loadfile $(PYTEST_OPTIONS) </dev/null || status=$$?; \
	 $(NBVAL) $(MARKED) </dev/null || { code=$$?; test $$status -ne 0 || status=$$code; }; \
	 exit $$status

# Execute the walkthroughs and the decks in place and store them clean.
notebooks: $(READY)
	@$(PY) tools/run_notebooks.py

# Write slides/ from the stored decks: pages that open with no network, and a PDF of each.
slides: $(READY)
	@$(PY) tools/export_slides.py

# Write exercises/ and the stored cases of the visible checks from solutions/.
exercises: $(READY)
	@$(PY) tools/make_exercises.py

# Train the bundled models again and write their cards; a stopped run continues. glibc would give
# large tensors back to the system at every step and fault them in again: the options keep them.
models: export MALLOC_MMAP_THRESHOLD_ := 1073741824
models: export MALLOC_TRIM_THRESHOLD_ := 2147483648
models: $(READY)
	@$(PY) -m course_lib.training
	@$(PY) tools/model_card.py --write

# Print the tables of benchmarks/.
bench: $(READY)
	@for script in benchmarks/*.py; do $(PY) "$$script" || exit 1; done

lock: $(READY)
	@$(PY) -m pip install --quiet -c requirements.lock -e '.[all]'
	@$(PY) tools/lock.py

# Compare with other libraries, which have an environment of their own: it sees the packages of
# the course and adds theirs. Not part of `make test`.
PEERS := build/peers
PEER_PACKAGES := captum==0.9.0 concept-erasure==0.2.4 transformer-lens==4.3.0 accelerate==1.15.0 beartype==0.23.1 \
                 einops==0.8.2 jaxtyping==0.3.11 wadler-lindig==0.1.8
test-peers: $(READY)
	@test -x $(PEERS)/bin/python || $(PY) -m venv $(PEERS)
	@$(PY) -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
	  > "$$($(PEERS)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/course.pth"
	@$(PEERS)/bin/python -m pip install --quiet -c requirements.lock datasets pandas rich
	@$(PEERS)/bin/python -m pip install --quiet --no-deps $(PEER_PACKAGES)
	@status=0; export PYTHONPATH="$(CURDIR)" HF_HUB_OFFLINE=1 TQDM_DISABLE=1; \
	 for peer in captum_attribution concept_erasure_leace transformer_lens_patching; do \
	   $(PEERS)/bin/python tests/peers/$$peer.py || status=1; done; exit $$status
