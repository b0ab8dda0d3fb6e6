"""TLS, client certificates and the SSH tunnel, tested with a PostgreSQL that requires TLS and an SSH server."""

from __future__ import annotations

import io
import json
import selectors
import socket
import stat
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paramiko
import pytest

from target_warehouse.errors import ConnectionFailedError, WarehouseError
from target_warehouse.singer.target import TargetWarehouse
from tests.target.listener import Listener
from tests.target.own_server import PASSWORD, OwnServer, installed_programs_with_tls, own_server
from tests.target.tls import Authority, Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ENTRIES = """local all all trust
hostssl all by_certificate 127.0.0.1/32 cert
hostssl all all 127.0.0.1/32 scram-sha-256
"""
LINES = "".join(
    json.dumps(line) + "\n"
    for line in (
        {
            "type": "SCHEMA",
            "stream": "t",
            "key_properties": ["id"],
            "schema": {"properties": {"id": {"type": "integer"}}},
        },
        {"type": "RECORD", "stream": "t", "record": {"id": 1}},
    )
)


@dataclass(frozen=True)
class Encrypted:
    """A PostgreSQL that accepts TLS only, on a port of 127.0.0.1."""

    server: OwnServer
    port: int
    gate: Gate | None = None


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module", params=["its own TLS", "a gate before it"])
def encrypted(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Encrypted]:
    """A server with one user who logs in by password and one who logs in by certificate.

    An installed PostgreSQL speaks TLS itself. That of the wheel cannot: a gate in front of it does, which checks client
    certificates but cannot pass their owner on to PostgreSQL.
    """
    programs = installed_programs_with_tls() if request.param == "its own TLS" else None
    if programs is None and request.param == "its own TLS":
        pytest.skip("no PostgreSQL with TLS is installed")
    own = authority.sign("127.0.0.1")
    for server in own_server(programs):
        with server.connect() as connection:
            connection.execute("CREATE USER by_certificate SUPERUSER")
        server.stop()
        if programs:
            (server.data / "pg_hba.conf").write_text(ENTRIES)
            files = {"ssl_cert_file": own.certificate, "ssl_key_file": own.key, "ssl_ca_file": authority.certificate}
            server.configure(ssl="on", **{name: server.own(name, text) for name, text in files.items()})
            server.start()
            yield Encrypted(server, server.port)
            continue
        (server.data / "pg_hba.conf").write_text(ENTRIES.replace("hostssl", "host").replace(" cert", " trust"))
        server.start()
        gate = Gate(server.port, own, authority, tmp_path_factory.mktemp("gate"))
        yield Encrypted(server, gate.port, gate)
        gate.close()


