"""Certificates, and a TLS proxy for a PostgreSQL that does not support TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
import select
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.target.listener import Listener

if TYPE_CHECKING:
    from pathlib import Path

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")  # what a PostgreSQL client sends before it begins TLS


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM text."""

    certificate: str
    key: str


class Authority:
    """A certificate authority; `certificate` is its own certificate."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(f"authority {x509.random_serial_number()}")
        builder = self._builder(self._name, self._key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate = _pem(builder.sign(self._key, hashes.SHA256()))

    def sign(self, name: str) -> Certificate:
        """A certificate for a user, or for a server at an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_named(name), key)
        if name[0].isdigit():
            address = x509.IPAddress(ipaddress.ip_address(name))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Certificate(_pem(builder.sign(self._key, hashes.SHA256())), secret.decode())

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


class Gate(Listener):
    """A proxy that terminates TLS on its own port and forwards the data, like the load balancer of a database.

    It only accepts TLS connections, and client certificates of one authority; `guests` are the clients' names.
    """

    def __init__(self, server_port: int, own: Certificate, authority: Authority, folder: Path) -> None:
        (folder / "gate.pem").write_text(own.certificate + own.key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "gate.pem")
        self._context.load_verify_locations(cadata=authority.certificate)
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._server_port = server_port
        self.guests: list[str] = []
        super().__init__()

    def serve(self, client: socket.socket) -> None:
        with client:
            if client.recv(8, socket.MSG_WAITALL) != _SSL_REQUEST:
                return
            client.sendall(b"S")
            try:
                guest = self._context.wrap_socket(client, server_side=True)
            except (ssl.SSLError, OSError):
                return  # the client rejects our certificate, or we reject the client's
            name = (guest.getpeercert() or {}).get("subject")
            self.guests += [value for ((_, value),) in name] if name else []  # type: ignore[misc]
            with guest, socket.create_connection(("127.0.0.1", self._server_port)) as server:
                _join(guest, server)


def _join(one: ssl.SSLSocket, other: socket.socket) -> None:
    while True:
        for source in [one] if one.pending() else select.select([one, other], [], [])[0]:
            try:
                data = source.recv(1 << 15)
            except OSError:
                return
            if not data:
                return
            (other if source is one else one).sendall(data)
