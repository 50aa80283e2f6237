# SPDX-License-Identifier: GPL-2.0-only
# Builds everything below build/. V=1 shows the commands. A new file in bpf/, user/lib, user/tpsctl,
# user/tpsd, tests/unit, tests/fuzz, tests/kernel or tests/bench is picked up by its place.
.DELETE_ON_ERROR:
.SUFFIXES:

CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
BUILD := build
VERSION := $(shell cat VERSION)
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
CPPFLAGS += -Iinclude -I$(BUILD) -D_GNU_SOURCE -DTPS_VERSION='"$(VERSION)"'
CFLAGS ?= -O2 -g
CFLAGS += -std=gnu11 $(WARN) -MMD -MP
LIBS := -lbpf -lelf -lz -ljansson -lyaml -lmnl
CURSES := -lncursesw -ltinfo
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -std=gnu11 -Wall -Wextra -Wno-unused-parameter \
	-Wno-address-of-packed-member -Iinclude -Ibpf -I/usr/include/$(MULTIARCH) -MMD -MP
# v3 atomics (cmpxchg) need nothing newer than Linux 5.12; 6.1 is the floor.

LIB_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard user/lib/*.c))
CTL_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard user/tpsctl/*.c))
DMN_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard user/tpsd/*.c))
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/*.c))
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/*.c))
TEST_LIB := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/lib/*.c))
KERNEL := $(patsubst tests/kernel/%.c,$(BUILD)/tests/kernel/%,$(wildcard tests/kernel/*.c))
BENCH := $(BUILD)/tests/bench/bench
BENCH_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(filter-out %.bpf.c,$(wildcard tests/bench/*.c)))
BENCH_BPF := $(patsubst tests/bench/%.bpf.c,$(BUILD)/tests/bench/%.skel.h,$(wildcard tests/bench/*.bpf.c))

.PHONY: all unit fuzz kernel-tests bench-build e2e-build headers clean demo test bench bench-refusal prove install uninstall deb
all: $(BUILD)/tps.bpf.o $(if $(CTL_OBJ),$(BUILD)/tpsctl) $(if $(DMN_OBJ),$(BUILD)/tpsd)

# ---- the gate
$(BUILD)/tps.bpf.o: bpf/tps.bpf.c Makefile | $(BUILD)/
	$(call say,BPF,$@)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MT $@ -MF $(BUILD)/tps.bpf.d -c $< -o $@
$(BUILD)/tps.skel.h: $(BUILD)/tps.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name tps_bpf > $@

# ---- user space
$(BUILD)/%.o: %.c Makefile VERSION | $(BUILD)/tps.skel.h
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -Iuser/lib $(CFLAGS) -c $< -o $@
$(BUILD)/user/lib/%.o: $(BUILD)/tps.skel.h
$(BUILD)/tests/lib/%.o: CPPFLAGS += -Itests
$(BUILD)/libtps.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^
$(BUILD)/tpsctl: $(CTL_OBJ) $(BUILD)/libtps.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(CTL_OBJ) $(BUILD)/libtps.a $(LIBS) $(CURSES) -lpcap -o $@
$(BUILD)/tpsd: $(DMN_OBJ) $(BUILD)/libtps.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(DMN_OBJ) $(BUILD)/libtps.a $(LIBS) -lmicrohttpd -o $@

# ---- tests
SAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
unit: $(UNIT)
# answer.h and splice.h are the gate's alone, and dual for tests; user space does not see bpf/.
$(BUILD)/tests/unit/% $(BUILD)/tests/kernel/%: private CPPFLAGS += -Ibpf
$(BUILD)/tests/unit/%: tests/unit/%.c Makefile | $(BUILD)/tests/unit/
	$(call say,UNIT,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests -Iuser/lib $(CFLAGS) -MT $@ -MF $@.d $(SAN) $< -lcmocka -o $@
# These are linked with the library, which the others only include parts of.
UNIT_LIB := $(addprefix $(BUILD)/tests/unit/,nic policy)
$(UNIT_LIB): $(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/libtps.a Makefile | $(BUILD)/tests/unit/
	$(call say,UNIT,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests -Iuser/lib $(CFLAGS) -MT $@ -MF $@.d $(SAN) $< $(BUILD)/libtps.a $(LIBS) -lcmocka -o $@
fuzz: $(FUZZ)
# What user space is made of, for the fuzz targets that go through all of it; main() is theirs.
SANITIZED := $(patsubst %.c,$(BUILD)/sanitized/%.o,$(wildcard user/lib/*.c))
SANITIZED_CTL := $(patsubst %.c,$(BUILD)/sanitized/%.o,$(wildcard user/tpsctl/*.c))
FUZZ_SAN := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
$(BUILD)/sanitized/%.o: %.c Makefile VERSION | $(BUILD)/tps.skel.h
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) -Iuser/lib $(CFLAGS) -Dmain=tpsctl_main -Wno-missing-prototypes -fsanitize=fuzzer-no-link,address,undefined \
		-fno-sanitize-recover=all -c $< -o $@
$(BUILD)/sanitized/user/lib/%.o: $(BUILD)/tps.skel.h
$(BUILD)/sanitized/libtps.a: $(SANITIZED)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^
$(BUILD)/tests/fuzz/policy: tests/fuzz/policy.c $(BUILD)/sanitized/libtps.a Makefile | $(BUILD)/tests/fuzz/
	$(call say,FUZZ,$@)
	$(Q)$(CLANG) $(CPPFLAGS) -Itests -Iuser/lib $(CFLAGS) -MT $@ -MF $@.d $(FUZZ_SAN) $< $(BUILD)/sanitized/libtps.a $(LIBS) -o $@
$(BUILD)/tests/fuzz/argv: tests/fuzz/argv.c $(SANITIZED_CTL) $(BUILD)/sanitized/libtps.a Makefile | $(BUILD)/tests/fuzz/
	$(call say,FUZZ,$@)
	$(Q)$(CLANG) $(CPPFLAGS) -Itests -Iuser/lib $(CFLAGS) -MT $@ -MF $@.d $(FUZZ_SAN) -Wl,--wrap=tps_gate_open,--wrap=tps_gate_make,--wrap=tps_secret_make \
		$< $(SANITIZED_CTL) $(BUILD)/sanitized/libtps.a $(LIBS) $(CURSES) -lpcap -o $@
$(BUILD)/tests/fuzz/%: tests/fuzz/%.c Makefile | $(BUILD)/tests/fuzz/
	$(call say,FUZZ,$@)
	$(Q)$(CLANG) $(CPPFLAGS) -Itests $(CFLAGS) -MT $@ -MF $@.d -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all $< -o $@
kernel-tests: $(KERNEL)
$(BUILD)/tests/kernel/%: tests/kernel/%.c $(TEST_LIB) $(BUILD)/libtps.a $(BUILD)/tps.skel.h Makefile | $(BUILD)/tests/kernel/
	$(call say,KTEST,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests -Iuser/lib $(CFLAGS) -MT $@ -MF $@.d $< $(TEST_LIB) $(BUILD)/libtps.a $(LIBS) -lcmocka -lpthread -o $@
bench-build: $(BENCH)
$(BUILD)/tests/bench/%.bpf.o: tests/bench/%.bpf.c Makefile
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MT $@ -MF $@.d -c $< -o $@
$(BUILD)/tests/bench/%.skel.h: $(BUILD)/tests/bench/%.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@
.PRECIOUS: $(BUILD)/tests/bench/%.bpf.o
$(BENCH_OBJ): CPPFLAGS += -Itests
$(BENCH_OBJ): $(BENCH_BPF)
$(BENCH): $(BENCH_OBJ) $(TEST_LIB) $(BUILD)/libtps.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@

# ---- what the lab and the end-to-end tests run: traffic generators, the client's XDP program
E2E := $(patsubst tests/e2e/%.c,$(BUILD)/tests/e2e/%,$(filter-out %.bpf.c,$(wildcard tests/e2e/*.c)))
E2E += $(patsubst tests/e2e/%.bpf.c,$(BUILD)/tests/e2e/%.bpf.o,$(wildcard tests/e2e/*.bpf.c))
e2e-build: $(E2E)
$(BUILD)/tests/e2e/%.bpf.o: tests/e2e/%.bpf.c Makefile
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MT $@ -MF $@.d -c $< -o $@
$(BUILD)/tests/e2e/%: tests/e2e/%.c Makefile | $(BUILD)/tests/e2e/
	$(call say,E2E,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MT $@ -MF $@.d $< -o $@

# ---- each header compiles alone, for its side; the dual ones for both
DUAL_HEADERS := $(wildcard include/tps/*.h bpf/answer.h bpf/splice.h)
BPF_HEADERS := $(wildcard bpf/*.h include/tps/*.h)
LIB_HEADERS := $(wildcard user/lib/*.h)
headers: | $(BUILD)/tps.skel.h
	$(Q)for h in $(DUAL_HEADERS) $(LIB_HEADERS); do \
		$(CC) $(CPPFLAGS) -Ibpf -Iuser/lib -std=gnu11 -Wall -Wextra -Wno-unused-function -Wno-unused-parameter \
			-fsyntax-only -include $$h -x c /dev/null || exit 1; done
	$(Q)for h in $(BPF_HEADERS); do \
		$(CLANG) $(filter-out -MMD -MP,$(BPF_CFLAGS)) -Wno-unused-function -fsyntax-only -include $$h -x c /dev/null || exit 1; done

# ---- where an installation puts what it is of; DESTDIR= stands before each, for packages
PREFIX ?= /usr/local
SBINDIR := $(PREFIX)/sbin
MANDIR := $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
COMPDIR := $(PREFIX)/share/bash-completion/completions
DOCDIR := $(PREFIX)/share/doc/tps
MANUALS := $(wildcard user/*/*.[58])
UNITS := tpsd.service run-tps-bpf.mount
EXAMPLES := packaging/tps.yaml
DOCS := README.md CHANGELOG.md $(wildcard docs/*.md)
to = $(addprefix $(DESTDIR)$(1)/,$(notdir $(2)))
INSTALLED := $(call to,$(SBINDIR),tpsctl tpsd) $(call to,$(MANDIR)/man5,$(filter %.5,$(MANUALS))) \
	$(call to,$(MANDIR)/man8,$(filter %.8,$(MANUALS))) $(call to,$(UNITDIR),$(UNITS)) \
	$(DESTDIR)$(COMPDIR)/tpsctl $(call to,$(DOCDIR),$(DOCS)) $(call to,$(DOCDIR)/examples,$(EXAMPLES))

install: all
	$(Q)install -d $(sort $(dir $(INSTALLED)))
	$(Q)install -m 755 $(BUILD)/tpsctl $(BUILD)/tpsd $(DESTDIR)$(SBINDIR)
	$(Q)for page in $(MANUALS); do \
		install -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.} || exit 1; done
	$(Q)sed 's|@SBINDIR@|$(SBINDIR)|' user/tpsd/tpsd.service.in >$(BUILD)/tpsd.service
	$(Q)install -m 644 $(BUILD)/tpsd.service user/tpsd/run-tps-bpf.mount $(DESTDIR)$(UNITDIR)
	$(Q)install -m 644 user/tpsctl/tpsctl.bash $(DESTDIR)$(COMPDIR)/tpsctl
	$(Q)install -m 644 $(DOCS) $(DESTDIR)$(DOCDIR)
	$(Q)install -m 644 $(EXAMPLES) $(DESTDIR)$(DOCDIR)/examples
# Programs and their pages alone: a gate that stands, its root and the secret are left as they are.
uninstall:
	$(Q)rm -f $(INSTALLED)
	$(Q)-rmdir $(DESTDIR)$(DOCDIR)/examples $(DESTDIR)$(DOCDIR) 2>/dev/null || true
deb: ; packaging/deb

# ---- what a person types
demo: ; scripts/demo
test: ; scripts/test
bench: ; scripts/bench
bench-refusal: ; scripts/bench-refusal
prove: ; scripts/test --prove

clean:
	rm -rf $(BUILD)
%/:
	@mkdir -p $@
.PRECIOUS: %/

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
