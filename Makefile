# `make` alone lists the targets. Everything runs in .venv, made here, with the versions of constraints.txt: the demo with
# what cass needs, the rest with what its developers need too.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo
EXPERIMENTS ?= experiments-small

PYTHONS ?= python3.11 python3.12 python3.13

.PHONY: help demo experiments figures docs captured test attack test-everywhere check format benchmarks dist dist-check release-check clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/cass: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "cass needs Python 3.11 or newer: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dicom]'
	@touch $@

$(BIN)/pytest: $(BIN)/cass
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,dicom,heic,nifti,hdf5,slides,onnx,parquet,cluster,docs]'
	@touch $@

demo: $(BIN)/cass  ## pretrain on drawn images, fine-tune, compare, evaluate, look into the arms, and write a report
	$(BIN)/cass pretrain --preset demo --runs $(DEMO) --name pretrained --overwrite
	$(BIN)/cass finetune --run pretrained --recipe paper --no-guard --runs $(DEMO)
	$(BIN)/cass attention-maps --run $(DEMO)/pretrained/finetune/pretrained-paper
	$(BIN)/cass finetune --run pretrained --init-from random --label-fraction 0.1,1 --seeds 3 --runs $(DEMO)
	$(BIN)/cass finetune --run pretrained --label-fraction 0.1,1 --seeds 3 --runs $(DEMO)
	$(BIN)/cass compare pretrained --runs $(DEMO)
	$(BIN)/cass evaluate --run pretrained --runs $(DEMO)
	$(BIN)/cass report $(DEMO)/pretrained
	@echo; echo "Made in $(DEMO):"; find $(DEMO)/pretrained -maxdepth 2 -not -path "*/features*" | sort | sed "s/^/  /"

experiments: $(BIN)/cass  ## every table of the paper on drawn images, one after another, into one folder (half an hour to two)
	@failed=; for file in experiments/*.yaml; do \
		$(BIN)/cass grid $$file --small --runs $(EXPERIMENTS) || failed="$$failed $$file"; \
	done; test -z "$$failed" || { echo "Failed:$$failed"; exit 2; }

figures: demo  ## draw the pictures of the pages anew, from the demo
	$(BIN)/cass attention-maps --run $(DEMO)/pretrained/finetune/pretrained-paper --out docs
	$(BIN)/cass feature-maps --run $(DEMO)/pretrained --arm cnn --out docs
	$(BIN)/cass similarity --run $(DEMO)/pretrained --out docs
	cd docs && rm *.csv attention-average-*.png attention-distance-vit.png attention-heads-vit.png features-first-cnn.png
	$(BIN)/python -c "from PIL import Image; p = 'docs/attention-images.png'; i = Image.open(p); i.thumbnail((1100, 1100)); i.convert('RGB').save(p, optimize=True)"

docs: $(BIN)/pytest  ## build the site into site/, to be read without a network; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Made: site/index.html"

captured: $(BIN)/pytest  ## run the tutorial's commands on the demo, and keep what they print in docs/captured (minutes)
	$(BIN)/python -m docs.tools.capture

test: $(BIN)/pytest  ## run all tests (CPU, no network, minutes)
	$(BIN)/python -m pytest -n auto

attack: $(BIN)/pytest  ## kill, fill, change and signal commands some 2,000 times; write how they ended (20 minutes)
	$(BIN)/python -m tests.faults.attack --out benchmarks/results/attacks.md

test-everywhere: $(BIN)/pytest  ## run them with each instruction set of this processor, then with 2 and 4 threads (an hour)
	$(BIN)/python tests/everywhere.py

check: $(BIN)/pytest  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(BIN)/pytest  ## format the code and sort imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

benchmarks: $(BIN)/pytest  ## measure speed on this machine, which should be idle (about an hour on two cores)
	for name in step levers data peers finetune scaling startup; do $(BIN)/python benchmarks/$$name.py || exit; done

dist: $(BIN)/pytest  ## build the wheel and the sdist, into dist/
	rm -rf dist
	$(BIN)/python -m hatchling build

dist-check: dist  ## build both; look what is in them, and run the wheel outside the checkout
	OMP_NUM_THREADS=1 $(BIN)/python tests/release.py

release-check: dist  ## install the wheel into an empty environment of each of PYTHONS, and run the demo there
	$(BIN)/python tests/release.py $(PYTHONS)

clean:  ## remove the virtual environment and what tools left
	rm -rf $(VENV) $(DEMO) $(EXPERIMENTS) site .mypy_cache .ruff_cache .pytest_cache dist
