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

# KIND: memory or threads; see scripts/sanitize.sh.
sanitize KIND *TESTS:
    scripts/sanitize.sh {{KIND}} {{TESTS}}

size:
    python scripts/size.py
