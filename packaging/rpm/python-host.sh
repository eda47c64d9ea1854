#!/bin/bash
# The interpreter of the quick package: the one of this machine, copied. Prints the directory that holds `python/`.
# The package needs this machine's libraries then; for RHEL 7 see python-el7.sh.
. "$(dirname "$0")/common.sh"

eval "$("$PYTHON" - <<'FACTS'
import shlex, sys, sysconfig
facts = {"base": sys.base_prefix, "version": sysconfig.get_python_version(), "library": sysconfig.get_config_var("LDLIBRARY"),
         "shared": sysconfig.get_config_var("Py_ENABLE_SHARED") or 0, "micro": sys.version, "libdir": sysconfig.get_config_var("LIBDIR")}
print("\n".join(f"{name}={shlex.quote(str(value))}" for name, value in facts.items()))
FACTS
)"
KEY=$({ cat "$0" "$RPM_DIR/common.sh" "$RPM_DIR/prune.sh"; echo "$base $micro"; stat -c %Y "$base/bin/python$version"; } | sha256sum | cut -c1-16)
DONE=$CACHE/python-host-$KEY
[ -e "$DONE/complete" ] && { echo "$DONE"; exit 0; }
rm -rf "$DONE"
mkdir -p "$DONE"
"$RPM_DIR/prune.sh" "$base" "$DONE/python" "$version"
tree=$DONE/python
if [ "$shared" = 1 ]; then
    cp -p "$(echo "$libdir/$library".1*)" "$tree/lib/"
fi
elf_files "$tree" | xargs strip --strip-unneeded 2>/dev/null || true
# Debian's own interpreter looks here.
if [ -d /usr/lib/python3/dist-packages ] && [ "$base" = /usr ]; then
    mkdir "$tree/lib/python3"
    ln -s "../python$version/site-packages" "$tree/lib/python3/dist-packages"
fi
# An interpreter that was built elsewhere knows where it was installed. Its own library is looked for in the new place;
# all else finds itself. Nothing in the file may move, and linkers let strings share their tails, so the last
# component stays (".../versions/3.11.7" is where sys.version begins).
if [ "$base" != /usr ]; then
    "$PYTHON" - "$tree" "$base" "$PREFIX" <<'MOVE'
import sys
from pathlib import Path

tree, old, new = sys.argv[1:]
folder, _, last = old.rpartition("/")
padded, elsewhere = new.ljust(len(old), "/"), new.rpartition("/")[0].ljust(len(folder), "/")
if len(padded) > len(old) or len(elsewhere) > len(folder):
    raise SystemExit(f"{old} is too short a place to be replaced by {new}")
for file in Path(tree).rglob("*"):
    if file.is_file() and not file.is_symlink() and old.encode() in (data := file.read_bytes()):
        if data.startswith(b"\x7fELF"):
            data = data.replace(f"{old}/lib\0".encode(), f"{padded}/lib\0".encode())
            data = data.replace(old.encode(), f"{elsewhere}/{last}".encode())
        else:
            data = data.replace(old.encode(), new.encode())
        file.write_bytes(data)
MOVE
fi
touch "$DONE/complete"
echo "$DONE"
