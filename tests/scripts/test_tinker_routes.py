"""Requests are done in their order, once, within bounds; sessions end, and what they held with them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

fake = pytest.importorskip("tests.scripts.tinker_engine_fake", exc_type=ImportError)
response_conv = pytest.importorskip("tinker.proto.response_conv")
LIMIT_S, MODEL, TOKEN = fake.LIMIT_S, fake.MODEL, fake.TOKEN
Hosted, draw, loss_body, until = fake.Hosted, fake.draw, fake.loss_body, fake.until


@pytest.fixture
def hosted(tmp_path):
    with Hosted(tmp_path, order_s=1.0, sweep_s=0.05) as hosted:
        yield hosted


def compute(hosted, model, number, tokens=(1, 2, 3), **more):
    return hosted.http.post("forward_backward", content=loss_body(model, number, tokens, **more))


def name_of(promised):
    assert promised.status_code == 200, promised.text
    return promised.json()["request_id"]


def loss_of(hosted, promised):
    found = response_conv.deserialize_forward_backward_output(hosted.wait(name_of(promised)).content)
    return found.metrics["loss:sum"]


# Order


def test_requests_that_come_out_of_order_are_done_in_order(hosted):
    model = hosted.model()
    promised = [compute(hosted, model, number, (number,)) for number in (3, 1, 2)]
    for one in promised:
        hosted.wait(name_of(one))
    assert hosted.engine.order == [1.0, 2.0, 3.0]


def test_a_request_that_never_comes_is_waited_for_within_bounds(hosted):
    model = hosted.model()
    assert loss_of(hosted, compute(hosted, model, 4, (5,))) == 5.0


def test_a_request_that_comes_too_late_is_refused(hosted):
    model = hosted.model()
    hosted.wait(name_of(compute(hosted, model, 4)))
    late = hosted.result(compute(hosted, model, 2))
    assert (late["category"], "order" in late["error"]) == ("user", True)


def test_models_do_not_wait_for_each_other(hosted):
    first, second = hosted.model(), hosted.model()
    held = compute(hosted, first, 2)
    assert loss_of(hosted, compute(hosted, second, 1, (9,))) == 9.0
    assert loss_of(hosted, held) == 6.0


# Retries


def test_a_retried_request_is_answered_from_the_first_one(hosted):
    model = hosted.model()
    first, second = compute(hosted, model, 1), compute(hosted, model, 1)
    assert hosted.wait(name_of(first)).content == hosted.wait(name_of(second)).content
    assert hosted.engine.calls["forward_backward"] == 1


def test_an_answer_can_be_fetched_again(hosted):
    name = name_of(compute(hosted, hosted.model(), 1))
    assert hosted.wait(name).content == hosted.wait(name).content


def test_an_answer_that_is_no_longer_kept_is_gone(tmp_path):
    with Hosted(tmp_path, kept_s=0.1, sweep_s=0.05) as hosted:
        name = name_of(compute(hosted, hosted.model(), 1))
        until(lambda: hosted.post("retrieve_future", {"request_id": name}).status_code == 410, "it was kept")


def test_old_answers_make_room_for_new_ones(tmp_path):
    with Hosted(tmp_path, kept_bytes=5000) as hosted:
        model = hosted.model()
        names = [name_of(compute(hosted, model, number, [1] * 300)) for number in range(1, 7)]
        assert hosted.wait(names[-1]).status_code == 200
        assert hosted.post("retrieve_future", {"request_id": names[0]}).status_code == 410


def test_a_model_that_is_asked_for_twice_is_made_once(hosted):
    session = hosted.session()
    assert hosted.model(session) == hosted.model(session)
    assert hosted.engine.calls["create"] == 1


def test_a_sample_that_is_asked_for_twice_is_drawn_once(hosted):
    sampler = hosted.sampler()
    names = {name_of(hosted.post("asample", draw(sampler, 0))) for _ in range(2)}
    assert [hosted.wait(name).status_code for name in names] == [200]
    assert hosted.engine.calls["sample"] == 1


# Waiting


def test_what_takes_long_is_asked_for_again(tmp_path):
    with Hosted(tmp_path, poll_s=0.05) as hosted:
        hosted.engine.open.clear()
        name = name_of(compute(hosted, hosted.model(), 1))
        pending = hosted.post("retrieve_future", {"request_id": name})
        assert (pending.status_code, pending.json()["type"]) == (408, "try_again")
        hosted.engine.open.set()
        assert hosted.wait(name).status_code == 200


def test_who_waits_keeps_nobody_from_being_answered(hosted):
    hosted.engine.open.clear()
    name = name_of(compute(hosted, hosted.model(), 1))
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(hosted.wait, name) for _ in range(8)]
        assert hosted.http.get("healthz", timeout=5).status_code == 200
        hosted.engine.open.set()
        assert {one.result(LIMIT_S).status_code for one in waiting} == {200}


def test_samples_that_wait_are_drawn_together(hosted):
    model, sampler = hosted.model(), hosted.sampler()
    hosted.engine.open.clear()
    compute(hosted, model, 1)
    until(lambda: hosted.engine.calls["forward_backward"], "it did not begin")
    names = [name_of(hosted.post("asample", draw(sampler, number))) for number in range(5)]
    hosted.engine.open.set()
    for name in names:
        hosted.wait(name)
    assert hosted.engine.batches == [5]


def test_one_bad_sample_harms_no_other_that_is_drawn_with_it(hosted):
    model, sampler = hosted.model(), hosted.sampler()
    hosted.engine.open.clear()
    compute(hosted, model, 1)
    names = [
        name_of(hosted.post("asample", draw(sampler, number, tokens)))
        for number, tokens in enumerate([(1, 2), (999,), (3,)])
    ]
    hosted.engine.open.set()
    kinds = [hosted.wait(name).headers["content-type"] for name in names]
    assert kinds == ["application/x-protobuf", "application/json", "application/x-protobuf"]


# Bounds


def test_more_requests_than_may_wait_are_turned_away_for_now(tmp_path):
    with Hosted(tmp_path, waiting=3) as hosted:
        model = hosted.model()
        hosted.engine.open.clear()
        found = [compute(hosted, model, number).status_code for number in range(1, 6)]
        assert found == [200, 200, 200, 429, 429]
        hosted.engine.open.set()
        until(lambda: compute(hosted, model, 4).status_code == 200, "it stayed full")


def test_one_session_leaves_room_for_another(tmp_path):
    with Hosted(tmp_path, waiting_of_one=2) as hosted:
        busy, other = hosted.model(), hosted.model()
        hosted.engine.open.clear()
        assert [compute(hosted, busy, number).status_code for number in (1, 2, 3)] == [200, 200, 429]
        assert compute(hosted, other, 1).status_code == 200


def test_large_requests_that_wait_are_bounded_together(tmp_path):
    with Hosted(tmp_path, waiting_bytes=10_000) as hosted:
        model = hosted.model()
        hosted.engine.open.clear()
        found = [compute(hosted, model, number, [1] * 300).status_code for number in (1, 2, 3, 4)]
        assert (found[0], found[-1]) == (200, 429)


def test_there_are_so_many_sessions_at_once(tmp_path):
    with Hosted(tmp_path, sessions=2) as hosted:
        body = {"tags": [], "user_metadata": {}, "sdk_version": "0"}
        names = [hosted.session() for _ in range(2)]
        assert hosted.post("create_session", body).status_code == 429
        hosted.post(f"sessions/{names[0]}/finish", {"reason": {"type": "success"}})
        assert hosted.post("create_session", body).status_code == 200


def test_there_are_so_many_models_at_once(tmp_path):
    with Hosted(tmp_path, adapters=2) as hosted:
        session = hosted.session()
        hosted.model(session, 0)
        hosted.model(session, 1)
        body = {"session_id": session, "model_seq_id": 2, "base_model": MODEL}
        assert "2 adapters" in hosted.result(hosted.post("create_model", body))["error"]
        assert len(hosted.engine.adapters) == 2


# Sessions


def test_a_silent_session_ends_with_what_it_held(tmp_path):
    with Hosted(tmp_path, expiry_s=0.3, sweep_s=0.05) as hosted:
        model = hosted.model()
        until(lambda: not hosted.engine.adapters, "the adapter was kept")
        gone = hosted.post("session_heartbeat", {"session_id": model.split(":")[0]})
        assert (gone.status_code, "no heartbeat" in gone.json()["detail"]) == (410, True)


def test_the_limit_of_sessions_holds_in_a_service_that_began_anew(tmp_path):
    body = {"tags": [], "user_metadata": {}, "sdk_version": "0"}
    with Hosted(tmp_path, sessions=2) as hosted:
        names = [hosted.session() for _ in range(2)]
        hosted.post(f"sessions/{names[0]}/finish", {"reason": {"type": "success"}})
    with Hosted(tmp_path, sessions=2) as hosted:
        assert hosted.post("create_session", body).status_code == 200
        assert hosted.post("create_session", body).status_code == 429
        assert hosted.post("session_heartbeat", {"session_id": names[1]}).status_code == 200


def test_a_session_from_before_a_restart_ends_with_the_weights_that_only_it_used(tmp_path):
    with Hosted(tmp_path) as hosted:
        model = hosted.model()
        body = {"model_id": model, "seq_id": 1, "sampling_session_seq_id": 0}
        assert hosted.result(hosted.post("save_weights_for_sampler", body))["sampling_session_id"]
        assert list(tmp_path.glob("runs/*/sampler_weights/*"))
    with Hosted(tmp_path, expiry_s=0.3, sweep_s=0.05):
        until(lambda: not list(tmp_path.glob("runs/*/sampler_weights/*")), "the weights were kept")
        assert not list((tmp_path / "samplers").iterdir())


def test_a_session_that_is_heard_stays(tmp_path):
    with Hosted(tmp_path, expiry_s=0.6, sweep_s=0.05) as hosted:
        silent, heard = hosted.session(), hosted.session()
        service = hosted.app.state.service

        def silent_ended():
            assert hosted.post("session_heartbeat", {"session_id": heard}).status_code == 200
            return silent not in service.sessions

        until(silent_ended, "the silent one stayed")


def test_a_model_that_is_made_while_its_session_ends_is_not_kept(hosted):
    other = hosted.model()
    hosted.engine.open.clear()
    compute(hosted, other, 1)
    until(lambda: hosted.engine.calls["forward_backward"], "it did not begin")
    session = hosted.session()
    promised = hosted.post("create_model", {"session_id": session, "model_seq_id": 0, "base_model": MODEL})
    hosted.post(f"sessions/{session}/finish", {"reason": {"type": "success"}})
    hosted.engine.open.set()
    assert "ended" in hosted.result(promised)["error"]
    until(lambda: set(hosted.engine.adapters) == {other}, "its adapter was kept")


def test_a_model_number_is_taken_once_also_when_the_answer_is_forgotten(tmp_path):
    with Hosted(tmp_path, kept_s=0.1, sweep_s=0.05) as hosted:
        session = hosted.session()
        model = hosted.model(session)
        body = {"session_id": session, "model_seq_id": 0, "base_model": MODEL}
        until(lambda: hosted.post("create_model", body).status_code == 400, "the same model was made twice")
        assert hosted.engine.calls["create"] == 1
        assert model in hosted.engine.adapters


# Keys


@pytest.mark.parametrize("key", [None, "", "tml-other", TOKEN[:-1], TOKEN + "x", "é"])
def test_without_the_right_key_nothing_is_answered(hosted, key):
    headers = [] if key is None else [("X-API-Key", key.encode())]
    found = httpx.get(f"{hosted.url}/api/v1/get_server_capabilities", headers=headers)
    assert found.status_code == 401


def test_health_needs_no_key(hosted):
    assert httpx.get(f"{hosted.url}/api/v1/healthz").json() == {"status": "ok"}
