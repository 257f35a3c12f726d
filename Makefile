# From a bare machine with Python 3.11 or newer, pip and make:
#   make all     install, then the default suite: results/default/report.html
#   make smoke   install, then the small suite
#   make test    install, then the tests
#   make lint    install, then ruff, pyright and the import contracts
#   make rehearse   install, then the papers' experiments with small stand-ins, half an hour or more
#   make clean   remove what make made, results included (but not results/reference and results/published)

PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN || echo 2)
VENV := .venv
INSTALLED := $(VENV)/.installed
RUN := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
UV := uv==0.13.9

.PHONY: all smoke test rehearse lint clean

all: $(INSTALLED)
	$(RUN) snakemake --cores $(CORES) all

smoke: $(INSTALLED)
	$(RUN) snakemake --cores $(CORES) all --config suite=smoke

test: $(INSTALLED)
	$(RUN) python -m pytest

rehearse: $(INSTALLED)
	for suite in config/papers/*.yaml; do \
		$(RUN) python -m bench rehearse papers/$$(basename $$suite .yaml) --cores $(CORES) || exit 1; \
	done

lint: $(INSTALLED)
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) lint-imports
	$(RUN) pyright

# uv installs in a minute what takes pip several; where uv does not work, pip does.
# Byte code makes each later start of Snakemake four times as fast.
$(INSTALLED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed; name it with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet $(UV) && VIRTUAL_ENV="$(CURDIR)/$(VENV)" \
		$(VENV)/bin/uv pip install --require-hashes --compile-bytecode -r requirements.lock || \
		$(VENV)/bin/python -m pip install --require-hashes -r requirements.lock
	touch $@

clean:
	rm -rf $(VENV) .snakemake .pytest_cache .ruff_cache
	rm -rf $(filter-out results/reference results/published,$(wildcard results/*))
