# Two commands for newcomers: `make demo` and `make test`. Each makes .venv from the pinned requirements when missing.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO ?= demo

.PHONY: demo test lint clean

demo: $(VENV)/installed
	$(RUN) -m leadset demo $(DEMO)

test: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(RUN) -m pytest

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .

$(VENV)/installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --requirement requirements.txt
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) .pytest_cache .ruff_cache
