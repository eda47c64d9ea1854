"""`pip install`, `pydovecot install-service --write`: a machine without the package serves mail as well."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support import rpmfile
from tests.support.installed import USER, Machine

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]
REPOSITORY = Path(__file__).parents[2]
HOME = "usr/lib/pydovecot"  # the package's Python stands for any
COMMAND = "/usr/local/bin/pydovecot"


def make_wheel(project: Path) -> Path:
    """The wheel of a copy of the sources; skips without a package index for setuptools."""
    rpmfile.sources(project)
    for name in ("setup.py", "MANIFEST.in"):
        shutil.copy(REPOSITORY / name, project)
    words = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", f"{project}/dist", str(project)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    if "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("pip cannot get setuptools")
    assert done.returncode == 0, done.stderr
    (wheel,) = (project / "dist").glob("*.whl")
    return wheel


@pytest.fixture
def layer(rpm_file: Path, tmp_path: Path) -> Path:
    """What `pip install` leaves: our wheel beside what it needs, and the command in /usr/local/bin."""
    layer = tmp_path / "layer"
    layer.mkdir(mode=0o755)
    with open(rpm_file, "rb") as package:
        archive = subprocess.run(["rpm2archive", "-"], stdin=package, capture_output=True, check=True).stdout
    unpack = ["tar", "xz", "-C", str(layer), "--wildcards", f"./{HOME}/*"]
    subprocess.run(unpack, input=archive, check=True)
    (packages,) = layer.glob(f"{HOME}/python/lib/python3*/site-packages")
    shutil.rmtree(packages / "pydovecot")
    with zipfile.ZipFile(make_wheel(tmp_path / "project")) as wheel:
        wheel.extractall(packages)
    script = layer / COMMAND.lstrip("/")
    script.parent.mkdir(parents=True)
    script.write_text(
        f"#!/{HOME}/python/bin/python3 -I\n"
        "from pydovecot.cli.pydovecot import main\n"
        "raise SystemExit(main())\n"
    )
    script.chmod(0o755)
    return layer


def test_install_service(debian: Path, layer: Path) -> None:
    machine = Machine([debian, layer])
    try:
        machine.boot()
        printed = machine.run(COMMAND, "install-service").stdout
        assert machine.run("getent", "passwd", "dovenull", check=False).returncode
        said = machine.run(COMMAND, "install-service", "--write").stdout
        assert "systemctl enable --now pydovecot" in said
        machine.add_user()
        machine.sh("systemctl enable --now pydovecot")
        assert machine.subjects() == ["welcome"]
        assert machine.certificate() == machine.certificate_file()
        deliver = ["/usr/local/libexec/dovecot/deliver", "-d", USER]
        machine.run(*deliver, input="Subject: delivered\n\nHello.\n")
        assert machine.subjects() == ["welcome", "delivered"]
        verify = machine.run("systemd-analyze", "verify", "--man=no", "pydovecot.service", check=False)
        assert verify.stdout + verify.stderr == ""
        # Again, as after an upgrade: the same script, and nothing of the administrator's is touched.
        assert machine.run(COMMAND, "install-service").stdout == printed
        before = machine.sh("sha256sum /etc/dovecot/conf.d/10-mail.conf; getent passwd dovecot")
        machine.run(COMMAND, "install-service", "--write")
        assert machine.sh("sha256sum /etc/dovecot/conf.d/10-mail.conf; getent passwd dovecot") == before
        machine.sh("systemctl restart pydovecot")
        assert machine.pop3_count() == 2
    finally:
        machine.close()
