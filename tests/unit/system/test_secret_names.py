"""Which variables hold secrets: names as people have them, values as keys are."""

from __future__ import annotations

import json

import pytest

from executor.system.secret_names import is_secret_name
from executor.system.secret_values import (
    NamedSecrets,
    secrets_of,
    secrets_of_env_file,
    secrets_of_urls,
    without_secrets,
)


def names(text: str) -> list[str]:
    return text.split()


VALUE = "xK9vLq2Zt7Wm4"
SECRET = [
    "API_KEY",
    "KEYS",
    "HF_TOKEN",
    "TOKENS",
    "CLIENT_SECRET",
    "APP_SECRETS",
    "SMTP_PASS",
    "MYSQL_PASSWD",
    "DB_PASSWORD",
    "GPG_PASSPHRASE",
    "PGPASSWD",
    "PGPASSWORD",
    "MYSQL_PWD",
    "GITHUB_PAT",
    "PAT",
    "GOOGLE_CREDENTIALS",
    "BASIC_AUTH",
    "SESSION_COOKIE",
    "OPENAI_API_KEY_2",
    "TOKEN2",
    "KEY1",
    "API_KEY2",
    "SLACK_WEBHOOK_URL",
    "SENTRY_DSN",
    "AZURE_STORAGE_CONNECTION_STRING",
    "SAS_TOKEN",
    "AZURE_SAS",
    "openai_api_key",
    "OpenAiKey",
    "apiKey",
    "myApiToken",
    "ApiKey2",
    "NGROK_AUTHTOKEN",
    "SMTPPASS",
    "APIKEY",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "OPENAI_API_KEY_PROD",
    "TOKEN_GITHUB",
    "api-key",
    "app.secret",
    "HTTP_AUTHORIZATION",
    "DISCORD_WEBHOOK",
    "CONNECTION_STRING_2",
    "KAGGLE_KEY",
    "DBPWD",
    "hfToken",
    "SQLCONNSTR_main",
    "CUSTOMCONNSTR",
    "REDIS_PASS_1",
    "TF_VAR_db_password",
    "ROOT_PASSWORDS",
    "deploy_pat",
    "npm_config__auth",
    "JWT",
    "GITLAB_BEARER",
    "SIGNING_KEY_OLD",
    "WANDB_API_KEYS",
    "CREDS",
]
PLAIN = [
    "KEYBOARD",
    "MONKEY",
    "TOKENIZERS_PARALLELISM",
    "MAX_TOKENS",
    "TOKENIZER",
    "AUTHOR",
    "GIT_AUTHOR_NAME",
    "SSH_AUTH_SOCK",
    "PATH",
    "COMPASS",
    "PASSIVE",
    "PASSIVE_MODE",
    "PWD",
    "OLDPWD",
    "EOS_TOKEN",
    "PAD_TOKEN",
    "SSH_PUBLIC_KEY",
    "MAX_NEW_TOKENS",
    "KEYMAP",
    "PATTERN",
    "PATIENCE",
    "AUTHORITY",
    "MAX_TOKENS_PER_BATCH",
    "TOKEN_COUNT",
    "GIT_ASKPASS",
    "SECRET_NAME",
    "XAUTHORITY",
    "HOTKEY",
    "PASSENGER",
    "SASS_PATH",
    "SECRETARY",
    "NUM_TOKENS",
    "AUTH_TYPE",
    "BYPASS",
    "KEY_VAULT_NAME",
    "PRIMARY_KEY",
    "PASSWORD_POLICY",
    "TURKEY",
    "HASHTAG",
    "DISPATCH",
]
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhk\nG9w0BAQEFAASCBKcw\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("name", SECRET)
def test_a_name_that_says_so_holds_a_secret(name: str) -> None:
    assert secrets_of({name: VALUE}) == (VALUE,)


@pytest.mark.parametrize("name", PLAIN)
def test_a_name_that_only_looks_like_one_holds_none(name: str) -> None:
    assert (secrets_of({name: VALUE}), is_secret_name(name)) == ((), False)


@pytest.mark.parametrize(
    "value",
    [
        *("/bPxRfiCYEXAMPLEKEYwJalrXUtnFEMIK7MDENG", "/bPxRf/iCYEXAMPLEKEYw/JalrXUtnFEMIK7MDENG", "/abc12/def=="),
        *("~hunter2pw", "/password1", 'pa ss"wo$rd', "/correct horse", "+/abcdefg", "12-34-56-78", "$ecret''s"),
    ],
)
def test_a_key_may_look_like_a_path(value: str) -> None:
    assert value in secrets_of({"A_KEY": value})


