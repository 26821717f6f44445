# SPDX-License-Identifier: BSD-2-Clause
#
# The deterministic simulation (tests/sim/): latchd's own objects, the programs of bpf/ compiled for
# this machine, and the simulated world. The linker puts its doors in place of latchd's.

SIM_SRC  := $(sort $(wildcard tests/sim/*.c tests/sim/doors/*.c)) \
	    tests/sim/kernel/table.c tests/sim/kernel/helpers.c
SIM_BPF  := $(addprefix bpf/,control/control db/audit db/latch_release db/maps db/pair db/rules gate/audit \
	    gate/drop gate/flow_check gate/new_flow gate/peer_terms gate/refusal gate/served \
	    gate/wish watch/sa_watch watch/spd_watch)
SIM_OBJ  := $(call obj,$(SIM_SRC))
SIM_HEADERS := $(wildcard bpf/*/*.h include/*.h tests/sim/kernel/include/bpf/*.h)
SIM_PROGRAMS := $(SIM_BPF:%=$(BUILD)/sim/%.o) $(BUILD)/sim/traffic.o
SIM_WRAP := malloc calloc realloc reallocarray free exit epoll_wait clock_gettime connect \
	    inotify_init1 getsockopt keyed_hash_new_key loop_stop_on_signals netlink_open netlink_request \
	    bpf_prog_test_run_opts libbpf_num_possible_cpus \
	    $(addprefix bpf_map_,get_info_by_fd lookup_elem get_next_key update_elem delete_elem \
	    lookup_batch) $(addprefix ring_buffer__,new free epoll_fd consume)
# The warnings of these sources are those of their own compilation.
SIM_BPF_CFLAGS = -std=gnu11 -w -fno-strict-aliasing -Itests/sim/kernel/include -Iinclude -Ibpf -Itests/sim \
	    -Ivmlinux/$(ARCH) $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(CFLAGS) -fPIE

$(SIM_OBJ): EXTRA_CFLAGS := -Itests/sim

$(BUILD)/sim/%.o: %.bpf.c $(SIM_HEADERS) $(BUILD)/.flags
	@mkdir -p $(@D)
	$(call msg,CC,$< (sim))$(CC) $(SIM_BPF_CFLAGS) -c $< -o $@
$(BUILD)/sim/traffic.o: tests/sim/kernel/traffic.c tests/sim/kernel/traffic.h $(SIM_HEADERS) \
		$(BUILD)/.flags
	@mkdir -p $(@D)
	$(call msg,CC,$< (sim))$(CC) $(SIM_BPF_CFLAGS) -c $< -o $@

$(BUILD)/tests/sim: $(SIM_OBJ) $(SIM_PROGRAMS) $(LIBLATCHD) $(LIBCOMMON)
	$(call link,$(SIM_WRAP:%=-Wl$(,)--wrap=%))

-include $(SIM_OBJ:.o=.d)

.PHONY: sim $(BUILD)/tests/unit/test_sim $(BUILD)/tests/unit/test_latchd_options

sim: $(BUILD)/tests/sim ## latchd against a simulated kernel and charon: SEEDS=5000 FROM=1; SEED=N replays one
	$(Q)BUILD='$(BUILD)' tests/sim/run $(if $(SEED),--seed '$(SEED)','$(or $(FROM),1)' '$(or $(SEEDS),5000)')

tests: $(BUILD)/tests/sim
# tests/unit/tools/test_sim.py runs it: for tools/mutation.
$(BUILD)/tests/unit/test_sim: $(BUILD)/tests/sim

# tests/unit/latchd/test_latchd_options.py, the same.
$(BUILD)/tests/unit/test_latchd_options: $(BUILD)/latchd

# Unit tests of the same programs, without latchd and without the simulated world.
$(addprefix $(BUILD)/tests/unit/,test_sa_watch test_sa_watch_races test_sa_epochs test_accepted): $(SIM_PROGRAMS) $(call obj,tests/sim/kernel/table.c \
	    tests/sim/kernel/helpers.c)
