# SPDX-License-Identifier: BSD-2-Clause
#
# `make help` lists the targets. All output goes to build/.
#
#   make V=1                 show the commands
#   make BUILD=DIR           another output directory
#   make CC=clang            another compiler (gcc 12 and clang 14 are tried)
#   make SANITIZE=address,undefined BUILD=build/asan unit
#   make unit UNIT=test_x    only these test programs
#   make vm VM=ARGUMENTS     arguments for tests/vm/run
#   make check ROOM=sa       the unit tests of a room and the scenarios that touch it
#   make check SHARD=1/3     a third of the tests; the shards together are the whole
#   make fuzz FUZZ=fuzz_vici SECONDS=600   only these fuzz targets, longer than 10 s each
#   make chaos CHAOS=chaos_key_manager SEED=7 EVENTS=1000000   these programs, another or longer run

VERSION := 0.1.0

BUILD    ?= build
CFLAGS   ?= -O2 -g
SANITIZE ?=
SECONDS  ?= 10
DESTDIR  ?=
PREFIX   ?= /usr/local

CC         := $(if $(filter default,$(origin CC)),gcc,$(CC))
CLANG      ?= clang
PKG_CONFIG ?= pkg-config
# Debian has it in /usr/sbin, which is not on every user's PATH.
BPFTOOL    ?= $(firstword $(shell PATH="$$PATH:/usr/sbin:/sbin" command -v bpftool) bpftool)
ARCH       := $(patsubst amd64,x86_64,$(shell uname -m))

MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

ifeq ($(V),1)
Q   :=
msg :=
else
Q   := @
msg = @printf '  %-6s %s\n' $(1) '$(2)';
endif

# ---------------------------------------------------------------- sources

LATCHD_SRC  := $(sort $(shell find user/latchd -name '*.c'))
CTL_SRC     := $(sort $(wildcard user/latchctl/*.c))
COMMON_SRC  := $(sort $(wildcard user/common/*.c))
UNIT_SRC    := $(sort $(shell find tests/unit -name 'test_*.c'))
FAKE_SRC    := $(sort $(wildcard tests/fake/*.c))
FUZZ_SRC    := $(sort $(wildcard tests/fuzz/fuzz_*.c))
CHAOS_SRC   := $(sort $(wildcard tests/chaos/chaos_*.c))
VMTOOL_SRC  := $(sort $(wildcard tests/vm/tools/*.c))
# Of latchctl.
CTL_BPF     := bpf/count_wishes.bpf.c
# The definitions first: libbpf 1.4 misplaces maps that are linked before they are defined.
LATCHD_BPF  := $(wildcard bpf/db/maps.bpf.c) \
	       $(filter-out bpf/db/maps.bpf.c,$(sort $(wildcard bpf/*/*.bpf.c)))
# The programs alone, and the attack without latchd and with it.
FAST_SCENARIOS := kernel-gate attack-without-latchd attack

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