@pytest.fixture
def config(encrypted: Encrypted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """target-postgres' settings for the server, and a home folder without certificates."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return {
        "host": "127.0.0.1",
        "port": encrypted.port,
        "user": "postgres",
        "password": PASSWORD,
        "database": "postgres",
        "default_target_schema": f"crm_{tmp_path.name}",
    }


def _load(encrypted: Encrypted, config: dict[str, Any]) -> None:
    """Load a row, and check that it is stored."""
    TargetWarehouse(config=config).run(io.StringIO(LINES))
    with encrypted.server.connect() as connection:
        assert connection.execute(f'SELECT id FROM "{config["default_target_schema"]}".t').fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("mode", "by"),
    [
        ("require", "text"),
        ("verify-ca", "text"),
        ("verify-full", "text"),
        ("verify-full", "file"),
        ("verify-full", "URL"),
        ("verify-full", "sqlalchemy_url"),
    ],
)
def test_the_server_is_verified_by_its_authority(
    mode: str, by: str, encrypted: Encrypted, authority: Authority, config: dict[str, Any], tmp_path: Path
) -> None:
    """The authority's certificate is a path or the text itself; the settings apply to a URL too."""
    file = tmp_path / "authority.pem"
    file.write_text(authority.certificate)
    if by == "sqlalchemy_url":  # only the URL's own parameters apply
        parameters = f"?sslmode={mode}&sslrootcert={file}"
        url = f"postgresql+psycopg://postgres:{PASSWORD}@127.0.0.1:{encrypted.port}/postgres{parameters}"
        own = {"sqlalchemy_url": url, "default_target_schema": config["default_target_schema"]}
        _load(encrypted, {**own, "ssl_enable": True, "ssl_mode": "disable"})
        return
    if by == "URL":
        config = {
            "warehouse": f"postgresql://postgres:{PASSWORD}@127.0.0.1:{encrypted.port}/postgres",
            "default_target_schema": config["default_target_schema"],
        }
    given = authority.certificate if by == "text" else str(file)
    _load(encrypted, {**config, "ssl_enable": True, "ssl_mode": mode, "ssl_certificate_authority": given})


def test_a_path_may_begin_with_the_home_folder(
    encrypted: Encrypted, authority: Authority, config: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "authority.pem").write_text(authority.certificate)
    _load(encrypted, {**config, "ssl_enable": True, "ssl_certificate_authority": "~/authority.pem"})


def test_a_server_of_another_authority_is_refused(encrypted: Encrypted, config: dict[str, Any]) -> None:
    stranger = Authority().certificate
    for mode in ("verify-ca", "verify-full"):
        settings = {**config, "ssl_enable": True, "ssl_mode": mode, "ssl_certificate_authority": stranger}
        with pytest.raises(ConnectionFailedError, match="certificate verify failed") as raised:
            TargetWarehouse(config=settings).run(io.StringIO(LINES))
        assert PASSWORD not in str(raised.value)


def test_a_server_with_another_name_is_refused_only_by_verify_full(
    encrypted: Encrypted, authority: Authority, config: dict[str, Any]
) -> None:
    settings = {**config, "host": "localhost", "ssl_enable": True, "ssl_certificate_authority": authority.certificate}
    with pytest.raises(ConnectionFailedError, match="does not match host name"):
        TargetWarehouse(config=settings).run(io.StringIO(LINES))
    _load(encrypted, {**settings, "ssl_mode": "verify-ca"})


def test_a_refusal_without_tls_is_a_clear_error(encrypted: Encrypted, config: dict[str, Any]) -> None:
    with pytest.raises(ConnectionFailedError, match=r"no encryption|closed the connection"):
        TargetWarehouse(config={**config, "ssl_enable": True, "ssl_mode": "disable"}).run(io.StringIO(LINES))


@pytest.mark.parametrize("by", ["file", "text"])
def test_a_client_certificate_logs_in_without_a_password(
    by: str, encrypted: Encrypted, authority: Authority, config: dict[str, Any], tmp_path: Path
) -> None:
    """Keys given as text are written to files that only their owner can read."""
    client = authority.sign("by_certificate")
    certificate, key = client.certificate, client.key
    if by == "file":
        certificate, key = str(tmp_path / "client.pem"), str(tmp_path / "client.key")
        (tmp_path / "client.pem").write_text(client.certificate)
        (tmp_path / "client.key").touch(0o600)
        (tmp_path / "client.key").write_text(client.key)
    settings = {
        **config,
        "user": "by_certificate",
        "password": "not asked for",
        "ssl_enable": True,
        "ssl_certificate_authority": authority.certificate,
        "ssl_client_certificate_enable": True,
        "ssl_client_certificate": certificate,
        "ssl_client_private_key": key,
    }
    _load(encrypted, settings)
    written = tmp_path / ".secrets"
    assert stat.S_IMODE(written.stat().st_mode) == 0o700
    if by == "text":
        assert stat.S_IMODE((written / "pkey.key").stat().st_mode) == 0o600
    if encrypted.gate:
        assert set(encrypted.gate.guests) == {"by_certificate"}
    stranger = Authority().sign("by_certificate")
    settings |= {"ssl_client_certificate": stranger.certificate, "ssl_client_private_key": stranger.key}
    with pytest.raises(ConnectionFailedError, match=r"certificate|unknown ca"):
        TargetWarehouse(config=settings).run(io.StringIO(LINES))


class Bastion(Listener, paramiko.ServerInterface):
    """An SSH server on 127.0.0.1 that accepts one key and forwards connections, like a bastion."""

    def __init__(self, user: str, key: paramiko.PKey) -> None:
        self._user, self._key = user, key
        self._host_key = paramiko.ECDSAKey.generate()
        self._transports: list[paramiko.Transport] = []
        self._forwarded: dict[int, tuple[str, int]] = {}
        self.forwards = 0
        super().__init__()

    def close(self) -> None:
        super().close()
        for transport in self._transports:
            transport.close()

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        is_known = username == self._user and key == self._key
        return paramiko.AUTH_SUCCESSFUL if is_known else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002 - paramiko's
        return "publickey"

    def check_channel_direct_tcpip_request(self, chanid: int, _origin: object, destination: tuple[str, int]) -> int:
        self._forwarded[chanid] = destination
        return paramiko.OPEN_SUCCEEDED

    def serve(self, client: socket.socket) -> None:
        transport = paramiko.Transport(client)
        self._transports.append(transport)
        transport.add_server_key(self._host_key)
        try:
            transport.start_server(server=self)
        except paramiko.SSHException:
            return
        while transport.is_active():
            channel = transport.accept(1)
            if channel:
                self.forwards += 1
                remote = socket.create_connection(self._forwarded[channel.get_id()])
                threading.Thread(target=_join, args=(channel, remote), daemon=True).start()


def _join(channel: paramiko.Channel, remote: socket.socket) -> None:
    with selectors.DefaultSelector() as selector, channel, remote:
        selector.register(channel, selectors.EVENT_READ, remote)
        selector.register(remote, selectors.EVENT_READ, channel)
        while True:
            for ready, _ in selector.select():
                try:
                    data = ready.fileobj.recv(1 << 15)
                    ready.data.sendall(data)
                except OSError:
                    return
                if not data:
                    return


@pytest.fixture(scope="module")
def key() -> paramiko.RSAKey:
    return paramiko.RSAKey.generate(2048)


@pytest.fixture
def bastion(key: paramiko.RSAKey) -> Iterator[Bastion]:
    bastion = Bastion("hopper", key)
    yield bastion
    bastion.close()


def _text(key: paramiko.RSAKey, password: str | None = None) -> str:
    file = io.StringIO()
    key.write_private_key(file, password)
    return file.getvalue()


def _through(bastion: Bastion, **more: Any) -> dict[str, Any]:
    return {"enable": True, "host": "127.0.0.1", "port": bastion.port, "username": "hopper", **more}


@pytest.mark.parametrize("encrypted", ["a gate before it"], indirect=True)
@pytest.mark.parametrize("password", [None, "of the key"])
def test_rows_are_loaded_through_the_tunnel(
    password: str | None,
    encrypted: Encrypted,
    bastion: Bastion,
    key: paramiko.RSAKey,
    config: dict[str, Any],
    run_target: Callable[..., Any],
) -> None:
    """In a process of its own, which the tunnel does not prevent from ending; with TLS through the tunnel."""
    tunnel = _through(bastion, private_key=_text(key, password), private_key_password=password)
    finished = run_target(LINES, **config, ssl_enable=True, ssl_mode="require", ssh_tunnel=tunnel)
    assert (finished.returncode, finished.stdout) == (0, ""), finished.stderr
    assert bastion.forwards >= 2
    with encrypted.server.connect() as connection:
        assert connection.execute(f'SELECT id FROM "{config["default_target_schema"]}".t').fetchall() == [(1,)]


@pytest.mark.parametrize("encrypted", ["a gate before it"], indirect=True)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"username": "stranger"}, "Authentication failed"),
        ({"private_key_password": "wrong"}, r"ssh_tunnel\.private_key"),
        ({"private_key": "no key"}, r"ssh_tunnel\.private_key"),
        ({"port": 1}, "Unable to connect|refused"),
    ],
    ids=["a user that the bastion does not know", "a wrong password of the key", "no key", "no bastion"],
)
def test_a_tunnel_that_does_not_open_is_a_clear_error(
    change: dict[str, Any], words: str, bastion: Bastion, key: paramiko.RSAKey, config: dict[str, Any]
) -> None:
    secret = _text(key, "of the key")
    tunnel = _through(bastion, private_key=secret, private_key_password="of the key")
    with pytest.raises(WarehouseError, match=words) as raised:
        TargetWarehouse(config={**config, "ssh_tunnel": {**tunnel, **change}}).run(io.StringIO(LINES))
    assert "of the key" not in str(raised.value)
    assert secret[50:80] not in str(raised.value)
