"""Talking to a Grafana: is one there, sign in, what its refusals mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from grafana_client.api import GrafanaApi
from grafana_client.client import GrafanaException


@dataclass(frozen=True, slots=True)
class Credential:
    """How we sign in to Grafana: a service account's token, or a user and password."""

    token: str = ""
    user: str = ""
    password: str = ""

    @property
    def secret(self) -> str | tuple[str, str] | None:
        """As grafana-client takes it; None: anonymous."""
        return self.token or ((self.user, self.password) if self.user else None)


def answers(url: str) -> bool:
    """Whether a Grafana answers at ``url`` within a second."""
    try:
        reply = httpx.get(f"{url.rstrip('/')}/api/health", timeout=1, follow_redirects=True)
        return reply.is_success and "database" in dict(reply.json())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError):
        return False


def client(url: str, credential: Credential) -> GrafanaApi:
    """A client of the Grafana at ``url``; nothing is sent yet."""
    base = url.rstrip("/") + "/"
    api: GrafanaApi = GrafanaApi.from_url(base, credential=credential.secret, timeout=15)
    # Otherwise Grafana tries a data source with its settings of up to 5 seconds ago.
    api.client.s.headers["X-Grafana-NoCache"] = "true"
    return api


def existing(read: Callable[[str], dict[str, Any]], uid: str) -> dict[str, Any] | None:
    """What ``read`` finds under ``uid``, or None. Raises `GrafanaException` when refused."""
    try:
        return read(uid)
    except GrafanaException as error:
        if error.status_code == 404:
            return None
        raise


def reason(error: GrafanaException) -> str:
    """Grafana's own words, and what to do where we know it."""
    said = error.response.get("message") if isinstance(error.response, dict) else None
    text = str(said or error.message)
    if error.status_code == 403 and "permission" in text:
        return f"not permitted ({text}) → use a service account with the role Admin"
    return text
