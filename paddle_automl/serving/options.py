"""Where the server listens, what it allows, and how it forms batches."""

from __future__ import annotations

from dataclasses import dataclass

from paddle_automl.core.errors import ConfigError

HOST, PORT = "127.0.0.1", 8080
MEGABYTE = 1_000_000
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Limits:
    """How batches are formed, and the most that one request, all of them, and all connections may take."""

    batch: int = 16
    """Most items in one run of the network."""
    wait_ms: float = 0.0
    """Longest time for which the first item of a batch waits for others while the network has nothing to do."""
    queue: int = 256
    """Most items that wait for the network; a request beyond is refused with 503."""
    items: int = 64
    """Most items of one request."""
    body_mb: float = 32.0
    """Largest body of a request, in MB (10^6 bytes)."""
    bodies_mb: float = 256.0
    """Most MB of bodies that are held at one time, of all requests together."""
    extent: int | None = None
    """Largest item: pixels of an image, characters of a text; None: the input's own limit (`Media.most`)."""
    timeout_s: float = 30.0
    """Longest time for a request's body to arrive, and then for its answer, in seconds."""
    connections: int = 512
    """Most open connections."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a value that allows nothing."""
        for name in ("batch", "queue", "items", "connections"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{_option(name)}: must be at least 1, got {getattr(self, name)}")
        for name in ("body_mb", "bodies_mb", "timeout_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{_option(name)}: must be larger than 0, got {getattr(self, name)}")
        if not 0 <= self.wait_ms <= 10_000:
            raise ConfigError(f"{_option('wait_ms')}: must be 0 to 10000, got {self.wait_ms}")
        if self.extent is not None and self.extent < 1:
            raise ConfigError(f"{_option('extent')}: must be at least 1, got {self.extent}")

    @property
    def body_bytes(self) -> int:
        """Return the largest body of a request in bytes."""
        return int(self.body_mb * MEGABYTE)


@dataclass(frozen=True)
class Address:
    """Where the server listens, and who may ask it."""

    host: str = HOST
    port: int = PORT
    token: str | None = None
    """What a client must send as ``Authorization: Bearer TOKEN``; None: nothing."""
    names: tuple[str, ...] = ()
    """Names of the server that a request's Host header may have; empty: loopback names if it listens only there,
    else any."""

    @property
    def local(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in LOOPBACK

    @property
    def allowed(self) -> frozenset[str] | None:
        """Return the host names that a request may name, in lower case; None: any."""
        if self.names:
            return frozenset(name.lower() for name in self.names) | (LOOPBACK if self.local else frozenset())
        return LOOPBACK if self.local else None


def _option(name: str) -> str:
    return {
        "batch": "--max-batch",
        "wait_ms": "--max-wait-ms",
        "queue": "--max-queue",
        "items": "--max-items",
        "body_mb": "--max-body-mb",
        "bodies_mb": "--max-bodies-mb",
        "extent": "--max-extent",
        "timeout_s": "--timeout",
        "connections": "--max-connections",
    }[name]
