# Two commands for newcomers: `make demo` and `make test`. Each makes .venv from the pinned requirements when missing.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO ?= demo
# Worker processes of the tests, one thread each.
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)

.PHONY: demo test weights lint clean

demo: $(VENV)/installed
	$(RUN) -m leadset demo $(DEMO)

# A worker that has nothing left takes over half of what another one still has to do.
test: lint
	$(RUN) -m pytest --numprocesses=$(JOBS) --dist=worksteal

# Trains anew what ships, resumable: universal networks from simulated recordings alone (core hours are in their cards),
# and the entry on the recordings in DATA.
weights: $(VENV)/installed
	for network in resnet34 crnn_pqrst mvms_net; do \
	    OMP_NUM_THREADS=1 $(RUN) -m leadset.training.universal $$network weights --ship leadset/models/pretrained || exit 1; \
	done
	$(RUN) -m leadset.training.shipped_entry $(DATA)

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .

$(VENV)/installed: requirements.txt requirements-extras.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --requirement requirements.txt --requirement requirements-extras.txt
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) .pytest_cache .ruff_cache
