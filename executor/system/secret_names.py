"""A test for environment variables that hold secrets, by name and by value."""

from __future__ import annotations

import re
from itertools import pairwise

from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Exists = Callable[[str], bool]

SHORTEST_SECRET = 8

# Words of a name, between underscores, dashes and dots, or in camel case.
_WORDS = lazy_regex.pattern(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET = lazy_regex.pattern(
    r"KEYS?|TOKENS?|SECRETS?|PASS|PASSWORDS?|PASSWD|PASSPHRASES?|PASSCODE|PWD|PATS?|CRED(?:ENTIAL)?S?|AUTH|AUTHORIZATION"
    r"|COOKIES?|JWT|BEARER|SAS|CONNSTR"
)
# Without a separator before it: PGPASSWD, NGROK_AUTHTOKEN, openaikey.
_GLUED = lazy_regex.pattern(r".+(?:KEYS?|TOKENS?|SECRETS?|PASS|PASSWORDS?|PASSWD|PASSPHRASE|PWD|CREDENTIALS?|CONNSTR)")
_URL_WORDS = frozenset(("WEBHOOK", "WEBHOOKS", "DSN"))
_PAIRS = (("CONNECTION", "STRING"), ("CONN", "STR"), ("CONNECTION", "STRINGS"))


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ENGLISH = _set(
    "MONKEY MONKEYS DONKEY TURKEY HOCKEY JOCKEY WHISKEY LACKEY HOTKEY HOTKEYS COMPASS BYPASS SURPASS"
    " TRESPASS OVERPASS UNDERPASS ENCOMPASS ASKPASS MULTIPASS OLDPWD"
)
_NAMES = frozenset(("PWD", "OLDPWD", "SSH_AUTH_SOCK", "XAUTHORITY"))  # of the shell and of sessions
# With one of these as last word the value describes a secret, and is none.
_ABOUT = _set(
    "NAME NAMES USER USERNAME SOCK SOCKET TYPE TYPES MODE METHOD METHODS SIZE LEN LENGTH COUNT LIMIT"
    " LIMITS TTL EXPIRY EXPIRES TIMEOUT ALGORITHM ALGO ENABLED REQUIRED DISABLED PARALLELISM PROVIDER"
    " BACKEND HEADER PREFIX FORMAT VERSION REGION POLICY SCOPE SCOPES AUDIENCE ISSUER HOST PORT SERVER"
    " PLUGIN COLUMN FIELD BUDGET RATE STRATEGY"
)
_PLACES = frozenset(("URL", "URI", "ENDPOINT"))
_FILES = _set("FILE FILES PATH PATHS DIR FOLDER HOME")
# With one of these before it, it is no secret: tokens of a text or a count, public keys.
_HARMLESS = {
    "TOKEN": _set(
        "MAX MIN NUM N TOTAL NEW PER SPECIAL EOS BOS PAD UNK MASK SEP CLS STOP END START EOT IMAGE CONTEXT"
        " PROMPT COMPLETION OUTPUT INPUT BATCH"
    ),
    "KEY": _set("PUBLIC PUB PRIMARY FOREIGN SORT PARTITION CACHE METRIC GROUP INDEX JOIN DICT"),
}
_SETTINGS = frozenset(("disabled", "required", "optional", "undefined", "anonymous"))

_NUMBER = lazy_regex.pattern(r"[+-]?[\d_.,]+(?:[eE][+-]?\d+)?")
_URL = lazy_regex.pattern(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\s]*)([^\s]*)")
_SIGNED_IN = lazy_regex.pattern(r"[A-Za-z][A-Za-z0-9+.-]*://([^:/?#@\s]*):(?!\d+/)(\S+)@")
_SEGMENTS = lazy_regex.pattern(r"(?:/|~[\w.-]*/|\.{1,2}/)[\w.@+/ -]*[\w.@+/-]")
_ROOTS = _set(
    "home Users root etc var opt usr tmp mnt srv data run private Volumes dev secrets workspace"
    " workspaces app proc sys media nix snap boot lib scratch content kaggle"
)
_ENDING = lazy_regex.pattern(
    r".*\.(?:pem|key|crt|cer|json|txt|ya?ml|p12|pfx|jks|pub|env|toml|ini|asc|gpg|kdbx|sock|sh|py)"
)
_MIXED = (lazy_regex.pattern("[a-z]"), lazy_regex.pattern("[A-Z]"), lazy_regex.pattern("[0-9]"))


def words_of(name: str) -> list[str]:
    """Return the words of a name in capitals, numbers left out: `myApiKey_2` is MY, API, KEY."""
    whole = name.upper() if name.isupper() or name.islower() else name
    words = [one.upper() for one in _WORDS.findall(whole)]
    return [one for one in words if not one.isdigit()]


def is_secret_name(name: str) -> bool:
    """Return True for a name of a secret."""
    words = words_of(name)
    if not words or name.upper() in _NAMES or words[-1] in _ABOUT:
        return False
    return any(_is_secret_word(words, at) for at in range(len(words))) or _is_connection_string(words)


def _is_secret_word(words: list[str], at: int) -> bool:
    word = words[at]
    if word in _ENGLISH or not (_SECRET.fullmatch(word) or _GLUED.fullmatch(word)):
        return word in _URL_WORDS
    stem = word.removesuffix("S")
    return not any(one in _HARMLESS.get(stem, ()) for one in words if one != word)


def _is_connection_string(words: list[str]) -> bool:
    return any(pair in _PAIRS for pair in pairwise(words))


