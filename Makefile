.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
HOST ?= 127.0.0.1
# The public index of PyTorch's CPU builds; elsewhere torch comes with gigabytes of CUDA.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

DEMO_MODEL := functions/upload_image/demo_model
BLIP_BASE := Salesforce/blip-image-captioning-base
BIN := .venv/bin
MODEL_BIN := .venv-model/bin
export SAM_CLI_TELEMETRY := 0

# A model folder of ours serves as it is; a hub id or a Hugging Face folder is exported first.
EXPORTED = build/models/$(subst /,--,$(MODEL))$(if $(REVISION),@$(REVISION))$(if $(PRECISION),-$(PRECISION))
REQUIREMENTS := requirements-dev.txt layers/pipeline/requirements.txt functions/upload_image/requirements.txt

.PHONY: help
help: ## Print this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: serve
serve: MODEL ?= $(DEMO_MODEL)
serve: PORT ?= 8000
serve: .venv/installed ## Run the whole API on http://127.0.0.1:8000 (HOST=, PORT=, MODEL= a folder or hub id)
	@model='$(or $(MODEL),$(DEMO_MODEL))'; \
	if [ ! -d "$$model" ] && [[ ! "$$model" =~ ^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$$ || "$$model" = ./* || "$$model" = ../* ]]; then \
		echo "error: $$model is neither a folder nor a hub id such as $(BLIP_BASE)" >&2; exit 1; \
	fi; \
	if [ ! -f "$$model/model.json" ] && { [ -f "$$model/config.json" ] || [ ! -d "$$model" ]; }; then \
		{ [ ! -d "$$model" ] && [ -f '$(EXPORTED)/model.json' ]; } || $(MAKE) --no-print-directory model MODEL="$$model"; \
		model='$(EXPORTED)'; \
	fi; \
	exec $(BIN)/python -m tools.serve --host '$(HOST)' --port '$(or $(PORT),8000)' --model "$$model"

.PHONY: local
local: PORT ?= 3000
local: .venv/installed ## Run the API with sam local start-api, in containers, on port 3000 (PORT=, MODEL=, PRECISION=)
	@exec $(BIN)/python -m tools.containers local --port '$(or $(PORT),3000)' \
		$(if $(MODEL),--model '$(MODEL)') $(if $(PRECISION),--precision '$(PRECISION)')

.PHONY: demo
demo: .venv/installed ## Upload the sample photographs and some scenes to a fresh API and print what it answers
	@$(BIN)/python -m tools.demo

.PHONY: test
test: .venv/installed ## Run unit, contract and integration tests with branch coverage
	$(BIN)/pytest --cov --cov-report=term --cov-fail-under=90 --allow-hosts=127.0.0.1

.PHONY: test-faults
test-faults: .venv/installed ## Break each call to AWS in each way, then 2,000 random schedules (SCHEDULES=; java; 20 minutes)
	$(if $(SCHEDULES),SCHEDULES='$(SCHEDULES)') $(BIN)/pytest tests/faults --show-capture=no
	@cat build/faults/test_uploads.md build/faults/test_reads.md

.PHONY: test-hostile
test-hostile: .venv/installed ## Send a corpus of hostile files through the upload function
	$(BIN)/pytest tests/hostile --show-capture=no
	@cat build/hostile.md build/hostile_rejections.md

.PHONY: fuzz
fuzz: .venv/installed ## Damage images, forms, events and requests at random, 67,000 of them (FUZZ= times as many; 7 minutes)
	$(if $(FUZZ),FUZZ='$(FUZZ)') $(BIN)/pytest tests/fuzz -s --show-capture=no

# mutmut takes a module's name from its path, hence src.
.PHONY: mutants
mutants: .venv/installed build/mutmut ## Break the code in 1,600 places, one at a time: which do the unit tests not notice? (40 minutes)
	@rm -rf build/mutants && mkdir -p build/mutants/src
	@git ls-files -z | tar -c --null -T - | tar -x -C build/mutants
	@mv build/mutants/layers/pipeline/image_pipeline build/mutants/src/
	@cd build/mutants && export PYTHONPATH=../mutmut && ../../$(BIN)/python -m mutmut run && ../../$(BIN)/python -m mutmut results

.PHONY: e2e
e2e: .venv/installed ## Run the contract tests and more against containers (Docker; 10 minutes)
	@$(BIN)/python -m tools.containers e2e

.PHONY: test-model
test-model: .venv-model/installed ## Compare the exported models with torch and transformers
	$(MODEL_BIN)/pytest tests/model

.PHONY: lint
lint: .venv/installed .venv-checkov/installed ## Check style, types and template.yaml
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} $(BIN)/sam validate --lint
	.venv-checkov/bin/checkov --config-file .checkov.yaml

.PHONY: format
format: .venv/installed ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: openapi
openapi: .venv/installed ## Write docs/openapi.json anew from template.yaml and the handlers
	@$(BIN)/python -m tools.openapi

.PHONY: model
model: MODEL ?= $(BLIP_BASE)
model: .venv-model/installed ## Export BLIP to build/models/ (MODEL=, REVISION=, WEIGHTS_SHA256=, PRECISION=, SAMPLES=)
	@$(MODEL_BIN)/python -m functions.upload_image.export '$(MODEL)' '$(EXPORTED)' \
		$(if $(REVISION),--revision '$(REVISION)') $(if $(WEIGHTS_SHA256),--weights-sha256 '$(WEIGHTS_SHA256)') \
		$(if $(PRECISION),--precision '$(PRECISION)') $(if $(SAMPLES),--samples '$(SAMPLES)')

.PHONY: bench
bench: .venv/installed .venv-model/installed ## Compare our captions with transformers' and the machine's limit (15 minutes; docs/benchmarks.md)
	@$(BIN)/python -m tools.bench

.PHONY: demo-model
demo-model: .venv-model/installed ## Train the demo model again and export it (under 20 minutes)
	$(MODEL_BIN)/python -m tools.train_demo_model tests/model/demo_blip
	$(MODEL_BIN)/python -m functions.upload_image.export tests/model/demo_blip $(DEMO_MODEL) --name demo --revision scenes-1 \
		--note 'Demo model: it knows drawn scenes of coloured shapes and nothing else. Not BLIP-base; its captions of photographs mean nothing.'

.PHONY: clean
clean: ## Remove what make has built and installed
	rm -rf .venv .venv-model .venv-checkov build .aws-sam layers/pipeline/*.egg-info

.venv/installed: $(REQUIREMENTS) pyproject.toml
	@$(call create_venv,.venv)
	@echo 'Installing what the API and its tests need (once; about a minute)'
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.venv-model/installed: $(REQUIREMENTS) functions/upload_image/requirements-export.txt pyproject.toml
	@$(call create_venv,.venv-model)
	@echo 'Installing torch and transformers (once; a few minutes)'
	@$(MODEL_BIN)/pip install --quiet --disable-pip-version-check --no-deps --retries 1 --extra-index-url $(TORCH_INDEX) \
		"$$(grep '^torch==' functions/upload_image/requirements-export.txt)"
	@$(MODEL_BIN)/pip install --quiet --disable-pip-version-check -r functions/upload_image/requirements-export.txt \
		-r functions/upload_image/requirements.txt -r layers/pipeline/requirements.txt -e . pytest
	@touch $@

# Apart and without what it depends on: it asks for a newer click than aws-sam-cli's, and works with that one too.
build/mutmut: .venv/installed
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $@ mutmut==3.8.1 libcst==1.9.0

# Its pins contradict those of the API.
.venv-checkov/installed: Makefile
	@$(call create_venv,.venv-checkov)
	@echo 'Installing checkov, which judges template.yaml (once; about a minute)'
	@.venv-checkov/bin/pip install --quiet --disable-pip-version-check checkov==3.3.30
	@touch $@

define create_venv
	$(PYTHON) -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "error: '$(PYTHON)' is not Python 3.11 or newer with venv; name one that is: make PYTHON=python3.13" >&2; exit 1; }; \
	$(PYTHON) -m venv $(1)
endef
