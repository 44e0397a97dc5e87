# Two commands for newcomers: `make demo` and `make test`. Each makes .venv from the pinned requirements when missing.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO ?= demo
PRETRAINED := leadset/models/pretrained
# Worker processes of the tests, one thread each.
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)

.PHONY: demo test coverage compat weights docs lint clean

demo: $(VENV)/installed
	$(RUN) -m leadset demo $(DEMO)

# A worker that has nothing left takes over half of what another one still has to do.
test: lint
	$(RUN) -m pytest --numprocesses=$(JOBS) --dist=worksteal

# The core part of the suite with the oldest declared versions, and on other Pythons (PYTHONS); downloads gigabytes.
PYTHONS ?= python3.12 python3.13
compat: $(VENV)/installed
	PYTHONPATH=. $(RUN) benchmarks/compat.py .compat --pythons $(PYTHONS)

# Trains anew what ships, resumable: universal networks from simulated recordings (core hours are in their cards), then
# tuned on the real recordings in DATA (leadset/training/shipped/real_sources.py), and the entry.
weights: $(VENV)/installed
	for network in $$($(RUN) -c "from leadset.training.shipped.universal import RECIPES; print(*RECIPES)"); do \
	    OMP_NUM_THREADS=1 $(RUN) -m leadset.training.shipped.universal $$network weights --ship $(PRETRAINED)/simulated || exit 1; \
	done
	OMP_NUM_THREADS=1 $(RUN) -m leadset.training.shipped.detector weights/detector --ship $(PRETRAINED)
	cp $(PRETRAINED)/cross_restoration.safetensors $(PRETRAINED)/simulated
	OMP_NUM_THREADS=1 $(RUN) -m leadset.training.shipped.tuning $(DATA) weights/tuning --ship $(PRETRAINED)
	$(RUN) -m leadset.training.shipped.entry $(DATA) weights/tuning
	PYTHONPATH=. $(RUN) benchmarks/universal.py $(DATA) weights/tuning
	PYTHONPATH=. $(RUN) benchmarks/shipped_detector.py $(DATA)/challenge/training

# The documents as a site, site/index.html.
docs: $(VENV)/installed
	$(RUN) -m mkdocs build --strict --quiet

# Which lines no test runs, by file, in coverage.txt; lines that only other processes run count as not run.
coverage: $(VENV)/installed
	$(RUN) -m pytest --numprocesses=$(JOBS) --dist=worksteal --cov=leadset --cov-report=term-missing:skip-covered | tee coverage.txt

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .

$(VENV)/installed: requirements.txt requirements-extras.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --requirement requirements.txt --requirement requirements-extras.txt
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) .compat site coverage.txt .coverage .pytest_cache .ruff_cache
