"""The key `metrics` of a suite: which metrics a task has, and which source files its evaluation depends on."""

from bench.metrics import BUILT_IN
from bench.plan.metrics import metric_sources, metrics_of_task

SUITE = {
    "tasks": {"gmm-denoise": {}, "gmm-blur": {}},
    "metrics": {
        "sets": {"extractors": ["digits-cnn-v1"]},
        "perceptual": {"tasks": ["gmm-blur"], "absent_weights": "stop"},
    },
}


def test_a_metric_can_be_restricted_to_some_tasks():
    assert metrics_of_task(SUITE, "gmm-denoise") == {"sets": {"extractors": ["digits-cnn-v1"]}}
    assert metrics_of_task(SUITE, "gmm-blur")["perceptual"] == {"absent_weights": "stop"}


def test_an_evaluation_depends_on_the_files_of_its_own_metrics_alone():
    denoise, blur = (set(metric_sources(SUITE, task)) for task in SUITE["tasks"])
    assert {f"bench/metrics/{name}.py" for name in (*BUILT_IN, "sets")} <= denoise
    assert blur - denoise == {"bench/metrics/perceptual.py"}
    assert not denoise & {
        "bench/runtime/lease.py",
        "bench/stats/results.py",
        "bench/report/tables.py",
    }