@pytest.mark.parametrize(
    "value",
    [
        *("short12", "/etc/ssl/key.pem", "~/.ssh/id_rsa", "./key.pem", "12345678", "-1234.5678", "", "/etc/passwd"),
        *("/home/al/keys/prod", "/a/b/c/d/e", "1.5e-00008", "keys/prod.pem", "disabled", "../Keys2/Prod/ssl.KEY.pem"),
    ],
)
def test_paths_numbers_and_settings_are_no_secrets(value: str) -> None:
    assert secrets_of({"A_KEY": value}) == ()


def test_a_path_of_any_look_is_none_when_it_is_there(tmp_path) -> None:
    file = tmp_path / "bPxRfiCYwJalrXUtnFEMIK7MDENG"
    odd = f"/{str(file).lstrip('/')}"
    assert secrets_of({"A_KEY": f"{odd}=="})
    file.touch()
    assert secrets_of({"A_KEY": odd}) == ()


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("DATABASE_URL", "postgres://me:pa55word@host/db", "pa55word"),
        ("DATABASE_URL", "postgres://me:p%4055word@host/db", "p@55word"),
        ("DATABASE_URL", "postgres://me:pa/55wo#rd@host/db", "pa/55wo#rd"),
        ("HTTP_PROXY", "http://me:pw@proxy:3128", "http://me:pw@proxy:3128"),
        ("REDIS_URL", "redis://:s3cretpw@h:6379", "s3cretpw"),
        ("SENTRY_DSN", "https://abc123def@o1.ingest.sentry.io/1", "abc123def"),
        ("PG_DSN", "host=localhost user=x password=hunter22", "hunter22"),
        ("FEED", "https://x.org/?page=2&api_key=abcdefgh", "abcdefgh"),
        ("BLOB", "https://x.blob.core.windows.net/c?sv=2022&sig=a1b2c3d4%2Be5", "a1b2c3d4%2Be5"),
        ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T00/B00/XXXX9XXXXXXX", "XXXX9XXXXXXX"),
        ("STORAGE_CONNECTION_STRING", "AccountName=x;AccountKey=abcdEFGH12==;Suffix=core", "abcdEFGH12=="),
        ("AUTHORIZATION", "Bearer abcdefgh12", "abcdefgh12"),
        ("API_KEYS", "sk-aaaa1111, sk-bbbb2222", "sk-bbbb2222"),
        ("MY_KEY", '"quoted-in-the-file"', "quoted-in-the-file"),
        ("TLS_KEY", PEM, "G9w0BAQEFAASCBKcw"),
        ("GOOGLE_CREDENTIALS_JSON", json.dumps({"type": "service", "private_key": PEM}), "MIIEvQIBADANBgkqhk"),
        ("KEYS_JSON", json.dumps({"prod": {"clientSecret": "zzzz-yyyy"}}), "zzzz-yyyy"),
    ],
)
def test_what_is_secret_in_a_value_is_known_by_itself(name: str, value: str, found: str) -> None:
    assert found in secrets_of({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://localhost/db"),
        ("DATABASE_URL", "mysql://root@localhost/db"),
        ("TOKEN_URL", "https://auth.example.com/token"),
        ("PG_DSN", "postgres://localhost:5432/test"),
        ("HOME_PAGE", "https://example.com:8080/@scope/pkg"),
    ],
)
def test_a_url_without_credentials_is_none(name: str, value: str) -> None:
    assert secrets_of({name: value}) == ()


def test_a_notifiers_url_is_a_secret_with_each_token_in_it() -> None:
    found = secrets_of_urls(["slack://TokenA1234/TokenB5678/general"])
    assert {"slack://TokenA1234/TokenB5678/general", "TokenA1234", "TokenB5678"} == set(found)


def test_of_an_env_file_each_value_is_a_secret_but_paths_numbers_and_plain_urls() -> None:
    values = {"MOOD": "cheerful-42", "SIZE": "123456789", "DATA": "/data/train.jsonl", "API": "http://localhost:8000"}
    assert secrets_of_env_file(values) == ("cheerful-42",)


def test_what_a_plan_names_is_withheld_with_what_quotes_it() -> None:
    environ = {
        "HOOK": "json://h/tok12345678",
        "MOOD": "cheerful-42",
        "COPY": "mood=cheerful-42",
        "N": "3",
        "HOME": "/h",
    }
    named = NamedSecrets(urls=("HOOK",), filed=("MOOD", "N"))
    assert without_secrets(environ, ("N",), named) == {"N": "3", "HOME": "/h"}
