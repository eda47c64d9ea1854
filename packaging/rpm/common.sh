# Sourced by the build scripts beside it: names and places that they share.
# shellcheck shell=bash
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC

RPM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$RPM_DIR/../.." && pwd)
HOME_DIR=/usr/lib/pydovecot         # where the package lives on the target
PREFIX=$HOME_DIR/python
PYTHON=${PYTHON:-python3}
CACHE=${PYDOVECOT_BUILD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pydovecot-rpm}

say() { printf '%s: %s\n' "$(basename "$0")" "$*"; }
fail() { say "$*" >&2; exit 1; }

# Name of a cached result: changes with any of the files that it is made from.
key_of() { cat "$@" | sha256sum | cut -c1-16; }

# All files below a directory that the dynamic loader reads.
elf_files() { find "$1" -type f \( -name '*.so' -o -name '*.so.*' -o -path '*/bin/python3.*' \); }