SKELETONS := $(if $(LATCHD_BPF),$(BUILD)/bpf/latchd.skel.h) $(BUILD)/bpf/count_wishes.skel.h
LIBCOMMON := $(BUILD)/libcommon.a
LIBLATCHD := $(BUILD)/liblatchd.a
LIBCTL    := $(BUILD)/liblatchctl.a
LIBFAKE   := $(if $(FAKE_SRC),$(BUILD)/tests/libfake.a)
# Not part of latchd: for applications.
LIBRARY_SRC := $(sort $(wildcard user/liblatch/*.c))
LIBRARY   := $(BUILD)/liblatch.a $(BUILD)/liblatch.so.1 $(BUILD)/liblatch.pc
PROGRAMS  := $(if $(filter %/main.c,$(LATCHD_SRC)),$(BUILD)/latchd) \
	     $(if $(filter %/main.c,$(CTL_SRC)),$(BUILD)/latchctl)
UNIT_BIN  := $(patsubst %.c,$(BUILD)/tests/unit/%,$(notdir $(UNIT_SRC)))
FUZZ_OUT  := $(BUILD)/fuzz
FUZZ_BIN  := $(patsubst tests/fuzz/%.c,$(FUZZ_OUT)/%,$(FUZZ_SRC))
CHAOS_BIN := $(patsubst tests/chaos/%.c,$(BUILD)/chaos/%,$(CHAOS_SRC))
BENCH_BIN   := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
VMTOOLS   := $(patsubst tests/vm/tools/%.c,$(BUILD)/tests/vm/%,$(VMTOOL_SRC)) \
	     $(BUILD)/tests/vm/abi.bpf.o $(BUILD)/tests/vm/outer_identity.so

# Of other languages: neither `make` nor `make check` needs their compilers.
BINDINGS  := $(BUILD)/tests/vm/ask_rust $(BUILD)/tests/vm/ask_go
RUSTC     ?= rustc
GO        ?= go

# ---------------------------------------------------------------- flags

# Asked of pkg-config on first use, once: `make check` installs it first.
once = $(eval $(1) := $(2))$($(1))
LIB_CFLAGS = $(call once,LIB_CFLAGS,$(shell $(PKG_CONFIG) --cflags $(LIB_NAMES)))
LIB_LIBS   = $(call once,LIB_LIBS,$(shell $(PKG_CONFIG) --libs $(LIB_NAMES)))
LIB_NAMES := libbpf libelf zlib libmnl inih libcrypto json-c
BPF_SYSTEM_INCLUDES = $(call once,BPF_SYSTEM_INCLUDES,$(shell \
	$(CLANG) -v -E -x c /dev/null 2>&1 >/dev/null | \
	sed -n '/<...> search starts here:/,/End of search list/s|^ \(/.*\)|-idirafter \1|p'))

WARNINGS  := -Wall -Wextra -Werror -Wformat=2 -Wshadow -Wstrict-prototypes \
	     -Wmissing-prototypes
HARDENING := $(if $(SANITIZE),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2) \
	     -fstack-protector-strong -fPIE
ALL_CFLAGS = -std=gnu11 $(WARNINGS) $(HARDENING) \
	     -ffile-prefix-map=$(CURDIR)=. \
	     $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer) \
	     -D_GNU_SOURCE -DLATCHD_VERSION='"$(VERSION)"' \
	     -Iinclude -Iuser -I$(BUILD)/bpf $(LIB_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed \
	     $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)

BPF_ARCH_x86_64  := x86
BPF_ARCH_aarch64 := arm64
# The programs read keys in words, whatever the types of their members: no rules of aliasing.
BPF_CFLAGS = -target bpf -O2 -g -mcpu=v3 -fno-strict-aliasing -Wall -Werror \
	     -ffile-prefix-map=$(CURDIR)=. \
	     -D__TARGET_ARCH_$(BPF_ARCH_$(ARCH)) \
	     -Iinclude -Ibpf -Ivmlinux/$(ARCH) $(BPF_SYSTEM_INCLUDES)

# ---------------------------------------------------------------- targets

.PHONY: all setup tests vm-tests bindings unit vm check check-fast conformance conformance-table field mutation fuzz fuzz-build chaos chaos-build bench demo lint install clean help FORCE

all: $(SKELETONS) $(LIBCOMMON) $(LIBLATCHD) $(PROGRAMS) $(LIBRARY) ## build latchd, latchctl and liblatch (default)

setup: ## install what building and testing needs (root, Debian 12)
	$(Q)tools/setup test

tests: vm-tests $(UNIT_BIN) ## build the unit tests and the test VMs' tools

vm-tests: all $(VMTOOLS) ## build what the test VMs run

bindings: $(BINDINGS) ## build the Go package and the Rust crate, with their examples

unit: tests ## build and run the unit tests
	$(Q)UNIT='$(UNIT)' BUILD='$(BUILD)' tools/make/check unit

vm: ## boot kernels and run the VM tests (root, no KVM needed)
	+$(Q)VM='$(VM)' BUILD='$(BUILD)' MAKE='$(MAKE)' tools/make/check setup build vm

check: ## everything: set-up, lint, build, unit tests, fuzz, chaos, VM tests, one closing line
	+$(Q)RUN=check UNIT= VM= ROOM='$(ROOM)' SHARD='$(SHARD)' BUILD='$(BUILD)' MAKE='$(MAKE)' \
		tools/make/check setup lint build unit fuzz chaos vm

check-fast: ## for the inner loop: lint, unit tests and three scenarios
	+$(Q)UNIT= VM='$(FAST_SCENARIOS)' BUILD='$(BUILD)' MAKE='$(MAKE)' \
		tools/make/check lint build unit vm

conformance: ## everything on every kernel (hours), then docs/conformance.md
	+$(Q)RUN=conformance LATCHD_S38_NATIVE="$${LATCHD_S38_NATIVE:-1000000}" \
		UNIT_TIMEOUT="$${UNIT_TIMEOUT:-600}" UNIT= VM=--all ROOM= SHARD= BUILD='$(BUILD)' MAKE='$(MAKE)' \
		tools/make/check setup build unit vm table

field: ## real networks without latchd and with it, side by side, then build/field
	+$(Q)SETUP=field UNIT= VM=--field ROOM= SHARD= BUILD='$(BUILD)' MAKE='$(MAKE)' \
		tools/make/check setup build bindings vm field

conformance-table: ## docs/conformance.md from the results that are there
	$(Q)BUILD='$(BUILD)' tools/conformance --keep

mutation: setup ## break the product on purpose: is each caught? MUTATION='--unit' or names: a part
	$(Q)BUILD='$(BUILD)' tools/mutation $(MUTATION)

fuzz: fuzz-build ## fuzz the parsers and the feed, each for SECONDS=10; FUZZ='fuzz_x': a part
	$(Q)BUILD='$(BUILD)' tests/fuzz/run --seconds '$(SECONDS)' $(FUZZ)

fuzz-build: $(FUZZ_BIN) $(FUZZ_OUT)/seeds

chaos: chaos-build ## contradictory key managers, no memory, hostile clients: SEED=1 EVENTS=; CHAOS='chaos_x': a part (root)
	$(Q)BUILD='$(BUILD)' tests/chaos/run $(if $(SEED),--seed '$(SEED)') \
		$(if $(EVENTS),--events '$(EVENTS)') $(CHAOS)

chaos-build: $(CHAOS_BIN)

bench: all $(BENCH_BIN) ## what the cgroup gate costs a packet (root); BENCH='other/latchd.bpf.o': beside it
	$(Q)BUILD='$(BUILD)' tests/bench/run $(BENCH)

demo: setup ## the attack with and without latchd; NATIVE=1 without a VM
	+$(Q)$(MAKE) all $(VMTOOLS)
	$(Q)BUILD='$(BUILD)' NATIVE='$(NATIVE)' tools/demo

lint: ## layers, words, format, shellcheck, licence lines; STYLE=1 formats the C files
	$(Q)STYLE='$(STYLE)' tools/make/lint

install: all ## install to DESTDIR and PREFIX (default /usr/local)
	$(Q)DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' BUILD='$(BUILD)' tools/make/install

clean: ## remove the build directory
	$(Q)rm -rf '$(BUILD)'

help: ## this list
	$(Q)awk -F ' *## *' '/^[a-z-]+:.*## / { sub(/:.*/, "", $$1); \
		printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---------------------------------------------------------------- probes

# Prerequisites of every compilation, so that a missing tool is one clear line.
PROBED      := $(BUILD)/.probed-build
PROBED_UNIT := $(BUILD)/.probed-unit
PROBED_FUZZ := $(BUILD)/.probed-fuzz
PROBED_VM   := $(BUILD)/.probed-vm

$(BUILD)/.probed-%: tools/make/probe
	@mkdir -p $(@D)
	$(Q)CC='$(CC)' CLANG='$(CLANG)' BPFTOOL='$(BPFTOOL)' ARCH='$(ARCH)' \
		PKG_CONFIG='$(PKG_CONFIG)' tools/make/probe $*
	@touch $@

# Other flags rebuild all; another list of sources links again.
define write_if_changed
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || \
		printf '%s\n' '$(subst ','\'',$(1))' > $@
