"""Thunderbird without a screen: a fresh profile with one IMAP account, driven through Marionette.

It asks no other host for anything: what it would fetch is switched off, and the rest meets a closed port.
"""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from tests.support.cert import shared_certificate
from tests.support.marionette import Marionette
from tests.support.ports import free_ports

START_SECS = 40
PLAIN, STARTTLS, TLS = 0, 2, 3  # nsMsgSocketType

QUIET: dict[str, object] = {
    "app.donation.eoy.version.viewed": 999,
    "app.normandy.enabled": False,
    "app.update.auto": False,
    "app.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "extensions.getAddons.cache.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "mail.biff.play_sound": False,
    "mail.biff.show_alert": False,
    "mail.chat.enabled": False,
    "mail.inappnotifications.enabled": False,
    "mail.provider.enabled": False,
    "mail.rights.version": 1,
    "mail.shell.checkDefaultClient": False,
    "mail.spam.version": 1,
    "mail.winsearch.firstRunDone": True,
    "mailnews.auto_config_url": "",
    "mailnews.message_display.disable_remote_image": True,
    "mailnews.start_page.enabled": False,
    "mailnews.start_page_override.mstone": "ignore",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.type": 1,
    "network.trr.mode": 5,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.enabled": False,
    "toolkit.telemetry.server": "",
    "toolkit.telemetry.unified": False,
}


class Thunderbird:
    """A running Thunderbird; ends with the `with` block."""

    def __init__(
        self, home: Path, port: int, security: int, user: str, password: str, *, condstore: bool = False
    ) -> None:
        """`condstore` is off in Thunderbird unless somebody sets it."""
        self.home, self._port, self._user, self._password = home, port, user, password
        self._marionette_port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None
        self.driver: Marionette
        self._profile = home / "profile"
        self._profile.mkdir(exist_ok=True)
        prefs = {**QUIET, **self._account(security, condstore), "marionette.port": self._marionette_port}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in prefs.items()]
        (self._profile / "user.js").write_text("".join(lines))

    def _account(self, security: int, condstore: bool) -> dict[str, object]:
        server = {
            "authMethod": 3,
            "check_new_mail": True,
            "hostname": "localhost",
            "login_at_startup": False,
            "name": "Here",
            "port": self._port,
            "socketType": security,
            "type": "imap",
            "use_condstore": condstore,
            "use_idle": True,
            "userName": self._user,
            "offline_download": False,
        }
        return {
            "mail.accountmanager.accounts": "account1",
            "mail.accountmanager.defaultaccount": "account1",
            "mail.account.account1.identities": "id1",
            "mail.account.account1.server": "server1",
            "mail.identity.id1.fullName": "Somebody",
            "mail.identity.id1.useremail": f"{self._user}@localhost",
            "mail.identity.id1.valid": True,
            **{f"mail.server.server1.{name}": value for name, value in server.items()},
        }

    def __enter__(self) -> "Thunderbird":
        program = shutil.which("thunderbird")
        assert program
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C.UTF-8", "MOZ_HEADLESS": "1"}
        if "MOZ_LOG" in os.environ:  # for a look at the conversation: IMAP:5 and MOZ_LOG_FILE
            env |= {name: os.environ[name] for name in ("MOZ_LOG", "MOZ_LOG_FILE")}
        with (self.home / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [program, "--headless", "--no-remote", "--marionette", "--remote-allow-system-access",
                 "--profile", str(self._profile)],
                cwd=self.home, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        try:
            self.driver = Marionette(self._marionette_port, START_SECS)
            self._prepare()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.driver.quit()
        self._stop()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()

    def _prepare(self) -> None:
        """Wait for the window; save the password and trust the certificate, as somebody once did by hand."""
        self.driver.wait("the main window", MAIN_WINDOW, seconds=START_SECS)
        self.driver.run(REMEMBER, self._user, self._password)
        pem = shared_certificate().cert.read_bytes()
        der = load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
        self.driver.run(TRUST, base64.b64encode(der).decode(), self._port)

    def run(self, script: str, *args: object) -> Any:
        return self.driver.run(HELPERS + script, *args)

    def wait(self, what: str, script: str, *args: object, seconds: float = 60) -> Any:
        return self.driver.wait(what, HELPERS + script, *args, seconds=seconds)


MAIN_WINDOW = """
const window3 = Services.wm.getMostRecentWindow("mail:3pane");
const tabs = window3?.document.getElementById("tabmail");
const inner = tabs?.currentAbout3Pane;
return window3?.document.readyState == "complete" && inner?.document.readyState == "complete"
    && !!inner.threadTree && !!inner.folderTree;
"""

REMEMBER = """
const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
if ((await Services.logins.getAllLogins()).length) return true; // of the run before
login.init("imap://localhost", null, "imap://localhost", args[0], args[1], "", "");
await Services.logins.addLoginAsync(login);
return true;
"""

TRUST = """
const certificates = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
const overrides = Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService);
const certificate = certificates.constructX509FromBase64(args[0]);
overrides.rememberValidityOverride("localhost", args[1], {}, certificate, false);
return true;
"""

HELPERS = """
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const mainWindow = Services.wm.getMostRecentWindow("mail:3pane");
const tabmail = mainWindow.document.getElementById("tabmail");
const pane = tabmail.currentAbout3Pane;
const server = MailServices.accounts.accounts[0].incomingServer;
const root = server.rootFolder;
const folderOf = path => path.split("/").reduce((folder, name) => folder?.getChildNamed(name), root);
const subjects = folder => [...folder.messages].map(header => header.mime2DecodedSubject).sort();
"""
