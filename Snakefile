# One rule per artefact. Each job is one command with one argument, its spec, and can be pasted into a shell.
# Parsing this file writes nothing: specs are written and the suite's folder is locked when a run begins. A job reruns when
# the content of its spec or of its source files changes: files of plug-ins are inputs, all others a hash among the params.
# Specs and outputs are listed in bench/plan/rules.py, inputs in bench/plan/inputs.py.
# A job has one thread unless its rule says otherwise: Snakemake's default, passed on to the job as OMP_NUM_THREADS.
import time

from bench import plan
from bench.plan.order import Order
from bench.plan.watch import watch
from bench.report.end_of_run import print_summary
from bench.runtime import orphans, preload

suite, inputs, jobs = plan.open_suite(config, workflow.configfiles, check=workflow.is_main_process)
of_task, of_run = suite.layout.task("{task}"), suite.layout.run("{task}", "{method}", "{seed}")
started, order = time.time(), Order(jobs, workflow)
# a resource of profiles/default: jobs on this machine are forked from a process that has imported torch
preloads = "preload" in dict(workflow.resource_settings.default_resources or {})
if preloads:
    shell.prefix(preload.SHELL)
if workflow.remote_exec:  # this process runs a batch of jobs on a cluster, with a server of its own to fork them from
    orphans.watch()
    if preloads and not suite.num_gpus:
        preload.start(inputs.unused_packages)


onstart:
    # under a limit of jobs per second, each job that has ended wakes Snakemake every second: a third of a core in the end
    workflow.scheduler.job_rate_limiter = None
    plan.begin(suite)
    if preloads and workflow.local_exec and not suite.num_gpus:  # CUDA does not survive a fork
        preload.start(inputs.unused_packages)
    watch(suite, workflow)


onsuccess:
    print_summary(suite.layout, started)


onerror:
    print_summary(suite.layout, started, log=" ".join(log))


wildcard_constraints:
    dataset=plan.NAME,
    prior=plan.NAME,
    family=plan.NAME,
    classifier=plan.NAME,
    task=plan.NAME,
    method=plan.NAME,
    seed=r"[0-9]+",
    visit=r"[0-9]+",
    figure=plan.one_of(suite.figures),
    toy=plan.one_of(suite.toys),


localrules:
    all,
    tuned,
    reproduce,


def everything(wildcards):
    """Return every artefact; damaged tables, figures and pages, which take no time, are made again."""
    plan.refuse_unshared_files(workflow.storage_settings.shared_fs_usage)
    workflow.dag.forcefiles.update(plan.damaged_products(jobs))
    return jobs.targets


rule all:
    input:
        everything,
    message:
        f"{suite.root} is complete"


rule tuned:
    input:
        jobs.made("tune"),
    message:
        f"the methods of {suite.root} are tuned"


rule data:
    priority: order.of("data")
    input:
        plugins=lambda w: inputs.plugins("data", w),
    output:
        jobs.outputs("data"),
    params:
        **jobs.params("data"),
    message:
        "data {wildcards.dataset}"
    shell:
        "python -m bench.stages.data {params.spec:q}"


rule prior:
    priority: order.of("prior")
    input:
        data=lambda w: inputs.data(w.prior),
        teacher=lambda w: inputs.teacher(w.prior),
        plugins=lambda w: inputs.plugins("prior", w),
    output:
        jobs.outputs("prior"),
    params:
        **jobs.params("prior"),
    message:
        "prior {wildcards.prior}"
    shell:
        "python -m bench.stages.prior {params.spec:q}"


rule classifier:
    priority: order.of("classifier")
    input:
        data=lambda w: inputs.data_of_classifier(w.classifier),
    output:
        jobs.outputs("classifier"),
    params:
        **jobs.params("classifier"),
    message:
        "classifier {wildcards.classifier}"
    shell:
        "python -m bench.stages.classifier {params.spec:q}"


rule observe:
    priority: order.of("observe")
    input:
        data=lambda w: inputs.data_of_task(w.task),
        problem=lambda w: inputs.problem(w.task),
        plugins=lambda w: inputs.plugins("observe", w),
    output:
        jobs.outputs("observe"),
    params:
        **jobs.params("observe"),
    message:
        "observe {wildcards.task}"
    shell:
        "python -m bench.stages.observe {params.spec:q}"


rule reference:
    priority: order.of("reference")
    input:
        problem=lambda w: inputs.problem(w.task),
        measurements=of_task.measurements,
        plugins=lambda w: inputs.plugins("reference", w),
    output:
        jobs.outputs("reference"),
    params:
        **jobs.params("reference"),
    message:
        "reference {wildcards.task}"
    shell:
        "python -m bench.stages.reference {params.spec:q}"


rule train:
    priority: order.of("train")
    input:
        problem=lambda w: inputs.problem(w.task),
        plugins=lambda w: inputs.plugins("train", w),
    output:
        jobs.outputs("train"),
    params:
        **jobs.params("train"),
    resources:
        gpu=suite.num_gpus,
    message:
        "train {wildcards.task} {wildcards.method} seed {wildcards.seed}"
    shell:
        "python -m bench.stages.train {params.spec:q}"


rule sample:
    priority: order.of("sample")
    input:
        state=lambda w: inputs.training(w.task, w.method, w.seed),
        problem=lambda w: inputs.problem(w.task),
        measurements=of_task.measurements,
        plugins=lambda w: inputs.plugins("sample", w),
    output:
        jobs.outputs("sample"),
    params:
        **jobs.params("sample"),
    resources:
        gpu=suite.num_gpus,
    message:
        "sample {wildcards.task} {wildcards.method} seed {wildcards.seed}"
    shell:
        "python -m bench.stages.sample {params.spec:q}"


