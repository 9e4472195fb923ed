"""Every route and every method of the pinned SDK is answered, by a result or in words; a new SDK shows what is not."""

from __future__ import annotations

import ast
import inspect
import re
import time
import warnings
from pathlib import Path

import pytest

from tests.scripts.tinker_scene import SDK_WARNINGS

fake = pytest.importorskip("tests.scripts.tinker_engine_fake", exc_type=ImportError)
tinker = pytest.importorskip("tinker")
from tinker.lib.public_interfaces import AdminClient  # noqa: E402

from tinker_local import other_routes  # noqa: E402

types = tinker.types
LIMIT_S, MODEL, Hosted = fake.LIMIT_S, fake.MODEL, fake.Hosted
SDK = Path(tinker.__file__).parent
ROUTE = "/api/v1/"
NEVER_S = 60  # longer than the test has
VERBS = {"get": "GET", "post": "POST", "put": "PUT", "patch": "PATCH", "delete": "DELETE"}
pytestmark = SDK_WARNINGS


@pytest.fixture
def hosted(tmp_path):
    with Hosted(tmp_path) as hosted:
        yield hosted


# Routes


def written(node):
    """Return a path as a pattern, its parts in braces as {}; None if the node is no path of the API."""
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
        found = "".join(parts)
    else:
        found = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    return found if found.startswith(ROUTE) else None


def method_of(call, place):
    """Return the HTTP method of a call whose argument `place` is a path."""
    before = call.args[place - 1] if place else None
    if isinstance(before, ast.Constant) and before.value in VERBS.values():
        return before.value
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return VERBS.get(name.lstrip("_"))


def routes_of_the_sdk():
    """Return (method, path) of each call in the SDK's source with a path of the API."""
    found = set()
    for file in SDK.rglob("*.py"):
        for call in (one for one in ast.walk(ast.parse(file.read_text())) if isinstance(one, ast.Call)):
            paths = [(place, written(one)) for place, one in enumerate(call.args)]
            found |= {(method_of(call, place), path) for place, path in paths if path}
    return found


def test_the_sdks_routes_are_found():
    found = routes_of_the_sdk()
    assert {("POST", "/api/v1/asample"), ("GET", "/api/v1/auth/apikey/me")} <= found
    assert len(found) > 40
    assert all(method for method, _ in found)


def test_every_route_of_the_sdk_is_answered_by_a_result_or_in_words(hosted):
    unknown = []
    for method, path in sorted(routes_of_the_sdk(), key=str):
        told = path.replace("checkpoints/{}", "checkpoints/weights/a").replace("{}", "x").removeprefix(ROUTE)
        found = hosted.http.request(method, told, json={})
        if found.status_code >= 500 or "speaks the API of tinker" in found.text:
            unknown.append((method, path, found.text))
        assert found.status_code < 400 or len(found.json()["detail"]) > 10
    assert unknown == []


def test_the_refused_routes_are_those_of_this_sdk():
    assert tinker.__version__ == other_routes.SDK
    known = {(method, re.sub(r"\{[a-z]+\}", "{}", path)) for method, path, *_ in other_routes.REFUSED}
    theirs = {(method, path.removeprefix("/api/v1")) for method, path in routes_of_the_sdk()}
    theirs |= {(method, path.replace("checkpoints/{}", "checkpoints/{}/{}")) for method, path in theirs}
    assert known <= theirs


def test_another_route_is_refused_in_words(hosted):
    found = hosted.http.get("no/such/route")
    assert found.status_code == 404
    assert "GET /api/v1/no/such/route is not served here" in found.json()["detail"]


# Methods

ANSWERED = {
    tinker.ServiceClient: {
        *("close", "copy_weights", "create_custom_loss", "create_lora_training_client", "create_rest_client"),
        *("create_sampling_client", "create_training_client_from_state", "get_console_url", "get_server_capabilities"),
        *("create_training_client_from_state_with_optimizer", "get_telemetry", "holder"),
    },
    tinker.TrainingClient: {
        *("create_sampling_client", "forward", "forward_backward", "forward_backward_custom", "get_info"),
        *("get_console_url", "get_telemetry", "get_tokenizer", "load_state", "load_state_with_optimizer"),
        *("optim_step", "save_state", "save_weights_and_get_sampling_client", "save_weights_external"),
        "save_weights_for_sampler",
    },
    tinker.SamplingClient: {
        *("compute_logprobs", "create", "from_sampler_handle", "get_base_model", "get_sampler_handle"),
        *("get_telemetry", "get_tokenizer", "on_queue_state_change", "sample"),
    },
    tinker.RestClient: {
        *("assign_session_project", "copy_weights", "delete_checkpoint", "delete_checkpoint_from_tinker_path"),
        *("export_session_trace", "get_audit_log", "get_billing_usage", "get_current_checkpoint_storage_usage"),
        *("get_external_weights_urls", "get_sampler", "get_server_capabilities", "get_session", "get_telemetry"),
        *("get_training_run", "get_training_run_by_tinker_path", "get_weights_info_by_tinker_path"),
        *("list_checkpoints", "list_sessions", "list_training_runs", "list_user_checkpoints"),
        *("publish_checkpoint_from_tinker_path", "search_sessions", "set_checkpoint_ttl_from_tinker_path"),
        *("unpublish_checkpoint_from_tinker_path", "whoami"),
    },
    AdminClient: {"get_audit_log", "get_billing_usage", "get_current_checkpoint_storage_usage", "get_telemetry"},
}


