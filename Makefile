# vmaild from a checkout, on a bare Debian 12.
#
#   make demo             slapd with a small hosting company's tree, and vmaild in front of it, until Ctrl-C
#   make demo ONCE=1      the same, ending after the table of lookups; PORT=... takes another port than 10143
#   make demo MAIL=1      with Postfix too: a message along each row, and where it landed (as root)
#   make test             formatting, lint, types and every test, against real slapd and Postfix
#   make quick            the tests that need no service, in less than a minute
#   make coverage         every test, and which lines and branches of vmaild/ none of them runs (coverage.txt)
#   make mutants          changes the code, and looks whether tests notice; SAMPLE=..., PARTS="wire tables cache maps"
#   make system           the HOWTO's whole system: slapd, Postfix, vmaild, Courier, procmail, webmail in a browser (as root)
#   make machines         three machines in network namespaces, one fault after the other, and what became of the mail (as root)
#   make chaos            fifteen minutes of failing directory servers, ten of them with changes written; SECONDS=... for each
#   make soak             ten minutes of load, floods and outages, every answer checked, memory watched; SECONDS=...
#   make fuzz             a minute of coverage-guided fuzzing of each codec and of the configuration; SECONDS=...
#   make newer-slapd      the tests of following changes with slapd 2.6, of Debian 13 in a folder (made as root, once)
#   make matrix           every test on each Python at hand and on the oldest libraries; DEBIAN="trixie", CELLS=..., ARGS=...
#   make measure          every experiment of benchmarks/, on a quiet machine, to benchmarks/results (25 minutes, as root)
#   make figures          tables and pictures from benchmarks/results/*.json
#   make deb              dist/vmaild_VERSION_all.deb, on Debian 12's own Python and libraries
#   make nspawn           that package under systemd as PID 1, in a container: reload, restart, kill, upgrade (as root)
#   make papers           what README, manual and snippets tell a reader to type, as written, to papers.txt (as root)
#   make lint             formatting, lint and types only
#   make manual           the parts of the manual pages that are made from the program
#   make release          dist/ with sdist, wheel and Debian package, checked in empty environments; REHEARSAL=1
#   make clean            remove what these made
#
# Missing Debian packages are installed by apt-get when run as root, and named otherwise. Debian's own slapd and
# Postfix services are neither configured nor started by that; everything runs as plain processes on loopback.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help demo test quick coverage mutants manual release system machines chaos soak fuzz matrix newer-slapd measure figures \
    deb nspawn papers lint clean demo-packages mail-packages test-packages system-packages machines-packages newer-slapd-packages \
    deb-packages nspawn-packages

PYTHON := python3
VENV := .venv
RUN := $(VENV)/bin/python

# slapd and ldap-utils run; the rest builds bonsai.
DEMO_PACKAGES := slapd ldap-utils gcc libc6-dev libldap-dev libsasl2-dev
# Postfix delivers what the demo sends.
MAIL_PACKAGES := $(DEMO_PACKAGES) postfix postfix-ldap
# systemd-analyze checks the units, which reload by procps' kill; openssl makes certificates, mandoc and man check the manual
# pages, Postfix's submission port wants mechanisms of SASL, Prometheus scrapes; nothing of them is started as a service.
TEST_PACKAGES := $(MAIL_PACKAGES) systemd procps openssl mandoc man-db libsasl2-modules prometheus
# What `compare` puts vmaild beside.
BENCH_PACKAGES := memcached postfix-lmdb postfix-cdb
# Courier's authdaemond also answers Postfix's submission port, by libsasl2's modules; Chromium shows the webmail. Dovecot's
# IMAP server and Courier's exclude each other.
SYSTEM_PACKAGES := $(TEST_PACKAGES) procmail courier-authdaemon courier-authlib-ldap courier-imap \
    courier-pop maildrop dovecot-core dovecot-lmtpd dovecot-ldap roundcube-core roundcube-sqlite3 php-cli chromium \
    chromium-driver
