#!/usr/bin/env bash
# Build the native code with sanitizers beside the normal build, and run tests with it.
#
#   scripts/sanitize.sh memory [PYTEST ARGUMENTS]    AddressSanitizer and UBSan
#   scripts/sanitize.sh threads [PYTEST ARGUMENTS]   ThreadSanitizer: slow, so only the tests with threads by default
#
# Python itself is not instrumented and keeps memory until it ends, so leaks are not looked for.  Any report fails the run.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-memory}
shift || true
case $kind in
  memory)
    sanitizers=address,undefined libraries="libasan.so libubsan.so libstdc++.so"
    tests=(tests/native tests/ops tests/tokenizer tests/sampling tests/test_versions.py tests/test_equalities.py)
    tests+=(-k "not import and not native_process")  # those start interpreters without the runtime that is preloaded here
    ;;
  threads)
    sanitizers=thread libraries=libtsan.so
    tests=(tests/ops/test_native_boundary.py tests/test_equalities.py -k "callers or threads or recorders or company")
    ;;
  *)
    echo "sanitize.sh: expected 'memory' or 'threads', got '$kind'" >&2
    exit 2
    ;;
esac
[ $# -gt 0 ] && tests=("$@")

build=build/sanitize-$kind
mkdir -p $build
quietly() { "$@" > $build/log 2>&1 || { tail -30 $build/log; exit 1; }; }
quietly cmake -S . -B $build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DROOKERY_SANITIZE=$sanitizers \
  "-Dnanobind_DIR=$(python -m nanobind --cmake_dir)" "-DPython_EXECUTABLE=$(command -v python)"
quietly cmake --build $build --parallel

package=$build/package reports=$PWD/$build/reports
rm -rf $package "$reports"
mkdir -p $package "$reports"
cp -r src/rookery $package/
rm -f $package/rookery/_native.*.so
quietly cmake --install $build --prefix $package

preload=
for library in $libraries; do preload+=" $("${CXX:-g++}" -print-file-name=$library)"; done
status=0
PYTHONPATH=$package LD_PRELOAD=$preload \
  ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:log_path=$reports/asan \
  UBSAN_OPTIONS=print_stacktrace=1:log_path=$reports/ubsan \
  TSAN_OPTIONS=report_signal_unsafe=0:log_path=$reports/tsan \
  python -m pytest -p no:cacheprovider "${tests[@]}" || status=$?
if compgen -G "$reports/*" > /dev/null; then
  cat "$reports"/*
  exit 1
fi
exit $status