endef

$(BUILD)/.flags: FORCE | $(PROBED)
	$(call write_if_changed,$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(CLANG) $(BPF_CFLAGS))

$(BUILD)/.list-%: FORCE
	$(call write_if_changed,$($*))

# ---------------------------------------------------------------- BPF

# The parts have their own folder: linking them makes latchd.bpf.o, a name
# that a source may have too.
$(BUILD)/bpf/parts/%.bpf.o: bpf/%.bpf.c $(BUILD)/.flags | $(PROBED)
	@mkdir -p $(@D)
	$(call msg,BPF,$<)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/bpf/latchd.bpf.o: $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/parts/%.bpf.o,$(LATCHD_BPF)) \
			   $(BUILD)/.list-LATCHD_BPF
	$(call msg,BPFLD,$@)$(BPFTOOL) gen object $@ $(filter %.bpf.o,$^)

$(BUILD)/bpf/count_wishes.bpf.o: $(BUILD)/bpf/parts/count_wishes.bpf.o
	$(call msg,BPFLD,$@)$(BPFTOOL) gen object $@ $<

# Its BTF names the types that scenarios read and latchd.bpf.o lacks; it is never loaded.
$(BUILD)/tests/vm/abi.bpf.o: tests/vm/lib/abi.bpf.c $(BUILD)/.flags | $(PROBED)
	@mkdir -p $(@D)
	$(call msg,BPF,$<)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call msg,SKEL,$@)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

