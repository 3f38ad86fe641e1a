# make demo    a tour on a small corpus, offline after the install     make test     the whole test suite
# make check   style, types, import contracts                          make clean    remove what these made
# make apart   data-juicer, Prefect, pipx and actionlint for the tests that use them, anew (make test makes them once)
# make readme  the tour's output into README.md, as it is now
# make bench   cost of every stage and of whole scans     make bench-peers   the same work by foxing and by other tools
# (docs/bench.md; options go into BENCH: make bench BENCH="--slope-gb 0.1,1,10 --memory")
# make bench-duplicates  planted copies found, and cost at millions of rows     make bench-leakage  planted benchmark items
# make bench-formats     how uniform sets of answers are (options of these three into BENCH, too)
# make reference  docs/reference.md and the tables of docs/peers.md from the code and the results
# make report-picture  the picture of a report in the docs, and the schema of its JSON (needs chromium)
# make torture  jobs killed a thousand times, every byte compared     make fuzz  a million damaged files (SECURITY.md; options
# go into TORTURE and FUZZ: make torture TORTURE="--runs 50 --what scan,curate")
# make eval-detector    how well the bundled detector does on labelled text, beside other detectors (docs/detector.md)
# Another Python (3.11 or newer): make demo PYTHON=python3.13

PYTHON = python3
VENV = .venv
BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
CORPUS = samples/corpus/translated.jsonl.gz
BENCH =
TORTURE =
FUZZ =
EVAL =

.PHONY: demo test check apart readme reference report-picture bench bench-peers bench-duplicates bench-leakage bench-formats eval-detector torture fuzz clean
.DELETE_ON_ERROR:

demo: $(CORPUS)
	@FOXING=$(BIN)/foxing PYTHON=$(BIN)/python sh samples/demo.sh

test: $(VENV)/.test-tools $(VENV)/apart/.installed
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.test-tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

apart: $(VENV)/.test-tools
	@$(BIN)/python -m tests.apart

readme: $(CORPUS)
	$(BIN)/python samples/fill_readme.py $(abspath $(BIN)/foxing)

reference: $(VENV)/.base
	$(BIN)/python samples/reference.py
	$(BIN)/python samples/peer_tables.py

report-picture: $(CORPUS) $(VENV)/.test-tools
	$(BIN)/python samples/report_picture.py samples/corpus

bench: $(VENV)/.base
	@$(BIN)/python -m tests.bench $(BENCH)

bench-peers: $(VENV)/.base
	@$(BIN)/python -m tests.bench.peers $(BENCH)

bench-duplicates bench-leakage bench-formats: bench-%: $(VENV)/.test-tools
	@$(BIN)/python -m tests.bench.$* $(BENCH)

eval-detector: $(VENV)/.base
	@$(BIN)/python -m tests.bench.detector $(EVAL)

torture: $(VENV)/.test-tools
	@FOXING_TORTURE=1 $(BIN)/python -m pytest -q tests/torture tests/fuzz tests/audit/test_parts_slices.py
	@$(BIN)/python -m tests.torture $(TORTURE)

fuzz: $(VENV)/.test-tools
	@$(BIN)/python -m tests.fuzz $(FUZZ)

clean:
	rm -rf $(VENV) out samples/corpus build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# The last file that make_samples.py writes stands for the whole corpus.
$(CORPUS): samples/make_samples.py samples/machine_text.py samples/machine_text.txt samples/question_answers.py $(VENV)/.base
	@echo "Making the sample corpus in samples/corpus ..."
	@$(BIN)/python samples/make_samples.py samples/corpus

$(VENV)/.base: pyproject.toml constraints.txt $(VENV)/pyvenv.cfg
	@echo "Installing foxing into $(VENV) ..."
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.test-tools: $(VENV)/.base
	@echo "Installing what the tests need into $(VENV) ..."
	@$(INSTALL) --editable '.[test]'
	@touch $@

# What cannot be fetched is named, and the tests that need it are skipped: this never fails.
$(VENV)/apart/.installed: constraints-apart.txt tests/apart.py $(VENV)/.test-tools
	@echo "Installing what some tests need beside foxing into $(VENV)/apart ..."
	@$(BIN)/python -m tests.apart

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than Python 3.11. Name a newer one: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