# ip(8), tc(8), nsenter(1) and unshare(1).
MACHINES_PACKAGES := $(TEST_PACKAGES) iproute2 util-linux
# What debian/control asks for, and a Debian in a folder.
DEB_PACKAGES := dpkg-dev debhelper dh-python pybuild-plugin-pyproject python3-all python3-hatchling
NSPAWN_PACKAGES := $(DEB_PACKAGES) debootstrap systemd-container procps
# Debian's python3 comes without these; another python3 on PATH has them.
PYTHON_PACKAGES := python3 python3-venv python3-dev
# The address of bonsai's headers is asked of Python, so that a Python without them is noticed before pip does.
PYTHON_COMPLETE := import ensurepip, pathlib, sysconfig; pathlib.Path(sysconfig.get_path('include'), 'Python.h').stat()

help:
	@sed -n '3,/^#$$/s/^# *//p' Makefile

demo: $(if $(MAIL),mail,demo)-packages $(VENV)/demo
	@exec $(RUN) -m vmaild demo $(if $(ONCE),--once) $(if $(MAIL),--mail) $(if $(PORT),--port $(PORT))

# Two files at a time: most tests wait for servers.
test: test-packages lint
	$(RUN) -m pytest -q -n 2 --dist loadfile

quick: $(VENV)/test
	$(VENV)/bin/ruff check -q .
	$(RUN) -m pytest -q --quick -r fE -n 2 -m 'not slow and not system'

# Processes that the tests start are measured too, as are those of xdist.
coverage: test-packages $(VENV)/test
	$(RUN) -m coverage erase
	$(RUN) -m coverage run -m pytest -q -n 2 --dist loadfile
	$(RUN) -m coverage combine -q
	$(RUN) -m coverage report > coverage.txt || { cat coverage.txt; exit 1; }
	tail -n 1 coverage.txt

mutants: SAMPLE := 150
mutants: $(VENV)/mutants
	$(RUN) -m tests.mutants --sample $(SAMPLE) $(PARTS)

manual: $(VENV)/test
	$(RUN) -m vmaild.manual

release: test-packages deb-packages $(VENV)/test
	rm -rf dist
	$(RUN) -m build -q --outdir dist .
	systemd/debian/build dist
	$(RUN) -m tests.release dist $(if $(REHEARSAL),--rehearsal)
	ls -l dist

# The marker system is what `make test` leaves out; here everything of the folder runs.
system: system-packages $(VENV)/test
	$(RUN) -m pytest -q -m '' --durations=0 --durations-min=1 tests/system

machines: machines-packages $(VENV)/test
	$(RUN) -m pytest -q -m '' tests/machines

chaos: SECONDS := 300
chaos: test-packages $(VENV)/test
	$(RUN) -m tests.directory.chaos --seconds $(SECONDS)
	$(RUN) -m tests.feed.chaos --seconds $(SECONDS)

soak: SECONDS := 600
soak: OUTPUT := soak-results
soak: test-packages $(VENV)/test
	$(RUN) -m tests.soak --seconds $(SECONDS) --output $(OUTPUT)

fuzz: SECONDS := 60
fuzz: test-packages $(VENV)/fuzz
	for target in requests replies values admin lines changes snapshot settings configuration; do
	    echo "$$target"
	    log=$$(mktemp)
	    $(RUN) -m tests.fuzz $$target $(SECONDS) > $$log 2>&1 || { tail -n 40 $$log; exit 1; }
	    grep -E 'Done|cov:' $$log | tail -n 2
	    rm $$log
	done

newer-slapd: newer-slapd-packages $(VENV)/test
	@tests/support/run_newer_slapd $(RUN)

# DEBIAN: other Debians than this one, each with its own Python, slapd and Postfix, in a tree that is made once.
# CELLS: only these (`$(PYTHON) -m tests.matrix --list`); ARGS: for pytest.
matrix: test-packages $(if $(DEBIAN),nspawn-packages)
	@$(PYTHON) -m tests.matrix $(CELLS:%=--cell=%) $(DEBIAN:%=--debian=%) --packages '$(TEST_PACKAGES) $(BENCH_PACKAGES) $(PYTHON_PACKAGES)' $(ARGS)

