"""Adds what `pydovecot install-service` writes to the wheel; the rest is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHARE = {"packaging/systemd": "systemd", "packaging/files": "files", "etc/dovecot": "dovecot"}


class WithShare(build_py):
    """An editable installation finds these files in the source tree."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for source, name in SHARE.items():
                shutil.copytree(source, Path(self.build_lib, "pydovecot/share", name), dirs_exist_ok=True)


setup(cmdclass={"build_py": WithShare})
