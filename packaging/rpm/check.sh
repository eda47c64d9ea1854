#!/bin/bash
# usage: check.sh PACKAGE SYSROOT
# The proof that a package runs on RHEL 7: what it needs is listed and held against glibc 2.17, then it is unpacked
# beside that very glibc, in a root that has nothing else, and serves mail there. As root.
. "$(dirname "$0")/common.sh"

package=$1 sysroot=$2
root=$(mktemp -d "${TMPDIR:-/tmp}/pydovecot-glibc217.XXXXXX")
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"
rpm2archive <"$package" - | tar xz -C "$root"
symbols=${package%.rpm}.symbols
"$PYTHON" "$RPM_DIR/elfgate.py" "$root" >"$symbols" || {
    grep FAULT "$symbols" >&2
    fail "RHEL 7 lacks what this package needs"
}
grep -v '^symbol' "$symbols"
say "$(grep -c '^symbol' "$symbols") symbols, none newer than $(grep -o 'GLIBC_[0-9.]*' "$symbols" | sort -uV | tail -n 1): $symbols"

mkdir -p "$root"/{lib64,dev,proc,tmp,home,var/log,run/dovecot/empty}
install -d -m 0750 -g 996 "$root/run/dovecot/login"
cp -a "$sysroot"/. "$root/lib64/"
chmod 1777 "$root/tmp"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 444 "$root/dev/urandom" c 1 9
mknod -m 444 "$root/dev/random" c 1 8
cat >"$root/etc/passwd" <<'USERS'
root:x:0:0:root:/root:/bin/sh
dovecot:x:97:97:Dovecot IMAP server:/usr/libexec/dovecot:/sbin/nologin
dovenull:x:996:996:Dovecot's unauthorized user:/usr/libexec/dovecot:/sbin/nologin
mary:x:1000:1000:Mary:/home/mary:/bin/sh
USERS
printf 'root:x:0:\ndovecot:x:97:\ndovenull:x:996:\nmary:x:1000:\nmail:x:12:\n' >"$root/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files\n' >"$root/etc/nsswitch.conf"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
install -d -o 1000 -g 1000 -m 0700 "$root/home/mary"
SSLDIR=$root/etc/pki/dovecot OPENSSLCONFIG=$root/etc/pki/dovecot/dovecot-openssl.cnf \
    sh "$root/usr/libexec/dovecot/mkcert.sh" >/dev/null 2>&1
cp "$RPM_DIR/check_inside.py" "$root/tmp/"
# A network of its own has the standard ports free; whatever is left over ends with the shell.
unshare --mount --pid --fork --kill-child --net --ipc sh -euc '
    ip link set lo up
    mount -t proc proc "$1/proc"
    exec chroot "$1" /usr/lib/pydovecot/python/bin/python3 -IXutf8 /tmp/check_inside.py
' sh "$root"
