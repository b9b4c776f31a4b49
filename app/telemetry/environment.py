"""Whether the environment asks for traces: OpenTelemetry's variables, of which the exporter's address is the one that counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from app.errors import SettingsInvalid


@contextmanager
def traced(environment: Mapping[str, str]) -> Iterator[None]:
    """Send traces while the block runs, if OpenTelemetry's variables ask for that.

    Raises:
        SettingsInvalid: they ask for what is not supported.
        ExtraMissing: they ask for traces, and the libraries are not installed.
    """
    endpoint = _endpoint(environment)
    if endpoint is None:
        yield
        return
    from app.telemetry.exporting import Traces  # noqa: PLC0415 - heavy, and of an extra

    traces = Traces(endpoint)
    traces.start()
    try:
        yield
    finally:
        traces.close()


def _endpoint(environment: Mapping[str, str]) -> str | None:
    """Where traces go; None where there shall be none."""
    name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    endpoint = environment.get(name, "")
    if not endpoint:
        name = "OTEL_EXPORTER_OTLP_ENDPOINT"
        base = environment.get(name, "")
        endpoint = f"{base.rstrip('/')}/v1/traces" if base else ""
    exporter = (environment.get("OTEL_TRACES_EXPORTER") or "otlp").strip().lower()
    if not endpoint or exporter == "none" or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if exporter != "otlp":
        raise SettingsInvalid(f"OTEL_TRACES_EXPORTER={exporter}: traces leave by otlp, or not at all: none")
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol and protocol != "http/protobuf":
        raise SettingsInvalid(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: expected http/protobuf, at port 4318 by custom")
    try:
        parts = urlsplit(endpoint)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise SettingsInvalid(f"{name} is no address; expected such as http://localhost:4318")
    return endpoint
