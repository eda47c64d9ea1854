#!/bin/bash
# Makes requirements.lock: for each line of requirements.in the hashes of the wheels for all Pythons that we run on.
. "$(dirname "$0")/common.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" -m pip download -q --no-deps --no-binary=:all: -d "$work/sdist" "$(grep -o '^sdnotify==[^ ]*' "$RPM_DIR/requirements.in")"
grep -v '^sdnotify==' "$RPM_DIR/requirements.in" >"$work/wheels.in"
for version in 3.11 3.12 3.13; do
    "$PYTHON" -m pip download -q --no-deps --only-binary=:all: --platform manylinux2014_x86_64 --python-version "$version" \
        -d "$work/$version" -r "$work/wheels.in"
done

{
    echo "# Made by packaging/rpm/lock.sh from requirements.in."
    grep -o '^[A-Za-z][^ ]*==[^ ]*' "$RPM_DIR/requirements.in" | while IFS= read -r pin; do
        file=$(printf '%s' "${pin%%==*}" | tr 'A-Z-' 'a-z_')
        printf '%s' "$pin"
        find "$work" -type f -printf '%f %p\n' | tr 'A-Z' 'a-z' | awk -v n="$file-${pin##*==}" 'index($1, n "-") == 1 || $1 == n ".tar.gz" { print $1 }' |
            sort -u | while IFS= read -r name; do
            path=$(find "$work" -type f -iname "$name" | head -1)
            printf ' \\\n    --hash=sha256:%s' "$(sha256sum "$path" | cut -d' ' -f1)"
        done
        echo
    done
} >"$RPM_DIR/requirements.lock"