@pytest.mark.parametrize("kind", ANSWERED, ids=lambda kind: kind.__name__)
def test_every_method_of_the_sdk_was_looked_at(kind):
    public = {name for name in vars(kind) if not name.startswith("_")}
    found = {name.removesuffix("_async").removesuffix("_submit") for name in public if not name.endswith("_submit")}
    inherited = {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")} - public
    assert found | {name for name in inherited if name in ANSWERED[kind]} == ANSWERED[kind]


PATH = "tinker://r/weights/a"
REFUSED = {
    "copy": lambda service, _: service.copy_weights(PATH),
    "copy to a project": lambda _, rest: rest.copy_weights(PATH, "p"),
    "publish": lambda _, rest: rest.publish_checkpoint_from_tinker_path(PATH),
    "unpublish": lambda _, rest: rest.unpublish_checkpoint_from_tinker_path(PATH),
    "project": lambda _, rest: rest.assign_session_project("s", "p"),
    "trace": lambda _, rest: rest.export_session_trace("s"),
    "audit": lambda _, rest: rest.get_audit_log(),
    "billing": lambda _, rest: rest.get_billing_usage("2026-01-01", "2026-02-01"),
    "storage": lambda _, rest: rest.get_current_checkpoint_storage_usage(),
    "search": lambda _, rest: rest.search_sessions(types.SessionSearchRequest()),
}


@pytest.mark.usefixtures("collected")
def test_what_is_not_served_is_refused_in_words(hosted):
    with hosted.client(project_id="p") as service, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rest = service.create_rest_client()
        for act in REFUSED.values():
            with pytest.raises(tinker.APIStatusError, match="is not served here"):
                act(service, rest).result(LIMIT_S)


# A refused call delays no other


def datum(*tokens):
    inputs = {"target_tokens": [*tokens[1:], 0]}
    return types.Datum(model_input=types.ModelInput.from_ints(list(tokens)), loss_fn_inputs=inputs)


def refused_save(model):
    model.save_weights_external("a", age_encryption_recipients=["age1x"]).result(LIMIT_S)


def refused_name(model):
    model.save_weights_for_sampler("ephemeral-1").result(LIMIT_S)


@pytest.mark.timeout(NEVER_S)
@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("act", [refused_save, refused_name])
def test_a_refused_call_of_a_training_is_not_waited_for(tmp_path, act):
    with Hosted(tmp_path, order_s=NEVER_S) as hosted, hosted.client() as service:
        model = service.create_lora_training_client(MODEL, rank=4).result(LIMIT_S)
        for _ in range(2):
            with pytest.raises(tinker.TinkerError):
                act(model)
            assert model.forward([datum(4, 6)], "cross_entropy").result(LIMIT_S).metrics["loss:sum"] == 10.0


@pytest.mark.timeout(NEVER_S)
@pytest.mark.parametrize("path", ["optim_step", "no_such_call"])
def test_a_request_that_cannot_be_read_is_not_waited_for(tmp_path, path):
    with Hosted(tmp_path, order_s=NEVER_S) as hosted:
        model = hosted.model()
        first = {"model_id": model, "seq_id": 1, "adam_params": {"learning_rate": 1.0}}
        hosted.result(hosted.post("optim_step", first))
        odd = {"model_id": model, "seq_id": 2, "other": True}
        assert hosted.post(path, odd).status_code in {404, 422}
        assert hosted.result(hosted.post("optim_step", {**first, "seq_id": 3}))["metrics"]


def test_a_number_that_never_comes_is_waited_for_a_second(hosted):
    model = hosted.model()
    begun = time.monotonic()
    body = {"model_id": model, "seq_id": 2, "adam_params": {"learning_rate": 1.0}}
    assert hosted.result(hosted.post("optim_step", body))["metrics"]
    assert hosted.app.state.service.bounds.order_s == 1.0
    assert time.monotonic() - begun >= 1.0
