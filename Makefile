# Two commands for newcomers: `make demo` and `make test`. Each makes .venv from the pinned requirements when missing.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO ?= demo
# Files of tests run side by side, one thread each; the slowest come first, so that none is waited for at the end.
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
SLOW := $(patsubst %,tests/test_%.py,models entry head training pretraining star crnn)
TESTS := $(SLOW) $(filter-out $(SLOW),$(wildcard tests/test_*.py))
LOGS := .pytest_cache/logs

.PHONY: demo test lint clean $(TESTS)

demo: $(VENV)/installed
	$(RUN) -m leadset demo $(DEMO)

test: $(VENV)/installed
	$(VENV)/bin/ruff check .
	@rm -rf $(LOGS) && mkdir -p $(LOGS)
	@$(MAKE) --no-print-directory --keep-going --jobs=$(JOBS) $(TESTS) || { cat $(LOGS)/*.failed; exit 1; }

$(TESTS):
	@$(RUN) -m pytest $@ > $(LOGS)/$(@F) 2>&1 || { mv $(LOGS)/$(@F) $(LOGS)/$(@F).failed; exit 1; }
	@echo "$@: $$(tail -n 1 $(LOGS)/$(@F))"

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .

$(VENV)/installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --requirement requirements.txt
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) .pytest_cache .ruff_cache
