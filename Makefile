# make demo          draw from the model in examples/models; then train a small one on the embedded sprites (2
#                    minutes) and draw what it can be asked. Interrupted, it goes on the next time
# make model         train the model in examples/models anew (11 minutes)
# make web           build the page (emscripten); make check-web tries it in Chromium
# make test          all tests; the last line is "N passed, M failed"
# make examples      build every example
# make install       drl.h and drl.pc into PREFIX (/usr/local), below DESTDIR if that is given
# make bench         time every layer
# make check-all     the heavier checks (tests/CHECKS.md)
# make soak          100,000 steps and 10,000 files (a minute)
# make fuzz          every reader for a minute, with clang (tests/FUZZING.md)
# make coverage      lines and branches that the tests reach
# make bench-peers   oneDNN and PyTorch beside ours, where they are installed
# make parity-full   networks of the published size against PyTorch
# make ablation, make landscape: what the parts of CDRL are worth; energies of the plane against their density

CC      = cc
CXX     = c++
CFLAGS  = -O2
THREADS = 2
MAKEFLAGS += -j$(THREADS)
REFERENCE = $(wildcard ../shared/reference/drl-*.safetensors ../shared/reference/cdrl-*.safetensors)

EXAMPLES = $(patsubst examples/%.c,build/%,$(wildcard examples/*.c))
TESTS    = $(patsubst tests/%.c,build/%,$(wildcard tests/test_*.c))
COMMIT   = $(shell git describe --always --dirty 2>/dev/null || echo unknown)
HEADERS  = drl.h $(wildcard examples/*.h bench/*.h tests/*.h)

all: examples
examples: $(EXAMPLES)

# The library is compiled once: with -DDRL_LINKED a program's own DRL_IMPLEMENTATION does nothing. Each also
# compiles by itself (cc X.c -lm). Tests and bench.c look at private parts, so they compile the header, and of
# it only what they call (DRL_STATIC).
build/drl.o: drl.h
	@mkdir -p build
	$(CC) $(CFLAGS) -DDRL_THREADS -DDRL_IMPLEMENTATION -x c -c drl.h -o $@
LINKED = $(EXAMPLES) build/ablation build/evaluate build/landscape build/nearest build/sprites build/soak
$(LINKED): build/drl.o
build/%: examples/%.c $(HEADERS)
	$(CC) $(CFLAGS) -DDRL_THREADS -DDRL_LINKED $< build/drl.o -o $@ -lm
build/soak: tests/soak.c $(HEADERS)
	$(CC) $(CFLAGS) -DDRL_THREADS -DDRL_LINKED $< build/drl.o -o $@ -lm
build/ablation build/evaluate build/landscape build/nearest build/sprites: build/%: bench/%.c $(HEADERS)
	$(CC) $(CFLAGS) -DDRL_THREADS -DDRL_LINKED $< build/drl.o -o $@ -lm
build/%: tests/%.c $(HEADERS)
	@mkdir -p build
	$(CC) $(CFLAGS) -DDRL_STATIC -DDRL_THREADS $< -o $@ -lm
build/%: bench/%.c $(HEADERS)
	@mkdir -p build
	$(CC) $(CFLAGS) -DDRL_THREADS -DBENCH_COMMIT='"$(COMMIT)"' $< -o $@ -lm

# The set that only MinGW's gcc needs, where the kernels' own tests and the bits are looked at.
build/test_ops build/test_rng build/conformance: CFLAGS += -DDRL__FMA128

# What tests files, arguments and failures needs no fast kernels: it is built in half the time without them.
PLAIN = build/test_api build/test_failure build/test_io build/test_noise build/test_picture \
        build/test_run_log build/fuzz build/kill_train
$(PLAIN): build/%: tests/%.c $(HEADERS)
	@mkdir -p build
	$(CC) -O1 -DDRL_NO_SIMD -DDRL_STATIC -DDRL_THREADS $< -o $@ -lm

MINUTES = 1.5
demo: build/06_tiles build/03_sample
	build/03_sample $(MODEL) --count 60 --threads $(THREADS) --out build/shipped
	@resume=; [ -f build/demo.checkpoint ] && [ ! -f build/demo-compose.png ] && \
	  [ ! -f build/demo-compose.ppm ] && resume=--resume; \
	rm -f build/demo-compose.*; set -x; \
	  build/06_tiles --minutes $(MINUTES) --threads $(THREADS) --out build/demo $$resume

# The model that make demo and the page open with: 16,000 steps, 11 minutes of a core.
MODEL = examples/models/sprites.safetensors
model: build/06_tiles
	build/06_tiles --initializer 14 --steps 16000 --f16 --threads $(THREADS) --out build/sprites
	cp build/sprites.safetensors $(MODEL)

# The page: a static folder with nothing in it that comes from elsewhere. EMCC: Debian's emscripten.
EMCC = emcc
WEB  = index.html page.js style.css
web: build/web/drl.js $(WEB:%=build/web/%)
	@cp $(MODEL) build/web/
	@echo "build/web is ready: python3 -m http.server -d build/web, then open the address that it prints"
build/web/%: examples/web/%
	@mkdir -p build/web
	cp $< $@
build/web/drl.js: examples/web/page.c $(HEADERS)
	@mkdir -p build/web
	NODE_PATH=/usr/share/nodejs $(EMCC) -O2 -msimd128 $< -o $@ -sMODULARIZE=1 -sEXPORT_NAME=drl \
	  -sALLOW_MEMORY_GROWTH=1 -sENVIRONMENT=worker,node -sEXPORTED_RUNTIME_METHODS=UTF8ToString -sFILESYSTEM=0
check-web: web build/03_sample
	@sh tests/web.sh

# Runs every program, also after a failure, and adds up the lines "NAME: N passed, M failed".
LOGS = $(TESTS:%=%.log) build/parity.log build/conformance.log build/fuzz.log build/kill.log \
       build/install.log build/manual.log build/equations.log
test: $(LOGS)
	@cat $(LOGS) > build/test.log
	@sh tests/kernels.sh build/test.log > build/kernels.log; tail -n 4 build/kernels.log
	@cat build/kernels.log >> build/test.log
	@awk '/: [0-9]+ passed, [0-9]+ failed$$/ { p += $$(NF-3); f += $$(NF-1) } \
	  END { print p + 0 " passed, " f + 0 " failed"; exit f > 0 || p == 0 }' build/test.log

# What a program that crashes has not said itself.
FAILED = grep -q ' [1-9][0-9]* failed$$' $@ || echo "$<: 0 passed, 1 failed" >> $@
$(TESTS:%=%.log): %.log: % ALWAYS
	@$< > $@ 2>&1 || $(FAILED); grep -v '^kernels:' $@ | tail -n 25
build/parity.log: build/parity ALWAYS
	@if [ -n "$(strip $(REFERENCE))" ]; then $< $(REFERENCE) > $@ 2>&1 || $(FAILED); \
	  else echo "parity: no reference files, not run" > $@; fi; tail -n 3 $@
build/conformance.log: build/conformance ALWAYS
	@p=0; f=0; want=`sed -n 's/^All fused sets: .\([0-9a-f]*\).*/\1/p' tests/CONFORMANCE.md`; \
	for i in portable fma128 avx2 avx512 neon auto; do for t in 1 3; do \
	  got=`build/conformance --isa $$i --threads $$t` || continue; \
	  case "$$p $$i $$got" in "2 auto "*unfused*) \
	    got=$$want; echo "conformance: no fused set of vectors on this machine";; esac; \
	  if [ "$$got" = "$$want" ]; then p=$$((p+1)); else \
	    f=$$((f+1)); echo "conformance: $$i, $$t threads: $$got, not $$want"; fi; \
	done; done > $@; \
	  echo "conformance: $$p passed, $$f failed" >> $@; cat $@
build/fuzz.log: build/fuzz ALWAYS
	@{ $< --seeds build/corpus && $< build/corpus/*/* $(wildcard tests/corpus/*/*); } > $@ 2>&1 || \
	  echo "fuzz: 0 passed, 1 failed" >> $@; tail -n 3 $@
build/kill.log: build/kill_train ALWAYS
	@sh tests/kill.sh 5 build/kill_train > $@ 2>&1 || echo "kill: 0 passed, 1 failed" >> $@; tail -n 3 $@
build/install.log build/manual.log build/equations.log: build/%.log: tests/%.sh ALWAYS
	@mkdir -p build
	@CC="$(CC)" sh $< > $@ 2>&1 || $(FAILED); tail -n 3 $@
ALWAYS:

# BENCH: its words, as in make bench BENCH="--isa avx2 train"
bench: build/bench
	build/bench $(BENCH)

soak: build/soak
	build/soak

fuzz:
	@sh tests/fuzz.sh 60

# The peers are Debian's packages; a missing one is named, and the result is then a failure.
PEER_PYTHON = $(firstword \
  $(foreach p,python3 /usr/bin/python3,$(shell $p -c 'import torch' 2>/dev/null && echo $p)))
NO_TORCH    = PyTorch is not installed: apt-get install python3-torch libopenblas0-openmp
PEER_ISA    = $(shell grep -q avx512f /proc/cpuinfo 2>/dev/null && echo avx512) avx2
build/peers: bench/peers.c bench/bench.c drl.h
	@mkdir -p build
	$(CC) $(CFLAGS) -DDRL_THREADS bench/peers.c -o $@ -ldnnl -fopenmp -lm
bench-peers: build/bench
	@missing=0; \
	if echo '#include <oneapi/dnnl/dnnl.h>' | $(CC) -E -x c - >/dev/null 2>&1; then \
	  $(MAKE) --no-print-directory build/peers && for i in $(PEER_ISA); do for t in 1 2; do \
	    build/peers --isa $$i --threads $$t || exit 1; done; done || exit 1; \
	else echo "oneDNN is not installed: apt-get install libdnnl-dev"; missing=1; fi; \
	if [ -n "$(PEER_PYTHON)" ]; then $(PEER_PYTHON) bench/peers.py || exit 1; \
	else echo "$(NO_TORCH)"; missing=1; fi; exit $$missing

# A file of 465 MB and some minutes of a quiet core, more when chains meet kinks.
parity-full: build/parity
	@[ -n "$(PEER_PYTHON)" ] || { echo "$(NO_TORCH)"; exit 1; }
	$(PEER_PYTHON) bench/peers.py --write build/official.safetensors
	@for i in $(PEER_ISA); do build/parity --isa $$i build/official.safetensors || exit 1; done

# What each part of CDRL is worth, on a checkerboard: ten seeds of four variants.
ablation: build/ablation
	build/ablation

# KL of the data from trained energies of the plane, four ways to train them, ten seeds of three data sets:
# half an hour of one core.
landscape: build/landscape
	build/landscape

check-all:
	@sh tests/check-all.sh

coverage:
	@sh tests/coverage.sh

# For programs that say #include <drl.h> and ask pkg-config --cflags --libs drl.
PREFIX  = /usr/local
VERSION = $(shell sed -n 's/^.define DRL_VERSION_STRING "\(.*\)"$$/\1/p' drl.h)
install:
	mkdir -p "$(DESTDIR)$(PREFIX)/include" "$(DESTDIR)$(PREFIX)/share/pkgconfig"
	cp drl.h "$(DESTDIR)$(PREFIX)/include/drl.h"
	@printf '%s\n' 'prefix=$(PREFIX)' 'includedir=$${prefix}/include' '' 'Name: drl' \
	  'Description: Energy-based generative models by diffusion recovery likelihood' \
	  'Version: $(VERSION)' 'Cflags: -I$${includedir}' 'Libs: -lm' \
	  > "$(DESTDIR)$(PREFIX)/share/pkgconfig/drl.pc"
	@echo "$(DESTDIR)$(PREFIX)/share/pkgconfig/drl.pc: drl $(VERSION)"

clean:
	rm -rf build

.PHONY: all examples demo model web check-web test install bench soak fuzz check-all clean bench-peers \
  parity-full ablation landscape coverage
