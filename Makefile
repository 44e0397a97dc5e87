# Two commands for newcomers: `make demo` and `make test`. Each makes .venv from the pinned requirements when missing.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO ?= demo
# Worker processes of the tests, one thread each.
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)

.PHONY: demo test coverage compat weights detector entry docs lint clean

demo: $(VENV)/installed
	$(RUN) -m leadset demo $(DEMO)

# A worker that has nothing left takes over half of what another one still has to do.
test: lint
	$(RUN) -m pytest --numprocesses=$(JOBS) --dist=worksteal

# The core part of the suite with the oldest declared versions, and on other Pythons (PYTHONS); downloads gigabytes.
PYTHONS ?= python3.12 python3.13
compat: $(VENV)/installed
	PYTHONPATH=. $(RUN) benchmarks/compat.py .compat --pythons $(PYTHONS)

# Trains anew what ships; `make -j2 weights DATA=FOLDER` on two cores. Killed, it goes on where it stopped. Networks learn
# from simulated recordings, and are tuned on the real ones in DATA (leadset/training/shipped/real_sources.py); then the
# entry is fitted. With SCALE=0.01 it is a rehearsal: everything that takes long is scaled, and nothing that ships changes.
SCALE ?= 1
REHEARSED := $(filter-out 1,$(SCALE))
WORK := weights$(if $(REHEARSED),-$(SCALE))
SHIPS := leadset/models/pretrained
PRETRAINED ?= $(if $(REHEARSED),$(WORK)/pretrained,$(SHIPS))
# Tables go where the weights are that they describe.
TABLES := $(if $(filter $(SHIPS),$(PRETRAINED)),benchmarks,$(PRETRAINED))
SHIP := OMP_NUM_THREADS=1 PYTHONPATH=. $(RUN)
weights: $(VENV)/installed
	$(if $(DATA),,$(error expected DATA=FOLDER, with the real recordings))
	$(MAKE) entry NETWORKS="$$($(RUN) -c 'from leadset.training.shipped.universal import RECIPES; print(*RECIPES)')"

simulated-%:
	$(SHIP) -m leadset.training.shipped.universal $* $(WORK) --scale $(SCALE) --ship $(PRETRAINED)/simulated

tuned-%: simulated-%
	$(SHIP) -m leadset.training.shipped.tuning $(DATA) $(WORK)/tuning --network $* --start $(PRETRAINED)/simulated \
	    --scale $(SCALE) --ship $(PRETRAINED)

detector:
	$(SHIP) -m leadset.training.shipped.detector $(WORK)/detector --scale $(SCALE) --ship $(PRETRAINED)
	cp $(PRETRAINED)/cross_restoration.safetensors $(PRETRAINED)/simulated
	$(SHIP) benchmarks/shipped_detector.py $(DATA)/challenge/training --pretrained $(PRETRAINED) --scale $(SCALE) \
	    --output $(TABLES)/shipped_detector.csv

entry: $(addprefix tuned-,$(NETWORKS)) detector
	$(SHIP) -m leadset.training.shipped.entry $(DATA) $(WORK)/tuning --scale $(SCALE) --ship $(PRETRAINED)
	$(SHIP) benchmarks/universal.py $(DATA) $(WORK)/tuning --pretrained $(PRETRAINED) --scale $(SCALE) \
	    --output $(TABLES)/universal.csv

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
