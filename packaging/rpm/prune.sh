#!/bin/bash
# usage: prune.sh INSTALLED TARGET VERSION
# Copies an installed Python without what a mail server never needs: tests, graphics, headers, installers.
. "$(dirname "$0")/common.sh"
from=$1 to=$2 version=$3

rm -rf "$to"
mkdir -p "$to/bin" "$to/lib"
cp -p "$from/bin/python$version" "$to/bin/"
ln -s "python$version" "$to/bin/python3"
tar cf - -C "$from/lib" --exclude=site-packages --exclude=dist-packages --exclude=__pycache__ --exclude=test \
    --exclude=tests "python$version" | tar xf - -C "$to/lib"
cd "$to/lib/python$version"
rm -rf idlelib tkinter turtledemo turtle.py lib2to3 ensurepip pydoc_data distutils venv __phello__ \
    "config-$version"-* lib-dynload/xxlimited* \
    lib-dynload/_test* lib-dynload/_xxtest* lib-dynload/_ctypes_test* lib-dynload/*_failed.so
# The same modules whatever interpreter this is; our own code and its libraries use none of these.
for name in _crypt _curses _curses_panel _dbm _gdbm _tkinter _uuid audioop nis ossaudiodev readline spwd; do
    rm -f lib-dynload/$name.*.so
done
mkdir site-packages

# What sysconfig knows about the build names its directories and compilers; nobody compiles with this Python.
cat >"$(echo _sysconfigdata_*.py)" <<DATA
"""Facts about the build that the running server may ask for. Nothing can be compiled with this interpreter."""

build_time_vars = {
    "EXT_SUFFIX": ".cpython-${version//./}-x86_64-linux-gnu.so",
    "MULTIARCH": "x86_64-linux-gnu",
    "Py_DEBUG": 0,
    "SOABI": "cpython-${version//./}-x86_64-linux-gnu",
    "VERSION": "$version",
    "prefix": "$PREFIX",
}
DATA
