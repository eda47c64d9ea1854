#!/bin/bash
# usage: release.sh el7|el8
# The package for RHEL 7 and later, built and checked (check.sh). As root. Then `released` says which state of these
# files has passed; while it is the present one, the test suite need not do it again (tests/packaging/test_rpm_release.py).
. "$(dirname "$0")/common.sh"

[ "$(id -u)" = 0 ] || fail "the check needs root: it makes device files and changes the root directory"
state=$("$PYTHON" "$RPM_DIR/state.py")
started=$SECONDS
package=$("$RPM_DIR/build.sh" "${1:-el7}")
say "built in $((SECONDS - started)) s"
"$RPM_DIR/check.sh" "$package" "$("$RPM_DIR/python-el7.sh")/sysroot"
say "$(stat -c %s "$package") bytes; all in $((SECONDS - started)) s"
echo "$state" >"$RPM_DIR/released"
echo "$package"
