"""A mail server that keeps what it gets: `smtp_sink.py FOLDER CERTIFICATE KEY tls|starttls`.

Prints its port, then serves until its standard input ends. Mails lie in FOLDER as 1.eml, 2.eml and so on. Logging in is required and
works for `ops` with the password `hunter2` only; `refuse.example` is no receiver.
"""

import pathlib
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Keep:
    def __init__(self, folder):
        self.folder, self.count = pathlib.Path(folder), 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.endswith("@refuse.example"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        is_encrypted = server.transport.get_extra_info("ssl_object") is not None
        head = f"X-To: {','.join(envelope.rcpt_tos)}\r\nX-Tls: {is_encrypted}\r\n"
        # Named last, so that a reader never sees half a mail.
        part = self.folder / f"{self.count}.part"
        part.write_bytes(head.encode() + envelope.content)
        part.rename(self.folder / f"{self.count}.eml")
        return "250 OK"


def login(server, session, envelope, mechanism, data):
    # Not handled: the server itself says no.
    return AuthResult(success=data.login == b"ops" and data.password == b"hunter2", handled=False)


def main():
    folder, certificate, key, mode = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    common = dict(hostname="127.0.0.1", port=0, authenticator=login, auth_required=True)
    if mode == "tls":
        controller = Controller(Keep(folder), ssl_context=context, auth_require_tls=False, **common)
    else:
        controller = Controller(Keep(folder), tls_context=context, require_starttls=True, **common)
    # The controller connects to itself to see that it serves, which needs to know the port.
    look = controller._trigger_server

    def look_there():
        controller.port = controller.server.sockets[0].getsockname()[1]
        look()

    controller._trigger_server = look_there
    controller.start()
    print(controller.port, flush=True)
    sys.stdin.read()
    controller.stop()


main()