# ---------------------------------------------------------------- user space

$(BUILD)/obj/%.o: %.c $(BUILD)/.flags | $(PROBED)
	@mkdir -p $(@D)
	$(call msg,CC,$<)$(CC) $(ALL_CFLAGS) $(EXTRA_CFLAGS) -MMD -MP -c $< -o $@

$(call obj,$(LATCHD_SRC) $(CTL_SRC) $(UNIT_SRC) $(FAKE_SRC)): | $(SKELETONS)
$(call obj,$(UNIT_SRC) $(FAKE_SRC)): EXTRA_CFLAGS := -Itests -Itests/unit/lib -Ibpf
# Some of these compile the text of programs: BPF_CFLAGS.
$(call obj,$(filter tests/unit/bpf/%,$(UNIT_SRC))): EXTRA_CFLAGS := -Itests -Itests/unit/lib -Ibpf \
		-fno-strict-aliasing
$(call obj,$(UNIT_SRC)): | $(PROBED_UNIT)

# Appending, since two folders may hold files of one name.
define archive
	@mkdir -p $(@D)
	@rm -f $@
	$(call msg,AR,$@)ar qcs $@ $(filter %.o,$^)
endef

$(LIBCOMMON): $(call obj,$(COMMON_SRC)) $(BUILD)/.list-COMMON_SRC
	$(archive)
$(LIBLATCHD): $(call obj,$(filter-out %/main.c,$(LATCHD_SRC))) $(BUILD)/.list-LATCHD_SRC
	$(archive)
$(LIBCTL): $(call obj,$(filter-out %/main.c,$(CTL_SRC))) $(BUILD)/.list-CTL_SRC
	$(archive)
$(BUILD)/tests/libfake.a: $(call obj,$(FAKE_SRC)) $(BUILD)/.list-FAKE_SRC
	$(archive)

# For shared objects: position-independent, and with nothing of this tree but its own headers.
$(call obj,$(LIBRARY_SRC)): EXTRA_CFLAGS := -fPIC -Iuser/liblatch
$(BUILD)/liblatch.a: $(call obj,$(LIBRARY_SRC)) $(BUILD)/.list-LIBRARY_SRC
	$(archive)
$(BUILD)/liblatch.so.1: $(call obj,$(LIBRARY_SRC)) user/liblatch/liblatch.map
	$(call msg,LD,$@)$(CC) $(ALL_CFLAGS) -fPIC -shared -Wl,-soname,liblatch.so.1 \
		-Wl,--version-script=user/liblatch/liblatch.map -Wl,-z,relro,-z,now -Wl,-z,defs \
		$(LDFLAGS) -o $@ $(filter %.o,$^)
# `make install` writes PREFIX: it may be another one then.
$(BUILD)/liblatch.pc: user/liblatch/liblatch.pc.in Makefile
	$(call msg,GEN,$@)sed 's|@VERSION@|$(VERSION)|' $< >$@

# The example of each. No network, and nothing is written beside the sources.
RUST_FLAGS := --edition 2021 -O -D warnings
$(BUILD)/bindings/liblatch.rlib: user/liblatch/rust/src/lib.rs
	@mkdir -p $(@D)
	$(call msg,RUSTC,$@)MAKEFLAGS= $(RUSTC) $(RUST_FLAGS) --crate-type rlib --crate-name latch -o $@ $<
$(BUILD)/tests/vm/ask_rust: user/liblatch/rust/examples/ask.rs $(BUILD)/bindings/liblatch.rlib
	@mkdir -p $(@D)
	$(call msg,RUSTC,$@)MAKEFLAGS= $(RUSTC) $(RUST_FLAGS) --extern latch=$(BUILD)/bindings/liblatch.rlib -o $@ $<
