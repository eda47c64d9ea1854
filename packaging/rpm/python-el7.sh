#!/bin/bash
# The interpreter of the release package: CPython and the libraries it needs, from Debian's sources, built so
# that nothing of it wants more than glibc 2.17. Prints the directory that holds `python/` and `sysroot/`.
#
# Needs Debian 12 (its source packages are used), make, patch, unzip, xz-utils and dpkg-dev; no compiler.
# The result is kept in the cache and made again only when this script or the toolchain changes.
. "$(dirname "$0")/common.sh"

VERSION=3.11
SOURCES="python3.11 libffi zlib openssl bzip2 xz-utils sqlite3"
KEY=$(key_of "$0" "$RPM_DIR"/{common.sh,prune.sh,toolchain.lock})
DONE=$CACHE/python-el7-$KEY
[ -e "$DONE/complete" ] && { echo "$DONE"; exit 0; }
exec 3>&1 1>&2

WORK=$CACHE/work-$KEY
JOBS=${JOBS:-$(nproc)}
rm -rf "$WORK" "$DONE"
mkdir -p "$WORK" "$DONE"

toolchain() {
    "$PYTHON" -m pip download -q -q --no-deps --require-hashes -r "$RPM_DIR/toolchain.lock" -d "$WORK/ppbt"
    unzip -qo "$WORK"/ppbt/ppbt-*.whl 'ppbt/_toolchain/*' -d "$WORK/ppbt"
    mkdir "$WORK/tools"
    tar xJf "$WORK/ppbt/ppbt/_toolchain/x86_64-linux-gnu.tar.xz" -C "$WORK/tools" --strip-components=1
    rm -rf "$WORK/ppbt"
    SYSROOT=$WORK/tools/x86_64-linux-gnu/sysroot
    # Called by name: the name of the compiler goes into some of what it makes.
    export PATH="$WORK/tools/bin:$PATH"
    export CC=x86_64-linux-gnu-gcc CXX=x86_64-linux-gnu-g++ AR=x86_64-linux-gnu-ar RANLIB=x86_64-linux-gnu-ranlib
    export LD=x86_64-linux-gnu-ld NM=x86_64-linux-gnu-nm STRIP=x86_64-linux-gnu-strip
    export READELF=x86_64-linux-gnu-readelf OBJDUMP=x86_64-linux-gnu-objdump
    [ "$(command -v $CC)" = "$WORK/tools/bin/$CC" ] || fail "the toolchain is not where it should be"
}

# Source packages by apt, in lists of their own: the machine's configuration says from where, and stays as it is.
sources() {
    local apt=$WORK/apt line
    line=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
        awk '$2 == "bookworm" && $3 == "main" { print "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] " $1 " bookworm main"; exit }')
    [ -n "$line" ] || fail "apt knows no source of Debian 12 (bookworm main)"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$WORK/src"
    echo "$line" >"$apt/sources.list"
    local options=(-q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root)
    cd "$WORK/src"
    apt-get "${options[@]}" update >/dev/null
    # shellcheck disable=SC2086
    apt-get "${options[@]}" source --download-only $SOURCES >/dev/null
    local name
    for name in $SOURCES; do
        ls "$name"_*.dsc >>"$DONE/sources"
        [ "$name" = python3.11 ] || dpkg-source --no-check -x "$name"_*.dsc "$name" >/dev/null
    done
}

# Static libraries into $WORK/deps. The flags are those of hardened builds; all code may end up in shared objects.
HARDEN="-fPIC -fstack-protector-strong -D_FORTIFY_SOURCE=2"
libraries() {
    local deps=$WORK/deps
    mkdir -p "$deps/lib/pkgconfig" "$deps/include"
    export CFLAGS="-O2 $HARDEN -ffile-prefix-map=$WORK=." CXXFLAGS="-O2 $HARDEN"
    local autoconf=(--build=x86_64-linux-gnu --prefix="$deps" --libdir="$deps/lib" --disable-shared --enable-static)
    cd "$WORK/src"
    (
        cd openssl
        # The prefix and the flags are told to users: nothing of this machine may be in them.
        CFLAGS=-O2 ./Configure linux-x86_64 no-shared no-tests no-engine no-async no-legacy no-module --prefix="$PREFIX" --libdir=lib \
            --openssldir=/etc/pki/tls "$HARDEN"
        CFLAGS=-O2 make -j"$JOBS" build_libs
        CFLAGS=-O2 make install_dev DESTDIR="$WORK/openssl"
        cp -a "$WORK/openssl$PREFIX/include/." "$deps/include/"
        cp -a "$WORK/openssl$PREFIX/lib/." "$deps/lib/"
    ) >"$WORK/openssl.log" 2>&1 &
    local openssl=$!
    (
        (cd zlib && ./configure --static --prefix="$deps" && make -j"$JOBS" libz.a && cp libz.a "$deps/lib" && cp zlib.h zconf.h "$deps/include" && cp zlib.pc "$deps/lib/pkgconfig")
        (cd bzip2 && make -j"$JOBS" libbz2.a CC="$CC" AR="$AR" RANLIB="$RANLIB" CFLAGS="$CFLAGS -D_FILE_OFFSET_BITS=64" && cp libbz2.a "$deps/lib" && cp bzlib.h "$deps/include")
        (cd xz-utils && ./configure "${autoconf[@]}" --disable-xz --disable-xzdec --disable-lzmadec --disable-lzmainfo --disable-scripts --disable-doc --disable-nls && make -j"$JOBS" install)
        # Static trampolines stay on: no memory that is writable and executable, which SELinux would refuse.
        (cd libffi && ./configure "${autoconf[@]}" --disable-docs --disable-multi-os-directory && make -j"$JOBS" install)
        (cd sqlite3 && ./configure "${autoconf[@]}" --disable-tcl --disable-readline --disable-load-extension --enable-fts5 && make -j"$JOBS" libsqlite3.la && cp sqlite3.h src/sqlite3ext.h "$deps/include" && cp .libs/libsqlite3.a "$deps/lib")
    ) >"$WORK/libraries.log" 2>&1 || { tail -20 "$WORK/libraries.log"; fail "a library did not build"; }
    wait $openssl || { tail -20 "$WORK/openssl.log"; fail "openssl did not build"; }
}

