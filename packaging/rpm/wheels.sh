#!/bin/bash
# usage: wheels.sh TREE
# Installs what requirements.lock names into the tree's site-packages; every file is checked against its hash.
. "$(dirname "$0")/common.sh"

tree=$1
version=$(basename "$(echo "$tree"/lib/python3.*)")
version=${version#python}
site=$tree/lib/python$version/site-packages
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$PYTHON" - "$RPM_DIR/requirements.lock" "$work" <<'SPLIT'
"""pip takes wheels of a platform only if there is nothing to build among them: sdnotify has no wheel."""
import re
import sys
from pathlib import Path

text = Path(sys.argv[1]).read_text()
blocks = re.findall(r"(?m)^[A-Za-z](?:.*\\\n)*.*\n", text)
for name, wanted in (("wheels", False), ("source", True)):
    Path(sys.argv[2], name).write_text("".join(b for b in blocks if b.startswith("sdnotify==") is wanted))
SPLIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
pip() { "$PYTHON" -m pip -q -q "$@"; }
tag=cp${version//./}
pip install --require-hashes --no-deps --no-compile --only-binary=:all: --implementation cp --python-version "$version" \
    --abi "$tag" --abi abi3 --abi none --platform manylinux2014_x86_64 --target "$site" -r "$work/wheels"
pip wheel --require-hashes --no-deps --wheel-dir "$work" -r "$work/source"
unzip -qo "$work"/sdnotify-*.whl -d "$site"
rm -rf "$site/bin" "$site"/*/tests "$site"/*/test
find "$site" -name '*.pyi' -delete
# Metadata that tells how a package was installed names places of this machine.
rm -f "$site"/*.dist-info/{RECORD,INSTALLER,REQUESTED,direct_url.json}
