"""Requests to a sampler, many in flight."""

from __future__ import annotations

from distillation.sampler_requests import in_order


def test_results_come_in_order_and_few_requests_are_in_flight():
    sent, largest, taken = [], 0, 0

    def send(request):
        sent.append(request)
        return request * 10

    for taken, result in enumerate(in_order(range(9), send, lambda request, future: (request, future), 3), 1):
        assert result == (taken - 1, (taken - 1) * 10)
        largest = max(largest, len(sent) - taken)
    assert (taken, largest, sent) == (9, 3, list(range(9)))


def test_without_requests_there_is_no_result():
    assert list(in_order([], int, lambda request, _future: request, 3)) == []
