# make            compile the extension for the server of PG_CONFIG (default: the embedded PostgreSQL 18)
# make demo       from nothing to the whole thing at work, in a private PostgreSQL 18; QUERIES=file.tsv adds your own queries
# make test       every rung of tests; PG=18,17,16,15 and ONLY=checks,core,regress,isolation,t narrow it, NAMES= picks files
# make bench      docs/BENCHMARKS.md and docs/benchmarks.json, about 40 minutes on 2 idle cores; BENCH='--only rows,miss' narrows it
# make eval       docs/SEARCH_QUALITY.md, search measured on the collections of DATA/ir, with three embedding models, about 30
#                 minutes on 2 idle cores; EVAL='--only cacm --models e5' narrows it
# make eval-embedding  harca.embed beside given vectors of the same models, over collections of DATA/ir; EVAL='--only cacm' narrows it
# make train      the shipped model from DATA (its folder), some hours on 2 cores, and goes on where it was stopped; make train-test
#                 tests the trainer
# make install    PG_CONFIG=/path/to/pg_config [DESTDIR=…]: compile and install into that server
# make uninstall  PG_CONFIG=…
# make deb        a package for the PostgreSQL of Debian, by default 15; make image: one for CloudNativePG, for PostgreSQL 18
# make clean      remove what was compiled; make distclean: and everything that was fetched
#
# Needed: Rust (rustup), Python 3.9 or later, a C compiler, make. Everything else goes under .build/.

.DEFAULT_GOAL := build
.PHONY: build demo test bench eval eval-embedding train train-test install uninstall deb image lint clean distclean

PG_CONFIG ?=
DESTDIR ?=
QUERIES ?=
PG ?=
ONLY ?=
NAMES ?=
DATA ?= ../shared/data
BENCH ?=
EVAL ?=
export DESTDIR

embedded = $(if $(PG_CONFIG),,@scripts/setup_postgres.sh 18)
server = $(if $(PG_CONFIG),'$(PG_CONFIG)',.build/pg18/bin/pg_config)

build:
	$(embedded)
	@scripts/build.sh $(server)

demo:
	@QUERIES='$(QUERIES)' scripts/demo.sh '$(PG_CONFIG)'

test:
	@tests/run $(if $(PG),--pg '$(PG)') $(if $(ONLY),--only '$(ONLY)') $(if $(PG_CONFIG),--pg-config '$(PG_CONFIG)') $(NAMES)

bench:
	@tests/bench/run $(if $(PG_CONFIG),--pg-config '$(PG_CONFIG)') $(BENCH)

# DATA may also name the folder of the collections itself.
eval:
	$(embedded)
	@scripts/setup_eval.sh
	@.build/eval-venv/bin/python tests/eval/run --data '$(if $(wildcard $(DATA)/ir),$(DATA)/ir,$(DATA))' $(if $(PG_CONFIG),--pg-config '$(PG_CONFIG)') $(EVAL)

eval-embedding:
	$(embedded)
	@scripts/setup_eval.sh
	@.build/eval-venv/bin/python tests/eval/compare_embeddings --data '$(if $(wildcard $(DATA)/ir),$(DATA)/ir,$(DATA))' $(if $(PG_CONFIG),--pg-config '$(PG_CONFIG)') $(EVAL)

# Beside make test, which needs no PyTorch.
train-test:
	@scripts/setup_training.sh
	@cd models/training && '$(CURDIR)/.build/train-venv/bin/python' -m pytest -q

train:
	@scripts/setup_training.sh
	@.build/train-venv/bin/python -m harca_train all --settings models/training/query_type.toml --data '$(DATA)' --out models/query_type

lint:
	@scripts/lint.sh

install uninstall:
	$(if $(PG_CONFIG),,$(error PG_CONFIG is missing: name the pg_config of the server, as in make $@ PG_CONFIG=/usr/lib/postgresql/16/bin/pg_config))
	@scripts/$@.sh '$(PG_CONFIG)'

deb:
	@packaging/debian/build.sh $(if $(PG_CONFIG),'$(PG_CONFIG)')

image:
	@packaging/image.sh $(if $(PG_CONFIG),'$(PG_CONFIG)')

clean:
	rm -rf target .build/stage .build/stamps/stage-* .build/results .build/packages

distclean: clean
	@for server in .build/cluster/*/; do [ ! -f "$$server/data/postmaster.pid" ] || { echo "a server still runs in $$server: stop it with scripts/server stop"; exit 1; }; done
	@PYTHONPATH=tests python3 -c 'import shutil; from harness.places import temporary_root; shutil.rmtree(temporary_root())'
	rm -rf .build
