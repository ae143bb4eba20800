"""Thunderbird does a day's work: ``python -m tests.interop.recording thunderbird``.

The program runs without a window; scripts of ours ask its own mail code for what the buttons ask it for.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from tests.interop.recording.marionette import Marionette
from tests.interop.recording.work import Desk, free_port

_STEP: Final = re.compile(r"^//# (.+)$", re.MULTILINE)


def preferences(desk: Desk, marionette: int) -> dict[str, Any]:
    """An account as the assistant would set it up, and nothing that asks the world."""
    return {
        "mail.accountmanager.accounts": "account1",
        "mail.accountmanager.defaultaccount": "account1",
        "mail.account.account1.identities": "id1",
        "mail.account.account1.server": "server1",
        "mail.identity.id1.fullName": "Ann",
        "mail.identity.id1.useremail": desk.address,
        "mail.identity.id1.smtpServer": "smtp1",
        "mail.identity.id1.valid": True,
        "mail.identity.id1.compose_html": False,
        "mail.server.server1.type": "imap",
        "mail.server.server1.hostname": "127.0.0.1",
        "mail.server.server1.port": desk.ports["imap"],
        "mail.server.server1.userName": desk.address,
        "mail.server.server1.name": desk.address,
        "mail.server.server1.socketType": 0,
        "mail.server.server1.authMethod": 3,
        # What is compressed cannot be read by people.
        "mail.server.server1.use_compress_deflate": False,
        "mail.server.server1.login_at_startup": False,
        "mail.server.server1.check_new_mail": False,
        "mail.smtpservers": "smtp1",
        "mail.smtp.defaultserver": "smtp1",
        "mail.smtpserver.smtp1.hostname": "127.0.0.1",
        "mail.smtpserver.smtp1.port": desk.ports["submission"],
        "mail.smtpserver.smtp1.username": desk.address,
        "mail.smtpserver.smtp1.authMethod": 3,
        "mail.smtpserver.smtp1.try_ssl": 0,
        "mail.provider.suppress_dialog_on_startup": True,
        "mailnews.start_page.enabled": False,
        "mail.inappnotifications.enabled": False,
        "mail.shell.checkDefaultClient": False,
        "mail.warn_on_send_accel_key": False,
        "app.donation.eoy.version.viewed": 999,
        "app.update.enabled": False,
        "extensions.update.enabled": False,
        "datareporting.policy.dataSubmissionEnabled": False,
        "network.captive-portal-service.enabled": False,
        "network.connectivity-service.enabled": False,
        "network.manage-offline-status": False,
        "services.settings.server": "http://127.0.0.1:9/",
        "toolkit.telemetry.enabled": False,
        "marionette.port": marionette,
    }


def work(desk: Desk) -> str:
    """Do it all; the version of the program."""
    port = free_port()
    profile = desk.folder / "profile"
    profile.mkdir()
    tools, *steps = _STEP.split(Path(__file__).with_suffix(".js").read_text("utf-8"))
    names, scripts = steps[::2], steps[1::2]
    wanted = preferences(desk, port).items()
    (profile / "user.js").write_text(
        "".join([f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in wanted])
    )
    arguments = ("--headless", "--no-remote", "--profile", str(profile), "--marionette", "-remote-allow-system-access")
    with desk.program("thunderbird", *arguments, MOZ_HEADLESS="1"):
        program = Marionette(port)
        for name, script in zip(names, scripts, strict=True):
            if name.startswith("@"):
                desk.act(name[1:])
            desk.say(name)
            answer = program.run(tools + script)
            desk.say(f"    {answer}" if answer is not None else "    done")
        version = program.run("return Services.appinfo.version;")
        program.close()
    return f"Thunderbird {version}"
