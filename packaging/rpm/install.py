"""Puts the commands of the project into a build root, and compiles its code. Run by the bundled interpreter.

`install.py BUILDROOT`, in the project's directory. Prints the commands that are outside of the package's own
directories, for rpm's list of files.
"""

import compileall
import py_compile
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Final

INTERPRETER: Final = "/usr/lib/pydovecot/python/bin/python3"
LIBEXEC: Final = "usr/libexec/dovecot"
COMMAND: Final = """\
#!{interpreter} -IXutf8
from {module} import {function}

raise SystemExit({function}())
"""
# Commands whose work a running server does start without what `site` costs; they call it when they must.
QUICK: Final = """\
#!{interpreter} -ISXutf8
import sys

sys.path.append("{packages}")
from {module} import {function}

raise SystemExit({function}())
"""
# While an upgrade runs, old and new modules are mixed: Postfix must then keep the message (EX_TEMPFAIL).
DELIVERY: Final = """\
#!{interpreter} -ISXutf8
import sys

sys.path.append("{packages}")
try:
    from {module} import {function}
except Exception as exc:
    sys.stderr.write(f"dovecot-lda: {{exc}}\\n")
    raise SystemExit(75) from exc

raise SystemExit({function}())
"""

# Where RHEL's own package differs from Dovecot's defaults: file in conf.d, line of the sample, line of ours.
RED_HAT: Final = (
    ("10-ssl.conf", "#ssl = yes", "ssl = required"),
    ("10-mail.conf", "#first_valid_uid = 500", "first_valid_uid = 1000"),
    ("10-mail.conf", "#mbox_write_locks = fcntl dotlock", "mbox_write_locks = fcntl"),
)


def main(root: Path) -> None:
    """Write scripts and compiled files below `root`."""
    packages = next((root / "usr/lib/pydovecot/python/lib").glob("python3.*/site-packages"))
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    for name, entry in sorted(project["scripts"].items()):
        folder = "usr/sbin" if name == "pydovecot" else "usr/bin"
        module, function = entry.split(":")
        script(root, f"{folder}/{name}", module, function, packages)
        print(f"/{folder}/{name}")
    (root / "usr/sbin/dovecot").symlink_to("pydovecot")
    print("/usr/sbin/dovecot")
    for role in sorted(Path("libexec").iterdir()):
        if role.name != "deliver":
            found = re.search(r"^from (pydovecot\S+) import (\w+)", role.read_text(), re.MULTILINE)
            if not found:
                raise SystemExit(f"{role}: no entry point")
            script(root, f"{LIBEXEC}/{role.name}", *found.groups(), packages)
    (root / LIBEXEC / "deliver").symlink_to("dovecot-lda")
    configuration(root / "etc/dovecot")
    compile_all(root, packages / "pydovecot")


def configuration(target: Path) -> None:
    """The project's samples, with what people on RHEL expect."""
    shutil.copytree("etc/dovecot", target)
    for name, sample, line in RED_HAT:
        file = target / "conf.d" / name
        text = file.read_text()
        if text.count(f"\n{sample}\n") != 1:
            raise SystemExit(f"{file}: no line {sample!r}")
        file.write_text(text.replace(f"\n{sample}\n", f"\n{line}\n"))


def script(root: Path, name: str, module: str, function: str, packages: Path) -> None:
    """One executable file."""
    text = COMMAND
    if name == f"{LIBEXEC}/dovecot-lda":
        text = DELIVERY
    elif "sys.flags.no_site" in Path(f"{module.replace('.', '/')}.py").read_text():
        text = QUICK
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {"interpreter": INTERPRETER, "module": module, "function": function}
    path.write_text(text.format(packages=f"/{packages.relative_to(root)}", **names))
    path.chmod(0o755)


def compile_all(root: Path, code: Path) -> None:
    """All modules of the project. The interpreter is to believe them unchecked: rpm owns both files."""
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(code, quiet=1, stripdir=root, prependdir="/", invalidation_mode=unchecked):
        raise SystemExit("compilation failed")


main(Path(sys.argv[1]).resolve())
