"""Batches: when they start, what they hold, and what a faulty job does to the others."""

import asyncio
import time

import pytest

from paddle_automl.serving.batcher import Batcher, whole
from paddle_automl.serving.errors import RequestError


class Network:
    """Doubles numbers; a text as number fails."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.batches = []

    async def __call__(self, kind, contents):
        self.batches.append(list(contents))
        await asyncio.sleep(self.seconds)
        return [[2 * number + 0 for number in content] for content in contents]


def with_batcher(scenario, network, **options):
    async def run():
        batcher = Batcher(network, **{"batch": 4, "wait_s": 0.05, "queue": 10, **options})
        try:
            return await scenario(batcher)
        finally:
            await batcher.close()

    return asyncio.run(run())


async def all_of(batcher, *contents, kind="a"):
    return await asyncio.gather(*(batcher.submit(kind, content, len(content)).future for content in contents))


def test_jobs_share_a_batch_and_get_their_own_results():
    network, formed = Network(), []
    found = with_batcher(lambda it: all_of(it, [1], [2, 3], [4]), network, formed=formed.append)
    assert found == [[2], [4, 6], [8]]
    assert network.batches == [[[1], [2, 3], [4]]]
    assert formed == [4]


def test_a_full_batch_starts_at_once_and_others_after_the_wait():
    network = Network()

    async def scenario(batcher):
        started = time.monotonic()
        await all_of(batcher, [1], [2], [3], [4])
        full = time.monotonic() - started
        await all_of(batcher, [5])
        return full, time.monotonic() - started - full

    full, single = with_batcher(scenario, network, wait_s=2.0)
    assert full < 1.5
    assert single >= 1.9


def test_while_a_batch_runs_others_gather_and_do_not_wait_again():
    network = Network(seconds=0.2)

    async def scenario(batcher):
        first = batcher.submit("a", [0], 1)
        await asyncio.sleep(0.1)
        rest = [batcher.submit("a", [number], 1) for number in range(1, 4)]
        await asyncio.gather(first.future, *(job.future for job in rest))
        return max(job.started - job.arrived for job in rest)

    waited = with_batcher(scenario, network, wait_s=0.01)
    assert network.batches == [[[0]], [[1], [2], [3]]]
    assert waited < 0.35


def test_kinds_are_not_mixed_and_order_is_kept():
    network = Network()

    async def scenario(batcher):
        jobs = [batcher.submit(kind, [number], 1) for number, kind in enumerate("abab")]
        return [await job.future for job in jobs]

    assert with_batcher(scenario, network) == [[0], [2], [4], [6]]
    assert network.batches == [[[0], [2]], [[1], [3]]]


def test_a_large_job_runs_alone():
    network = Network()
    found = with_batcher(lambda it: all_of(it, [1] * 6, [2]), network)
    assert found == [[2] * 6, [4]]
    assert network.batches == [[[1] * 6], [[2]]]


def parted(batcher, *contents):
    jobs = batcher.submit_all([("a", content, len(content)) for content in contents])
    return jobs, whole(jobs, lambda results: [number for result in results for number in result])


def test_the_parts_of_a_job_are_joined_in_their_order():
    async def scenario(batcher):
        jobs, job = parted(batcher, [1, 2, 3, 4], [5, 6, 7, 8], [9])
        found = await job.future
        assert (job.rows, job.started, job.took) == (9, jobs[0].started, sum(part.took for part in jobs))
        assert whole(jobs[:1], list) is jobs[0]
        return found

    network = Network(seconds=0.01)
    assert with_batcher(scenario, network, wait_s=0.0, parallel=2) == [2 * number for number in range(1, 10)]
    assert network.batches == [[[1, 2, 3, 4]], [[5, 6, 7, 8]], [[9]]]


def test_a_job_fails_with_its_first_faulty_part_and_the_rest_is_not_run():
    async def scenario(batcher):
        jobs, job = parted(batcher, ["x"] * 4, ["x"] * 4, [1])
        with pytest.raises(TypeError):
            await job.future
        await asyncio.sleep(0.1)
        return [part.future.cancelled() for part in jobs]

    network = Network(seconds=0.01)
    assert with_batcher(scenario, network, wait_s=0.0) == [False, True, True]
    # The second one has begun when the first has just failed.
    assert network.batches == [[["x"] * 4]] * 2


def test_a_job_that_nobody_waits_for_cancels_its_parts():
    async def scenario(batcher):
        jobs, job = parted(batcher, [1, 2, 3, 4], [5])
        await asyncio.sleep(0.02)
        job.future.cancel()
        await asyncio.sleep(0.1)
        return [part.future.cancelled() for part in jobs]

    network = Network(seconds=0.05)
    assert with_batcher(scenario, network, wait_s=0.0) == [True, True]
    assert network.batches == [[[1, 2, 3, 4]]]


def test_a_faulty_job_fails_alone():
    network = Network()

    async def scenario(batcher):
        jobs = [batcher.submit("a", content, 1) for content in ([1], ["x"], [3])]
        return await asyncio.gather(*(job.future for job in jobs), return_exceptions=True)

    first, second, third = with_batcher(scenario, network)
    assert (first, third) == ([2], [6])
    assert isinstance(second, TypeError)
    assert network.batches == [[[1], ["x"], [3]], [[1]], [["x"]], [[3]]]


def test_a_full_queue_refuses_with_retry_after():
    async def scenario(batcher):
        running = batcher.submit("a", [0], 4)
        jobs = [batcher.submit("a", [number], 1) for number in range(3)]
        with pytest.raises(RequestError, match="3 items are waiting") as caught:
            batcher.submit("a", [9], 1)
        await asyncio.gather(running.future, *(job.future for job in jobs))
        return caught.value

    error = with_batcher(scenario, Network(seconds=0.05), queue=3)
    assert (error.status, error.headers) == (503, {"retry-after": "1"})


def test_a_job_whose_client_has_gone_is_not_run():
    network = Network(seconds=0.05)

    async def scenario(batcher):
        first = batcher.submit("a", [0], 4)
        gone, kept = batcher.submit("a", [1], 1), batcher.submit("a", [2], 1)
        gone.future.cancel()
        await asyncio.gather(first.future, kept.future)
        return batcher.rows

    assert with_batcher(scenario, network) == 0
    assert network.batches == [[[0]], [[2]]]


def test_closing_answers_what_waits_and_refuses_the_rest():
    network = Network(seconds=0.05)

    async def scenario(batcher):
        jobs = [batcher.submit("a", [number], 1) for number in range(6)]
        await batcher.close()
        with pytest.raises(RequestError, match="stopping"):
            batcher.submit("a", [9], 1)
        return [job.future.result() for job in jobs]

    assert with_batcher(scenario, network, wait_s=5.0) == [[0], [2], [4], [6], [8], [10]]
