"""The secret values of an environment, and an environment without them."""

from __future__ import annotations

import os

from executor.system.records import TYPE_CHECKING, Record
from executor.system.secret_names import is_secret, is_secret_of_file, may_be_secret, secret_parts, url_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class NamedSecrets(Record):
    """Variables that a plan declares as secrets: `urls` of notifiers, `filed` from env files."""

    urls: tuple[str, ...] = ()
    filed: tuple[str, ...] = ()


NO_NAMED_SECRETS = NamedSecrets()


def secrets_of(environ: Mapping[str, str], named: NamedSecrets = NO_NAMED_SECRETS) -> tuple[str, ...]:
    """Return the secret values of an environment and their secret parts, the longest first."""
    found: set[str] = set()
    for name, value in environ.items():
        if name in named.urls:
            found.update(secrets_of_urls([value]))
        elif name in named.filed:
            found.update(secrets_of_env_file({name: value}))
        elif is_secret(name, value.strip(), _exists):
            found |= _with_parts(name, value)
    return longest_first(found)


def without_secrets(
    environ: Mapping[str, str], allow: tuple[str, ...] = (), named: NamedSecrets = NO_NAMED_SECRETS
) -> dict[str, str]:
    """Return the environment without secrets and without variables that contain one; names in `allow` stay.

    Values of allowed variables may be contained in others.
    """
    allowed = [value for name, value in environ.items() if name in allow and value]
    asked = {name: _without(value, allowed) for name, value in environ.items() if name not in allow}
    dropped = {*named.urls, *named.filed, *(name for name in asked if is_secret(name, asked[name].strip(), _exists))}
    withheld = secrets_of(asked, named)
    return {
        name: value
        for name, value in environ.items()
        if name in allow or not (name in dropped or any(one in asked[name] for one in withheld))
    }


def secrets_of_urls(urls: Iterable[str]) -> tuple[str, ...]:
    """Return the secrets in the URLs of notifiers: each URL, and each token in it."""
    found = {one for url in urls for one in (*_with_parts("NOTIFY_URL", url), *url_tokens(url.partition("://")[2]))}
    return longest_first(found)


def secrets_of_env_file(values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets of an env file: each value but paths, numbers and URLs without credentials."""
    found: set[str] = set()
    for name, value in values.items():
        if is_secret_of_file(name, value.strip(), _exists):
            found |= _with_parts(name, value)
    return longest_first(found)


def longest_first(values: Iterable[str]) -> tuple[str, ...]:
    """Return each value once, the longest first."""
    return tuple(sorted(set(values), key=lambda value: (-len(value), value)))


def _with_parts(name: str, value: str) -> set[str]:
    """Return a secret value and its secret parts."""
    whole = value.strip()
    return {one for one in (whole, *secret_parts(name, whole)) if may_be_secret(one)}


def _without(value: str, allowed: list[str]) -> str:
    for one in allowed:
        value = value.replace(one, "")
    return value


def _exists(path: str) -> bool:
    return os.path.lexists(os.path.expanduser(path))