measure: test-packages $(VENV)/test
	$(RUN) -m benchmarks measure $(if $(ONLY),--only $(ONLY))

figures: $(VENV)/test
	$(RUN) -m benchmarks figures benchmarks/results

deb: deb-packages
	@systemd/debian/build dist

# The Debian in TREE is made once; delete it to have a newer one.
nspawn: nspawn-packages
	@tests/nspawn/run

# In the Debian that `make nspawn` has made, on a copy.
papers: test-packages nspawn-packages $(VENV)/test
	@$(RUN) -m tests.manual.run_commands

lint: test-packages $(VENV)/test
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage coverage.txt papers.txt mutants-results matrix-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment is made again only when pyproject.toml or Python has changed.
$(VENV)/demo: WANTED := .
$(VENV)/test: WANTED := .[dev,bench]
$(VENV)/fuzz: WANTED := .[dev,fuzz]
$(VENV)/mutants: WANTED := .[dev,mutants]
$(VENV)/demo $(VENV)/test $(VENV)/fuzz $(VENV)/mutants: .FORCE
	@mark=$$(cat pyproject.toml <($(PYTHON) -VV) | sha256sum)
	if [ -x $(RUN) ] && [ "$$(cat $@ 2>/dev/null)" = "$$mark" ]; then exit 0; fi
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vmaild needs Python 3.11 or newer")'
	[ -x $(RUN) ] && $(RUN) -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(RUN) -m pip install -q --disable-pip-version-check -e '$(WANTED)'
	echo "$$mark" > $@

.FORCE:

demo-packages: PACKAGES := $(DEMO_PACKAGES)
mail-packages: PACKAGES := $(MAIL_PACKAGES)
test-packages: PACKAGES := $(TEST_PACKAGES) $(BENCH_PACKAGES)
system-packages: PACKAGES := $(SYSTEM_PACKAGES)
machines-packages: PACKAGES := $(MACHINES_PACKAGES)
newer-slapd-packages: PACKAGES := $(TEST_PACKAGES) debootstrap
deb-packages: PACKAGES := $(DEB_PACKAGES)
nspawn-packages: PACKAGES := $(NSPAWN_PACKAGES)
demo-packages mail-packages test-packages system-packages machines-packages newer-slapd-packages deb-packages nspawn-packages:
	@command -v dpkg-query > /dev/null || exit 0
	wanted="$(PACKAGES)"
	$(PYTHON) -c "$(PYTHON_COMPLETE)" 2>/dev/null || wanted="$$wanted $(PYTHON_PACKAGES)"
	missing=
	for package in $$wanted; do
	    dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"
	done
	[ -n "$$missing" ] || exit 0
	if [ "$$(id -u)" != 0 ]; then
	    echo "These Debian packages are missing; install them as root, then run make again:" >&2
	    echo "  apt-get install --no-install-recommends$$missing" >&2
	    exit 1
	fi
	# Until this is done, policy-rc.d keeps the packages from starting their services.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $$policy ]; then
	    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	    printf '#!/bin/sh\nexit 101\n' > $$policy
	    chmod 755 $$policy
	fi
	export DEBIAN_FRONTEND=noninteractive
	case "$$missing " in *" slapd "*)
	    echo "slapd slapd/no_configuration boolean true" | debconf-set-selections;;
	esac
	case "$$missing " in *" postfix "*)
	    echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections;;
	esac
	case "$$missing " in *" roundcube-core "*)
	    echo "roundcube-core roundcube/dbconfig-install boolean false" | debconf-set-selections;;
	esac
	echo "Installing$$missing"
	apt-get -q -y update > /dev/null
	apt-get -q -y install --no-install-recommends $$missing > /dev/null
	# Nor shall they start at the next boot.
	for service in slapd postfix memcached prometheus courier-authdaemon courier-imap courier-pop dovecot-core; do
	    case "$$missing " in *" $$service "*) update-rc.d $${service%-core} disable > /dev/null;; esac
	done