rule clock:  # alone on the machine: it asks for all cores, and uses one
    input:
        before=ancient(lambda w: inputs.visits_before(w.visit)),
        beside=lambda w: inputs.clocked(w.task, w.method, w.seed),
        state=lambda w: inputs.training(w.task, w.method, w.seed),
        problem=lambda w: inputs.problem(w.task),
        measurements=of_task.measurements,
        plugins=lambda w: inputs.plugins("clock", w),
    output:
        jobs.outputs("clock"),
    params:
        **jobs.params("clock"),
    threads: workflow.cores
    resources:
        gpu=suite.num_gpus,
    message:
        "clock {wildcards.task} {wildcards.method} seed {wildcards.seed}, visit {wildcards.visit:q}"
    shell:
        "python -m bench.stages.clock {params.spec:q} {wildcards.visit:q}"


rule pool:
    priority: order.of("pool")
    input:
        visits=lambda w: inputs.visits(w.task, w.method, w.seed),
    output:
        jobs.outputs("pool"),
    params:
        **jobs.params("pool"),
    message:
        "times of {wildcards.task} {wildcards.method} seed {wildcards.seed}"
    shell:
        "python -m bench.stages.pool {params.spec:q}"


rule tune:
    priority: order.of("tune")
    input:
        problem=lambda w: inputs.problem(w.task),
        measurements=of_task.all_measurements,
        plugins=lambda w: inputs.plugins("tune", w),
    output:
        jobs.outputs("tune"),
    params:
        **jobs.params("tune"),
    message:
        "tune {wildcards.task} {wildcards.method}"
    shell:
        "python -m bench.stages.tune {params.spec:q}"


rule evaluate:
    priority: order.of("evaluate")
    input:
        problem=lambda w: inputs.problem(w.task),
        measurements=of_task.measurements,
        reference=of_task.reference,
        samples=lambda w: inputs.samples(w.task),
        of_metrics=lambda w: inputs.of_metrics(w.task),
        plugins=lambda w: inputs.plugins("evaluate", w),
    output:
        jobs.outputs("evaluate"),
    params:
        **jobs.params("evaluate"),
    message:
        "evaluate {wildcards.task}"
    shell:
        "python -m bench.stages.evaluate {params.spec:q}"


rule tables:
    priority: order.of("tables")
    input:
        results=inputs.results,
    output:
        jobs.outputs("tables"),
    params:
        **jobs.params("tables"),
    message:
        "tables"
    shell:
        "python -m bench.stages.tables {params.spec:q}"


rule timing:
    priority: order.of("timing")
    input:
        timings=inputs.timings,
    output:
        jobs.outputs("timing"),
    params:
        **jobs.params("timing"),
    message:
        "table of times"
    shell:
        "python -m bench.stages.timing {params.spec:q}"


rule published:
    priority: order.of("published")
    input:
        results=inputs.results,
        numbers=inputs.published,
    output:
        jobs.outputs("published"),
    params:
        **jobs.params("published"),
    message:
        "published numbers beside ours"
    shell:
        "python -m bench.stages.published {params.spec:q}"


rule claims:
    priority: order.of("claims")
    input:
        results=inputs.results,
    output:
        jobs.outputs("claims"),
    params:
        **jobs.params("claims"),
    message:
        "claims of the papers"
    shell:
        "python -m bench.stages.claims {params.spec:q}"


rule grid:
    priority: order.of("grid")
    input:
        measurements=of_task.measurements,
        reference=of_task.reference,
        samples=lambda w: inputs.samples(w.task),
        plugins=lambda w: inputs.plugins("grid", w),
    output:
        jobs.outputs("grid"),
    params:
        **jobs.params("grid"),
    message:
        "grid {wildcards.task}"
    shell:
        "python -m bench.stages.grid {params.spec:q}"


rule figure:
    priority: order.of("figure")
    input:
        results=inputs.results,
        reference=inputs.references,
        plugins=lambda w: inputs.plugins("figure", w),
    output:
        jobs.outputs("figure"),
    params:
        **jobs.params("figure"),
    message:
        "figure {wildcards.figure}"
    shell:
        "python -m bench.stages.figure {params.spec:q} {wildcards.figure}"


rule report:
    priority: order.of("report")
    input:
        tables=jobs.made("tables", "published", "claims"),
        ledger=inputs.ledger,
        reproduced=inputs.published_rows,
        figures=jobs.made("figure", "grid"),
    output:
        jobs.outputs("report"),
    params:
        **jobs.params("report"),
    message:
        "report"
    shell:
        "python -m bench.stages.report {params.spec:q}"


rule reproduce:  # no outputs: it compares anew whenever it is asked for, and fails where results differ
    input:
        results=inputs.results,
        tables=jobs.made("tables"),
        published=inputs.published_rows,
    params:
        **jobs.params("reproduce"),
    message:
        "compare with the published results"
    shell:
        "python -m bench.stages.reproduce {params.spec:q}"


rule toy:
    priority: order.of("toy")
    input:
        plugins=lambda w: inputs.plugins("toy", w),
    output:
        jobs.outputs("toy"),
    params:
        **jobs.params("toy"),
    message:
        "toy {wildcards.toy}"
    shell:
        "python -m bench.stages.toy {params.spec:q}"
