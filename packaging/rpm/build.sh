#!/bin/bash
# usage: build.sh host|el7|el8 [RELEASE]
# Makes dist/rpm/pydovecot-VERSION-RELEASE.x86_64.rpm and prints its path.
#   host   with this machine's own interpreter: quick, for tests and for this machine
#   el7    for RHEL 7 and later: nothing needs more than glibc 2.17
#   el8    the same for RHEL 8 and later, with the directives that newer versions of systemd know
. "$(dirname "$0")/common.sh"

kind=${1:?host, el7 or el8}
# Two builds at once: one fills the cache. What nobody has used for a month goes.
mkdir -p "$CACHE"
exec 9>"$CACHE/lock"
flock 9
find "$CACHE" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
case $kind in
host) python_dir=$("$RPM_DIR/python-host.sh") release=1.host options=(--with el8 --define 'payload w1.gzdio') ;;
el7) python_dir=$("$RPM_DIR/python-el7.sh") release=1.el7 options=() ;;
el8) python_dir=$("$RPM_DIR/python-el7.sh") release=1.el8 options=(--with el8) ;;
*) fail "unknown kind $kind" ;;
esac
release=${2:-$release}
version=$(sed -n 's/^__version__.* = "\(.*\)"$/\1/p' "$PROJECT/pydovecot/__init__.py")
python_version=$(basename "$(echo "$python_dir"/python/lib/python3.*)")
python_version=${python_version#python}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$PROJECT" log -1 --format=%ct 2>/dev/null || stat -c %Y "$PROJECT/NEWS")}
export SOURCE_DATE_EPOCH
archive() { tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf "$@"; }

# The interpreter with its wheels, compiled: the slow part, and the same until one of these changes.
KEY=$({ echo "$python_dir"; cat "$0" "$RPM_DIR"/{common.sh,wheels.sh,requirements.lock}; } | sha256sum | cut -c1-16)
tree=$CACHE/tree-$KEY
if [ ! -e "$tree/complete" ]; then
    rm -rf "$tree"
    mkdir -p "$tree"
    cp -a "$python_dir/python" "$tree/python"
    "$RPM_DIR/wheels.sh" "$tree/python"
    elf_files "$tree/python/lib/python$python_version/site-packages" | xargs strip --strip-unneeded
    LD_LIBRARY_PATH=$tree/python/lib "$tree/python/bin/python3" -IB -m compileall -q -f -j 0 --invalidation-mode unchecked-hash \
        -s "$tree" -p "$HOME_DIR" "$tree/python/lib/python$python_version"
    touch "$tree/complete"
fi
touch "$python_dir" "$tree"
exec 9>&-

top=$(mktemp -d "${TMPDIR:-/tmp}/pydovecot-rpm.XXXXXX")
trap 'rm -rf "$top"' EXIT
mkdir "$top/SOURCES"
archive "$top/SOURCES/python.tar" -C "$tree" python
{
    LD_LIBRARY_PATH=$tree/python/lib "$tree/python/bin/python3" -IB -c 'import platform; print("python", platform.python_version())'
    [ ! -e "$python_dir/sources" ] || sed -n 's/^\([a-z][a-z0-9-]*\)_\([0-9][0-9.]*[0-9]\).*\.dsc$/\1 \2/p' "$python_dir/sources"
    sed -n 's/^\([A-Za-z][A-Za-z0-9_-]*\)==\([0-9.]*\).*/python3-\L\1 \2/p' "$RPM_DIR/requirements.lock"
} >"$top/SOURCES/bundled"

cd "$PROJECT"
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files -co --exclude-standard -- pydovecot libexec man etc docs packaging README.md NEWS LICENSE pyproject.toml
else
    find pydovecot libexec man etc docs packaging README.md NEWS LICENSE pyproject.toml -type f -not -name '*.pyc'
fi | while IFS= read -r name; do [ ! -f "$name" ] || echo "$name"; done >"$top/names"
archive "$top/SOURCES/pydovecot-$version.tar" --transform "s,^,pydovecot-$version/," -T "$top/names"

rpmbuild -bb --quiet --define "_topdir $top" --define "_tmppath $top" --define "project_version $version" --define "project_release $release" \
    --define "python_version $python_version" "${options[@]}" "$RPM_DIR/pydovecot.spec" >"$top/log" 2>&1 || {
    cat "$top/log" >&2
    fail "rpmbuild failed"
}
mkdir -p "$PROJECT/dist/rpm"
file=$(find "$top/RPMS" -name '*.rpm')
# Moved when whole, so that nobody reads half a file.
cp "$file" "$PROJECT/dist/rpm/.new-$$"
mv "$PROJECT/dist/rpm/.new-$$" "$PROJECT/dist/rpm/$(basename "$file")"
echo "$PROJECT/dist/rpm/$(basename "$file")"
