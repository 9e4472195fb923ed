"""Requests are read as the SDK writes them, answers written as it reads them."""

from __future__ import annotations

import numpy as np
import pytest

tinker = pytest.importorskip("tinker")
request_conv = pytest.importorskip("tinker.proto.request_conv")
response_conv = pytest.importorskip("tinker.proto.response_conv")
pb = pytest.importorskip("tinker.proto.tinker_public_pb2")
wire = pytest.importorskip("tinker_local.codec")
values = pytest.importorskip("tinker_local.api_types")
types = tinker.types
Answer, SamplingResult, LossOutput = values.Answer, values.SamplingResult, values.LossOutput
RefusedError, Sampling = values.RefusedError, values.Sampling


def sent(*data, loss="cross_entropy", config=None):
    """Return what the SDK puts on the wire, read back."""
    given = types.ForwardBackwardInput(data=list(data), loss_fn=loss, loss_fn_config=config)
    request = types.ForwardBackwardRequest(forward_backward_input=given, model_id="m", seq_id=1)
    return wire.loss_request(request_conv.forward_backward_request_to_proto(request).SerializeToString())


def datum(tokens, **inputs):
    return types.Datum(model_input=types.ModelInput.from_ints(list(tokens)), loss_fn_inputs=inputs)


def tensor(**parts):
    return pb.Tensor(**{"dtype": pb.DTYPE_FLOAT32, "shape": [2], **parts})


def test_an_example_arrives_as_it_was_sent():
    [found] = wire.data_of(sent(datum([5, 6], target_tokens=[6, 7], weights=[1.0, 0.5])))
    assert found.tokens == (5, 6)
    assert found.inputs["target_tokens"].tolist() == [6, 7]
    assert (found.inputs["weights"].dtype, found.inputs["weights"].tolist()) == (np.float32, [1.0, 0.5])


def test_a_sparse_tensor_arrives_dense():
    rows = types.TensorData(
        data=[1.0, 2.0], dtype="float32", shape=[2, 3], sparse_crow_indices=[0, 1, 2], sparse_col_indices=[2, 0]
    )
    [found] = wire.data_of(sent(datum([5, 6], weights=rows)))
    assert found.inputs["weights"].tolist() == [[0, 0, 1], [2, 0, 0]]


def test_numbers_that_tune_a_loss_are_read_in_both_forms():
    request = sent(datum([5]), config={"beta": 0.5})
    request.loss_fn_config_v2["clip"].number = 0.25
    assert wire.config_of(request) == {"beta": 0.5, "clip": 0.25}


def test_a_text_that_tunes_a_loss_is_refused_by_its_name():
    request = sent(datum([5]))
    request.loss_fn_config_v2["kind"].text = "x"
    with pytest.raises(RefusedError, match="kind"):
        wire.config_of(request)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (tensor(dense=b"123"), "middle of a number"),
        (tensor(dense=bytes(4)), "do not fill"),
        (tensor(dense=bytes(8), dtype=pb.DTYPE_UNSPECIFIED), "type"),
        (tensor(dense=bytes(8), shape=[-2]), "shape"),
        (tensor(dense=bytes(8), shape=[1 << 40, 1 << 40]), "numbers"),
        (tensor(sparse_csr=pb.SparseCsr(values=bytes(4)), shape=[2, 2]), "sparse"),
        (
            tensor(
                shape=[1, 2],
                sparse_csr=pb.SparseCsr(
                    values=bytes(4),
                    crow_indices=np.array([0, 1], np.int64).tobytes(),
                    col_indices=np.array([7], np.int64).tobytes(),
                ),
            ),
            "columns",
        ),
    ],
    ids=["cut", "short", "type", "negative", "vast", "sparse", "column"],
)
def test_a_tensor_that_does_not_fit_is_refused(given, words):
    request = pb.ForwardBackwardRequest()
    request.data.add().loss_fn_inputs["weights"].CopyFrom(given)
    with pytest.raises(RefusedError, match=words):
        wire.data_of(request)


