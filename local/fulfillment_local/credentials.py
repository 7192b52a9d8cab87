"""Makes the keys, certificates, tokens and kubeconfigs of a control plane that lives for a day at most."""

import csv
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum, unique
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOST = "127.0.0.1"
_VALID_FOR = timedelta(days=1)


@unique
class User(StrEnum):
    """Who the API server knows. Each has a token from the start; RBAC says what each may do."""

    ADMIN = "admin"
    """May do everything."""
    SERVICE = "service"
    """May do nothing until it is granted rules; likewise the others."""
    OPERATOR = "operator"
    PAGE = "page"
    SELF_TEST = "self-test"
    NOBODY = "nobody"
    ALICE = "alice"
    """A person who looks after orders."""


_GROUPS = {User.ADMIN: "system:masters"}  # RBAC allows this group everything


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files that the API server reads, and what its clients need."""

    ca: Path
    """The certificate that clients verify the server's by."""
    server_certificate: Path
    server_key: Path
    service_account_key: Path
    """Signs and verifies service accounts' tokens."""
    token_file: Path
    tokens: Mapping[User, str]


def make_credentials(folder: Path) -> Credentials:
    """Write new credentials into a folder that nobody else may read."""
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _ca_certificate(ca_key)
    credentials = Credentials(
        ca=folder / "ca.crt",
        server_certificate=folder / "server.crt",
        server_key=folder / "server.key",
        service_account_key=folder / "service-accounts.key",
        token_file=folder / "tokens.csv",
        tokens={user: secrets.token_urlsafe(24) for user in User},
    )
    credentials.ca.write_bytes(ca.public_bytes(Encoding.PEM))
    credentials.server_certificate.write_bytes(_server_certificate(server_key, ca, ca_key).public_bytes(Encoding.PEM))
    credentials.server_key.write_bytes(_pem(server_key))
    credentials.service_account_key.write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))
    with credentials.token_file.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            (token, user, user, *filter(None, [_GROUPS.get(user)])) for user, token in credentials.tokens.items()
        )
    return credentials


def write_kubeconfig(path: Path, credentials: Credentials, server: str, user: User) -> Path:
    """Write a kubeconfig for one user (as JSON, which is YAML)."""
    name = "fulfillment-local"
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority": str(credentials.ca)}}],
        "users": [{"name": user, "user": {"token": credentials.tokens[user]}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user, "namespace": "default"}}],
        "current-context": name,
    }
    path.write_text(json.dumps(kubeconfig, indent=2), encoding="utf-8")
    path.chmod(0o600)  # helm warns of one that others may read
    return path


def _ca_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fulfillment-local CA")])
    return (
        _certificate(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _server_certificate(
    key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    names = [x509.IPAddress(IPv4Address(HOST)), x509.DNSName("localhost")]
    return (
        _certificate(name, ca.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _VALID_FOR)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write a key in the one form that the API server also reads a public key from."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