$(BUILD)/tests/vm/ask_go: $(wildcard user/liblatch/go/*.go user/liblatch/go/*/*.go) user/liblatch/go/go.mod
	@mkdir -p $(@D)
	$(call msg,GO,$@)cd user/liblatch/go && CGO_ENABLED=0 GO111MODULE=on GOPROXY=off GOFLAGS=-mod=readonly \
		GOCACHE=$(abspath $(BUILD))/bindings/go $(GO) build -buildvcs=false -o $(abspath $@) ./example

define link
	@mkdir -p $(@D)
	$(call msg,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ \
		$(filter %.o,$^) $(filter %.a,$^) $(1) $(LIB_LIBS)
endef

$(BUILD)/latchd: $(call obj,user/latchd/main.c) $(LIBLATCHD) $(LIBCOMMON)
	$(call link)
$(BUILD)/latchctl: $(call obj,user/latchctl/main.c) $(LIBCTL) $(LIBCOMMON) $(BUILD)/liblatch.a
	$(call link)
$(BUILD)/tests/vm/outer_identity.so: tests/vm/tools/preload/outer_identity.c
	@mkdir -p $(@D)
	$(call msg,LD,$@)$(CC) $(ALL_CFLAGS) -fPIC -shared -o $@ $<
# Programs of the unit tests lie in one folder: their names are unique.
define unit_program
$(BUILD)/tests/unit/$(basename $(notdir $(1))): $(call obj,$(1)) $(LIBFAKE) $(LIBLATCHD) \
		$(LIBCTL) $(LIBCOMMON) $(BUILD)/liblatch.a
	$$(call link,-lcriterion)
endef
$(foreach source,$(UNIT_SRC),$(eval $(call unit_program,$(source))))
$(BUILD)/tests/unit/test_api_fuzz: | $(BUILD)/tests/vm/ask_fuzz
$(BUILD)/tests/unit/test_liblatch $(BUILD)/tests/unit/test_liblatch_wish: | $(BUILD)/liblatch.so.1
$(filter-out %.bpf.o %.so %/capture,$(VMTOOLS)): $(BUILD)/tests/vm/%: $(BUILD)/obj/tests/vm/tools/%.o $(LIBLATCHD) $(LIBCOMMON)
	$(call link)
$(BUILD)/obj/tests/vm/tools/capture.o: | $(PROBED_VM)
$(BUILD)/tests/vm/capture: $(BUILD)/obj/tests/vm/tools/capture.o
	$(call link,-lpcap)

$(BENCH_BIN): $(BUILD)/bench/%: $(call obj,tests/bench/%.c)
	$(call link)

# ---------------------------------------------------------------- fuzz targets

# Always clang, whose libFuzzer they need, with objects of their own. A function after --wrap= is
# replaced by that of the target; see the file of the target.
FUZZ_CFLAGS = -std=gnu11 $(WARNINGS) -Wno-format-nonliteral -O1 -g -fno-omit-frame-pointer \
	     -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
	     -ffile-prefix-map=$(CURDIR)=. -D_GNU_SOURCE -DLATCHD_VERSION='"$(VERSION)"' \
	     -Iinclude -Iuser -Itests -Itests/unit/lib $(LIB_CFLAGS)
FUZZ_LINK = $(CLANG) -fsanitize=$(1)address,undefined -o $@ \
	     $(filter %.o,$^) $(filter %.a,$^) $(addprefix -Wl$(,)--wrap=,$(FUZZ_WRAP)) $(LIB_LIBS)
fuzz_obj  = $(patsubst %.c,$(FUZZ_OUT)/obj/%.o,$(1))
, := ,

# The skeletons are of no use here: the programs are not fuzzed.
FUZZED_SRC := $(filter-out %/main.c %/purge_wishes.c user/latchd/enforce/% user/latchd/daemon%, \
	      $(COMMON_SRC) $(LATCHD_SRC) $(CTL_SRC) $(LIBRARY_SRC))
FUZZ_HELP_SRC := tests/fuzz/artifacts.c tests/fuzz/virtual_loop.c tests/fuzz/seeds.c tests/fake/vici_json.c

$(call fuzz_obj,$(FUZZED_SRC) $(FUZZ_SRC) $(FUZZ_HELP_SRC)): $(BUILD)/.list-FUZZ_CFLAGS \
		| $(PROBED) $(PROBED_FUZZ)
$(FUZZ_OUT)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call msg,CC,$< (fuzz))$(CLANG) $(FUZZ_CFLAGS) $(EXTRA_CFLAGS) -MMD -MP -c $< -o $@

