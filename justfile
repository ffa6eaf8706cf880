# One command each, the same in CI.

check:
    ruff check . && ruff format --check . && mypy

test:
    python -m pytest

# Build the extension into src/, for work on the native core (use with PYTHONPATH=src).
native:
    cmake -S . -B build/dev -G Ninja -DCMAKE_BUILD_TYPE=Release -Dnanobind_DIR=$(python -m nanobind --cmake_dir)
    cmake --build build/dev
    cmake --install build/dev --prefix src

ci:
    .ci/run

# The native core without Python: every kernel table of this processor; then on ARM, under qemu.
core:
    cmake -S . -B build/check-$(uname -m) -DCMAKE_BUILD_TYPE=Release -DROOKERY_CHECK=ON
    cmake --build build/check-$(uname -m) --parallel 2
    build/check-$(uname -m)/core_check

core-aarch64:
    cmake -S . -B build/check-aarch64 -DCMAKE_BUILD_TYPE=Release -DROOKERY_CHECK=ON \
        -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64-linux-gnu.cmake
    cmake --build build/check-aarch64 --parallel 2
    qemu-aarch64 -L /usr/aarch64-linux-gnu build/check-aarch64/core_check

# KIND: memory or threads; see scripts/sanitize.sh.
sanitize KIND *TESTS:
    scripts/sanitize.sh {{KIND}} {{TESTS}}

size:
    python scripts/size.py