def test_many_sparse_tensors_are_not_made_large_together():
    request = pb.ForwardBackwardRequest()
    one = request.data.add()
    for number in range(5):
        rows = pb.SparseCsr(crow_indices=np.array([0, 0], np.int64).tobytes())
        one.loss_fn_inputs[f"x{number}"].CopyFrom(tensor(shape=[1, wire.MOST_NUMBERS // 4], sparse_csr=rows))
    with pytest.raises(RefusedError, match="together"):
        wire.data_of(request)


def test_an_image_is_refused():
    request = pb.ForwardBackwardRequest()
    request.data.add().model_input.add().image.data = b"x"
    with pytest.raises(RefusedError, match="not text"):
        wire.data_of(request)


def test_a_loss_is_read_by_the_sdk_as_it_was_written():
    outputs = [{"logprobs": np.array([-1.0, -2.0])}, {"logprobs": np.array([-3.0])}]
    written = wire.loss_output(LossOutput(outputs, {"loss:sum": 6.0}))
    found = response_conv.deserialize_forward_backward_output(written)
    assert [one["logprobs"].tolist() for one in found.loss_fn_outputs] == [[-1.0, -2.0], [-3.0]]
    assert found.metrics == {"loss:sum": 6.0}


def test_a_loss_without_examples_can_be_written():
    assert response_conv.deserialize_forward_backward_output(wire.loss_output(LossOutput([], {}))).metrics == {}


ANSWERED = SamplingResult(
    (Answer((3, 4), (-0.5, -0.25), "stop"), Answer((), (), "length")),
    (None, -1.0, -2.0),
    values.TopTokens(1, np.array([[7, 8], [9, 5]], np.int32), np.array([[-0.5, -1.5], [-0.75, -2.5]], np.float32)),
)


def read():
    return response_conv.deserialize_sample_response(wire.answered(ANSWERED, 3))


def test_samples_are_read_by_the_sdk_as_they_were_written():
    found = read().sequences
    assert [list(one.tokens) for one in found] == [[3, 4], []]
    assert [one.stop_reason for one in found] == ["stop", "length"]
    assert list(found[0].logprobs) == [-0.5, -0.25]


def test_the_first_token_of_a_prompt_has_no_logprob():
    assert read().prompt_logprobs == [None, -1.0, -2.0]


def test_the_likeliest_tokens_are_none_where_there_are_none():
    assert read().topk_prompt_logprobs == [None, [(7, -0.5), (8, -1.5)], [(9, -0.75), (5, -2.5)]]


def test_how_many_of_a_prompts_last_tokens_are_scored_is_read():
    assert wire.asked(request(prompt_logprobs=True, prompt_logprobs_last_n=2)).last == 2


def request(**more):
    params = types.SamplingParams(**more.pop("params", {}))
    return types.SampleRequest(
        prompt=types.ModelInput.from_ints([1, 2]), sampling_params=params, sampling_session_id="s", seq_id=0, **more
    )


@pytest.mark.parametrize(
    ("stop", "found"), [("a", ("a",)), (["a", "b"], ("a", "b")), ([1], (1,)), ([], ()), (None, None)]
)
def test_what_ends_an_answer_is_read_in_every_form(stop, found):
    assert wire.asked(request(params={"stop": stop})).params == Sampling(stop=found)


@pytest.mark.parametrize(
    "more",
    [
        {"topk_sample_logprobs": -2},
        {"prompt_alt_tokens_k": -1},
        {"prompt_alt_tokens_k": 2**25},
        {"prompt_logprobs_last_n": 1},
        {"prompt_logprobs_last_n": -1, "prompt_logprobs": True},
        {"topk_prompt_logprobs": -1},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_by_its_name(more):
    with pytest.raises(RefusedError, match=next(iter(more))):
        wire.asked(request(**more))