def may_be_secret(value: str) -> bool:
    """Return True for a text in the form of a secret: long enough, no number, no word of settings."""
    return len(value) >= SHORTEST_SECRET and not _NUMBER.fullmatch(value) and value.lower() not in _SETTINGS


def is_secret(name: str, value: str, exists: Exists) -> bool:
    """Return True when the whole value of a variable is a secret, by its name and its form."""
    if not may_be_secret(value):
        return False
    place = _URL.fullmatch(value)
    if place:
        return bool(secrets_in_url(value)) or (is_secret_name(name) and not _is_public_url(name, place))
    return is_secret_name(name) and not is_path(name, value, exists)


def is_secret_of_file(name: str, value: str, exists: Exists) -> bool:
    """Return True when a variable of an env file is a secret: under any name, unless its form excludes it."""
    if not may_be_secret(value) or name.upper() in _NAMES:
        return False
    return is_secret(name, value, exists) if _URL.fullmatch(value) else not is_path(name, value, exists)


def _is_public_url(name: str, place: re.Match[str]) -> bool:
    """Return True for a URL that is a plain address: without a user, and not of a webhook by its name."""
    words = words_of(name)
    if "@" in place[2] or {"WEBHOOK", "WEBHOOKS", "SAS"}.intersection(words):
        return False
    return words[-1] in _PLACES or "DSN" in words


def is_path(name: str, value: str, exists: Exists) -> bool:
    """Return True for a value that is an existing path, or has the form of one; base64 may begin with a slash too."""
    if "\n" in value:
        return False
    rooted = value.startswith(("/", "~", "./", "../"))
    words = words_of(name)
    if (rooted or (words and words[-1] in _FILES)) and exists(value):
        return True
    return _looks_like_path(value) if rooted else bool(_ENDING.fullmatch(value) and not re.search(r"\s", value))


def _looks_like_path(value: str) -> bool:
    if not _SEGMENTS.fullmatch(value):
        return False
    segments = [one for one in value.split("/") if one]
    if segments[0] in _ROOTS or _ENDING.fullmatch(value):
        return len(segments) > 1 or bool(_ENDING.fullmatch(value))
    return len(segments) > 1 and not all(form.search(value) for form in _MIXED)


def secrets_in_url(value: str) -> list[str]:
    """Return the secrets in a URL: `user:password@`, the password, and the keys of the query."""
    found = _URL.fullmatch(value)
    if not found:
        return []
    named = re.findall(r"[?&;]([\w.-]+)=([^&#;]+)", found[3])
    asked = [text for name, text in named if is_secret_name(name) or name.lower() in ("sig", "signature", "code")]
    signed = _SIGNED_IN.match(value)
    return [f"{signed[1]}:{signed[2]}@", *_url_forms(signed[2]), *asked] if signed else asked


def _url_forms(text: str) -> list[str]:
    """Return a part of a URL as it is written, and decoded."""
    if "%" not in text:
        return [text]
    from urllib.parse import unquote

    return [text, unquote(text)]


def secret_parts(name: str, value: str) -> Iterator[str]:
    """Yield the parts of a secret value that are secrets: lines, members of JSON and lists, parts of URLs, values."""
    if "\n" in value:
        yield from (line.strip() for line in value.splitlines() if "-----" not in line)
    if value[:1] in "{[":
        yield from _members(value)
    if _URL.fullmatch(value):
        yield from _parts_of_url(name, value)
    else:
        yield from (text for key, text in re.findall(r"(?:^|[;\s])([\w ]+?)=([^;\s]+)", value) if is_secret_name(key))
    scheme, blank, rest = value.partition(" ")
    if blank and scheme.lower() in ("bearer", "basic", "token"):
        yield rest.strip()
    if value[:1] == value[-1:] and value[:1] in "'\"":
        yield value[1:-1]
    if words_of(name)[-1:] and words_of(name)[-1].endswith("S") and not value.startswith(("{", "[", "-----")):
        yield from (one for one in re.split(r"[,;\s]+", value) if _is_mixed(one))


def _parts_of_url(name: str, url: str) -> Iterator[str]:
    yield from secrets_in_url(url)
    words = words_of(name)
    host = url.partition("://")[2].partition("/")[0]
    if "DSN" in words and "@" in host:
        yield host.rpartition("@")[0]
    if words[-1:] not in (["URL"], ["DSN"]) or not {"WEBHOOK", "WEBHOOKS"}.isdisjoint(words):
        yield from url_tokens(url.partition("://")[2].partition("/")[2])


def url_tokens(rest: str) -> Iterator[str]:
    """Yield the parts between the slashes of a URL that look like a token of a webhook."""
    yield from (one for one in re.split(r"[/?&=@:#]+", rest) if "." not in one and _is_mixed(one))


def _is_mixed(text: str) -> bool:
    return len(text) >= SHORTEST_SECRET and any(map(str.isdigit, text)) and any(map(str.isalpha, text))


def _members(value: str) -> Iterator[str]:
    """Yield the texts in a JSON value with a secret name, and those in a list that look like keys."""
    from json import loads

    try:
        whole = loads(value)
    except (ValueError, RecursionError):
        return
    waiting = [("", whole)]
    while waiting:
        name, one = waiting.pop()
        if isinstance(one, dict):
            waiting += [(str(key), inner) for key, inner in one.items()]
        elif isinstance(one, list):
            waiting += [(name, inner) for inner in one]
        elif isinstance(one, str) and (is_secret_name(name) or (not name and _is_mixed(one))):
            yield one
            yield from (line for line in one.splitlines() if "-----" not in line)
