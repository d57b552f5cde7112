"""Reading a server's metrics: the kinds that are known, and answers that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from permille.errors import UsageError
from permille.watch.kinds import kinds, mapping, recognise
from permille.watch.scrape import Scrape, ScrapeFailed, Scraper, SeriesKey, checked_url
from permille.watch.served import ServedCounts, ServedWork, between, doubt, restarted
from tests.watch.metrics_server import serving

VLLM = """
# HELP vllm:request_success_total Count of successfully processed requests.
# TYPE vllm:request_success_total counter
vllm:request_success_total{engine="0",finished_reason="stop",model_name="a"} 10.0
vllm:request_success_total{engine="1",finished_reason="length",model_name="a"} 2.0
vllm:request_success_total{engine="0",finished_reason="abort",model_name="a"} 5.0
vllm:request_success_created{engine="0",finished_reason="stop",model_name="a"} 1.7e9
vllm:prompt_tokens_total{engine="0",model_name="a"} 400.0
vllm:generation_tokens_total{engine="0",model_name="a"} 1.2e3
vllm:num_requests_running{engine="0",model_name="a"} 3.0
vllm:num_requests_waiting{engine="0",model_name="a"} 1.0
process_start_time_seconds 1.79571e9
"""
SGLANG = """
sglang:prompt_tokens_total{model_name="a"} 400
sglang:generation_tokens_total{model_name="a"} 1200
sglang:e2e_request_latency_seconds_bucket{le="+Inf",model_name="a"} 12
sglang:e2e_request_latency_seconds_count{model_name="a"} 12
sglang:num_running_reqs{model_name="a"} 4
sglang:num_queue_reqs{model_name="a"} 0
"""
TGI = """
# TYPE tgi_request_success counter
tgi_request_success 12
# TYPE tgi_request_generated_tokens histogram
tgi_request_generated_tokens_sum 1200
tgi_request_generated_tokens_count 12
tgi_request_input_length_sum 400
tgi_batch_current_size 4
tgi_queue_size 0
"""
LLAMA = """
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 400
llamacpp:tokens_predicted_total 1200
llamacpp:tokens_predicted_seconds_total 7
llamacpp:requests_processing 3
llamacpp:requests_deferred 1
"""
TRITON = """
nv_inference_request_success{model="a",version="1"} 12
nv_inference_request_failure{model="a",version="1"} 3
"""
EVERY = ServedCounts(requests=12, input_tokens=400, output_tokens=1200)
NOTHING = Scrape(counters={}, running=0.0)


@pytest.mark.parametrize(
    ("kind", "text", "counts", "running"),
    [
        ("vllm", VLLM, EVERY, 4),
        ("sglang", SGLANG, EVERY, 4),
        ("tgi", TGI, EVERY, 4),
        ("llama-cpp", LLAMA, ServedCounts(input_tokens=400, output_tokens=1200), 4),
        ("triton", TRITON, ServedCounts(requests=12), None),
    ],
)
def test_each_kind_by_its_own_names(
    kind: str, text: str, counts: ServedCounts, running: float | None
) -> None:
    with serving() as page:
        page.text = text
        scraper = Scraper(checked_url(page.url), None, None)
        now = scraper.scrape()
    assert scraper.name == kind
    assert between(NOTHING, now).counts == counts
    assert now.running == running


def test_every_kind_states_its_source_and_can_be_recognised() -> None:
    for name, kind in kinds().items():
        assert kind.source
        assert recognise(kind.names()) == name


def test_the_start_of_the_process_is_read_from_a_metric_or_a_header() -> None:
    with serving() as page:
        page.text, page.headers = VLLM, {}
        assert Scraper(checked_url(page.url), None, None).scrape().started == "1795710000.0"
        page.text, page.headers = LLAMA, {"Process-Start-Time-Unix": "123"}
        assert Scraper(checked_url(page.url), None, None).scrape().started == "123"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no server of a known kind"),
        ("up 1\n", "no server of a known kind"),
        ("llamacpp:tokens_predicted_total NaN\n", "not a count"),
        ("llamacpp:tokens_predicted_total -1\n", "not a count"),
        ("llamacpp:tokens_predicted_total many\n", "text format"),
        ('llamacpp:tokens_predicted_total{a="b 3\n', "text format"),
        ("llamacpp:n_decode_total 3\n", "none of"),
    ],
)
def test_an_answer_that_is_none(text: str, reason: str) -> None:
    with serving() as page:
        page.text = text
        with pytest.raises(ScrapeFailed, match=reason):
            Scraper(checked_url(page.url), None, None).scrape()


def test_no_server_an_error_and_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as page:
        scraper = Scraper(checked_url(page.url), None, None)
        page.text, page.status = LLAMA, 503
        with pytest.raises(ScrapeFailed, match="answered 503"):
            scraper.scrape()
        page.status = 200
        monkeypatch.setattr("permille.watch.scrape.MAX_SERIES", 2)
        with pytest.raises(ScrapeFailed, match="more than 2 series"):
            scraper.scrape()
        monkeypatch.setattr("permille.watch.scrape.MAX_BYTES", 100)
        with pytest.raises(ScrapeFailed, match="MiB"):
            scraper.scrape()
    with pytest.raises(ScrapeFailed, match="no answer"):
        scraper.scrape()


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host/", "http://", "http://h:99999"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(UsageError, match="--metrics"):
        checked_url(url)


def test_the_path_is_metrics_unless_given() -> None:
    assert checked_url("http://h:1").path == checked_url("http://h:1/").path == "/metrics"
    assert checked_url("http://h:1/stats").path == "/stats"


def test_a_mapping_file(tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    path.write_text('requests = "done_total"\nexcept = { code = ["500"] }\nmodel = "m"\n')
    with serving() as page:
        page.text = 'done_total{m="a",code="200"} 7\ndone_total{m="a",code="500"} 2\n'
        now = Scraper(checked_url(page.url), mapping(path), "server.toml").scrape()
    assert between(NOTHING, now).models == {"a": ServedCounts(requests=7)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("requests = 3", "Expected `str"),
        ('request = "a"', "unknown field `request`"),
        ('model = "a"', "neither requests nor output_tokens"),
        ("requests", "docs/watch.md"),
    ],
)
def test_a_mapping_file_that_is_none(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "server.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=reason):
        mapping(path)
    with pytest.raises(UsageError, match="cannot read"):
        mapping(tmp_path / "absent.toml")


# --- between two readings --------------------------------------------------------------------


def reading(value: float | None, started: str | None = None, running: float = 0.0) -> Scrape:
    key: SeriesKey = ("output_tokens", "a", (("engine", "0"),))
    counters = {} if value is None else {key: value}
    return Scrape(counters=counters, running=running, started=started)


def test_counters_that_go_on_are_one_process() -> None:
    assert restarted(reading(5), reading(5)) is None
    assert restarted(reading(None), reading(5)) is None
    assert between(reading(5), reading(8)).models["a"].output_tokens == 3


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        (reading(5), reading(4), "went back"),
        (reading(5), reading(None), "no longer counted"),
        (reading(5, "1"), reading(9, "2"), "started again"),
    ],
)
def test_a_restart_is_noticed(before: Scrape, now: Scrape, reason: str) -> None:
    assert reason in str(restarted(before, now))


def test_requests_that_an_ensemble_s_models_may_share_are_in_doubt() -> None:
    triton, vllm = kinds()["triton"], kinds()["vllm"]
    one = ServedCounts(requests=5.0)
    several = ServedWork(counts=one, models={"ensemble": one, "step": one}, idle=False)
    assert "2 models counted requests" in str(doubt(triton, several))
    assert doubt(vllm, several) is None
    alone = ServedWork(counts=one, models={"a": one, "b": ServedCounts(requests=0.0)}, idle=False)
    assert doubt(triton, alone) is None


def test_the_series_that_is_named_is_one_that_lost_counts() -> None:
    never: SeriesKey = ("input_tokens", "a", ())
    before = Scrape(counters={never: 0.0, **reading(5).counters}, running=0)
    gone = str(restarted(before, reading(None)))
    assert gone.startswith("output tokens of a is no longer counted")
    assert restarted(before, reading(5)) is None


def test_idle_needs_no_work_at_either_end() -> None:
    assert between(reading(5), reading(5)).idle is True
    assert between(reading(5), reading(6)).idle is False
    assert between(reading(5, running=1), reading(5)).idle is False
    unknown = Scrape(counters=reading(5).counters, running=None)
    assert between(unknown, unknown).idle is None
