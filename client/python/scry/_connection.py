"""How a channel to the server is made."""

from __future__ import annotations

import ipaddress
import json
import os
from pathlib import Path
from typing import Any

import grpc

from ._calls import MAX_MESSAGE

# Calls spread over the addresses of a name. Retries are _retry's: gRPC's own know neither RetryInfo nor whether a pause
# ends before the deadline.
_SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})


def options(extra: Any) -> list[tuple[str, Any]]:
    return [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.max_send_message_length", MAX_MESSAGE),
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.primary_user_agent", "scry-python-client"),
        *extra,
    ]


def is_loopback(target: str) -> bool:
    """Whether the target can only be this machine: localhost, a loopback address, a Unix socket."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    if "://" in target:
        target = target.split("://", 1)[1].split("/", 1)[-1]
    host = target.rsplit(":", 1)[0] if target.count(":") == 1 or "]" in target else target
    host = host.strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def credentials(target: str, tls: Any) -> grpc.ChannelCredentials | None:
    """None = plain text, which is spoken to loopback addresses, or because tls is False."""
    if tls is None:
        tls = not is_loopback(target)
    if tls is False:
        return None
    if tls is True:
        return grpc.ssl_channel_credentials()
    if isinstance(tls, bytes):
        return grpc.ssl_channel_credentials(root_certificates=tls)
    if isinstance(tls, (str, os.PathLike)):
        return grpc.ssl_channel_credentials(root_certificates=Path(tls).read_bytes())
    return tls


def metadata(token: str, tenant: str) -> tuple[tuple[str, str], ...]:
    if any(c in "\r\n" for c in token + tenant):
        raise ValueError("a token or tenant must not hold line breaks")
    return (*((("authorization", f"Bearer {token}"),) if token else ()), *((("scry-tenant", tenant),) if tenant else ()))


def health(channel: Any) -> Any:
    """grpc.health.v1.Health/Check of the whole server, which answers bytes. Its package would pin protobuf's version for
    one field: 1 = SERVING."""
    return channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=lambda _: b"", response_deserializer=lambda b: b)


SERVING = b"\x08\x01"