$(FUZZ_OUT)/libfuzzed.a: $(call fuzz_obj,$(FUZZED_SRC)) $(BUILD)/.list-FUZZED_SRC
	$(archive)

$(FUZZ_BIN): $(FUZZ_OUT)/%: $(FUZZ_OUT)/obj/tests/fuzz/%.o $(FUZZ_OUT)/obj/tests/fuzz/artifacts.o \
		$(FUZZ_OUT)/libfuzzed.a Makefile
	$(call msg,LD,$@)$(call FUZZ_LINK,fuzzer$(,))

VIRTUAL_LOOP := epoll_wait clock_gettime
$(FUZZ_OUT)/fuzz_control $(FUZZ_OUT)/fuzz_feed: $(call fuzz_obj,tests/fuzz/virtual_loop.c)
$(FUZZ_OUT)/fuzz_control: FUZZ_WRAP := $(VIRTUAL_LOOP)
$(FUZZ_OUT)/fuzz_feed: FUZZ_WRAP := $(VIRTUAL_LOOP) connect inotify_init1
$(FUZZ_OUT)/fuzz_netlink: FUZZ_WRAP := netlink_open send recv explicit_bzero
$(FUZZ_OUT)/fuzz_identities: FUZZ_WRAP := $(addprefix bpf_map_,get_info_by_fd lookup_elem \
	get_next_key update_elem delete_elem lookup_batch)

$(FUZZ_OUT)/seeds: $(call fuzz_obj,tests/fuzz/seeds.c tests/fake/vici_json.c) $(FUZZ_OUT)/libfuzzed.a
	$(call msg,LD,$@)$(call FUZZ_LINK,)

# ---------------------------------------------------------------- chaos programs

# Criterion programs of the objects above: with ASan and UBSan, without the fuzzer.
CHAOS_HELP_SRC := $(filter user/latchd/enforce/%,$(LATCHD_SRC)) tests/fake/control_program.c

$(call fuzz_obj,$(CHAOS_SRC) $(CHAOS_HELP_SRC)): EXTRA_CFLAGS := -I$(BUILD)/bpf -Ibpf
$(call fuzz_obj,$(CHAOS_SRC) $(CHAOS_HELP_SRC)): $(BUILD)/.list-FUZZ_CFLAGS \
		| $(PROBED) $(PROBED_FUZZ) $(PROBED_UNIT) $(SKELETONS)

$(BUILD)/libchaos.a: $(call fuzz_obj,$(CHAOS_HELP_SRC)) $(BUILD)/.list-CHAOS_HELP_SRC
	$(archive)

$(CHAOS_BIN): $(BUILD)/chaos/%: $(FUZZ_OUT)/obj/tests/chaos/%.o $(BUILD)/libchaos.a \
		$(FUZZ_OUT)/libfuzzed.a $(BUILD)/.list-CHAOS_WRAP
	@mkdir -p $(@D)
	$(call msg,LD,$@)$(call FUZZ_LINK,) -lcriterion

CHAOS_WRAP := malloc calloc realloc reallocarray strdup strndup exit
$(BUILD)/chaos/chaos_memory: FUZZ_WRAP := $(CHAOS_WRAP)

-include $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/parts/%.bpf.d,$(LATCHD_BPF) $(CTL_BPF)) \
	$(BUILD)/tests/vm/abi.bpf.d
-include $(patsubst %.o,%.d,$(call fuzz_obj,$(FUZZED_SRC) $(FUZZ_SRC) $(FUZZ_HELP_SRC) \
	$(CHAOS_SRC) $(CHAOS_HELP_SRC)))

# ---------------------------------------------------------------- simulation

include tests/sim/sim.mk

-include $(patsubst %.o,%.d,$(call obj,$(LATCHD_SRC) $(CTL_SRC) $(COMMON_SRC) $(LIBRARY_SRC) \
	$(UNIT_SRC) $(FAKE_SRC) $(VMTOOL_SRC)))