# Upstream's tarball with those of Debian's patches that correct faults; not those that move files about.
python_source() {
    cd "$WORK/src"
    mkdir python debian
    tar xzf python3.11_*.orig.tar.gz --strip-components=1 -C python
    tar xJf python3.11_*.debian.tar.xz -C debian
    cd python
    local name
    for name in $(sed -n '/^shutdown-deadlock/,$p' ../debian/debian/patches/series | grep -v -e '^#' -e '^skip-xml'); do
        patch -p1 -s -N <"../debian/debian/patches/$name" || fail "Debian's patch $name does not apply"
    done
    "$PYTHON" - <<'PATCH'
"""setup.py looks into the build machine's own directories; it may look into the sysroot only."""
from pathlib import Path

file = Path("setup.py")
text = file.read_text()


def replace(old: str, new: str) -> None:
    global text
    if old not in text:
        raise SystemExit(f"setup.py has changed: {old!r} is not there")
    text = text.replace(old, new)


replace("        self.add_multiarch_paths()\n", "")
replace(
    "            add_dir_to_list(self.compiler.library_dirs, '/usr/local/lib')\n"
    "            add_dir_to_list(self.compiler.include_dirs, '/usr/local/include')",
    "            pass",
)
replace(
    "        system_lib_dirs = ['/lib64', '/usr/lib64', '/lib', '/usr/lib']\n        system_include_dirs = ['/usr/include']",
    "        root = os.environ['SYSROOT']\n"
    "        system_lib_dirs = [root + name for name in ('/lib64', '/usr/lib64', '/lib', '/usr/lib')]\n"
    "        system_include_dirs = [root + '/usr/include']",
)
# One of Debian's corrections uses a header that wants this.
replace(
    "Extension('pyexpat', sources=['pyexpat.c'])",
    "Extension('pyexpat', sources=['pyexpat.c'], define_macros=[('Py_BUILD_CORE_MODULE', '1')])",
)
file.write_text(text)
PATCH
}

python() {
    local deps=$WORK/deps
    export SYSROOT PKG_CONFIG_LIBDIR="$deps/lib/pkgconfig" PKG_CONFIG_PATH=
    export OPT="-DNDEBUG -fwrapv -O3" CFLAGS="-fstack-protector-strong -D_FORTIFY_SOURCE=2 -ffile-prefix-map=$WORK=."
    export CPPFLAGS="-I$deps/include" LDFLAGS="-L$deps/lib -Wl,-z,relro,-z,now"
    export LIBSQLITE3_CFLAGS="-I$deps/include" LIBSQLITE3_LIBS="-L$deps/lib -lsqlite3 -lm -ldl -lpthread"
    mkdir "$WORK/build"
    cd "$WORK/build"
    {
        ../src/python/configure --build=x86_64-linux-gnu --prefix="$PREFIX" --disable-shared --without-ensurepip \
            --with-openssl="$deps" --disable-test-modules --without-static-libpython --with-system-ffi
        mkdir -p Modules
        printf '*disabled*\n_tkinter _curses _curses_panel readline _gdbm _dbm nis ossaudiodev _uuid _crypt\n' >Modules/Setup.local
        make -j"$JOBS"
        make install DESTDIR="$WORK/installed"
    } >"$WORK/python.log" 2>&1 || { tail -20 "$WORK/python.log"; fail "CPython did not build"; }
    if grep -q 'Failed to build these modules' "$WORK/python.log"; then
        sed -n '/Failed to build these modules/,/^$/p' "$WORK/python.log"
        fail "modules are missing"
    fi
}

started=$SECONDS
toolchain && sources && say "toolchain and sources: $((SECONDS - started)) s"
libraries && say "libraries: $((SECONDS - started)) s"
python_source && python && say "CPython: $((SECONDS - started)) s"
"$RPM_DIR/prune.sh" "$WORK/installed$PREFIX" "$DONE/python" "$VERSION"
elf_files "$DONE/python" | xargs "$STRIP" --strip-unneeded
mkdir "$DONE/sysroot"
cp -a "$SYSROOT"/lib/*.so* "$DONE/sysroot/"
touch "$DONE/complete"
rm -rf "$WORK"
echo "$DONE" >&3
