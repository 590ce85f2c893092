"""A stage with graphs has a function, a queue and a layer for them. Other stages have none of these."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from infra_cdk import app, nag
from infra_cdk.assets import Assets
from infra_cdk.entries import GRAPHS, WITH_GRAPHS
from infra_cdk.graphs import StageGraphs
from infra_cdk.settings import READS
from infra_cdk.stages import DEV, PROD, Stage
from shared.names import Env
from tests.support.templates.assembly import synthesised
from tests.support.templates.template import Template, listed, text

REVIEW = {"review": "mine.review:graph"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a package of the user, with Python's compiled files beside it."""
    folder = tmp_path_factory.mktemp("package") / "mine"
    for name in ("__init__.py", "review.py", "__pycache__/review.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def stage(package: Path) -> Stage:
    return replace(DEV, graphs=StageGraphs(REVIEW, str(package)))


@pytest.fixture(scope="module")
def graphs(stage: Stage, out: Path) -> Template:
    return synthesised(stage, out)


def layers_of(template: Template, name: str) -> set[str]:
    names = [text(layer).strip("<>") for layer in template.functions()[name]["Layers"]]
    return {re.sub(r"[0-9A-F]{8}$", "", name) for name in names}


def senders(template: Template, queue: str) -> set[str]:
    return {
        one.owner
        for one in template.statements()
        if "sqs:SendMessage" in one.actions and any(re.match(rf"<{queue}", resource) for resource in one.resources)
    }


class TestWithout:
    def test_stage_without_graphs_has_no_resource_of_them(self, template: Template) -> None:
        assert GRAPHS.name not in template.functions()
        assert not [id_ for id_ in template.body["Resources"] if re.search("Graph|Langgraph", id_)]
        for function in template.functions().values():
            assert not [name for name in function["Environment"]["Variables"] if "GRAPHS" in name]


class TestWith:
    def test_stage_with_graphs_has_each_function(self, graphs: Template) -> None:
        assert set(graphs.functions()) == {entry.name for entry in WITH_GRAPHS}
        assert graphs.functions()[GRAPHS.name]["Timeout"] == 900

    def test_libraries_and_package_of_graphs_are_only_in_their_function(self, graphs: Template) -> None:
        assert layers_of(graphs, GRAPHS.name) == {"Langgraph", "Core", "Catalog", "GraphsPackage"}
        for name in set(graphs.functions()) - {GRAPHS.name}:
            assert not {"Langgraph", "GraphsPackage"} & layers_of(graphs, name), name

    def test_the_package_is_on_the_path_of_modules(self, graphs: Template, out: Path) -> None:
        (layer,) = [one for id_, one in graphs.all("AWS::Lambda::LayerVersion").items() if id_.startswith("GraphsPack")]
        folder = out / "out" / layer["Metadata"]["aws:asset:path"]
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert files == {"python/mine/__init__.py", "python/mine/review.py"}

    def test_function_of_graphs_is_fed_only_by_its_own_queue(self, graphs: Template, stage: Stage) -> None:
        fed = {
            text(one["FunctionName"]): (text(one["EventSourceArn"]), one["ScalingConfig"]["MaximumConcurrency"])
            for one in graphs.resources("AWS::Lambda::EventSourceMapping").values()
        }
        (of_graphs,) = [found for function, found in fed.items() if "Graphs" in function]
        (of_worker,) = [found for function, found in fed.items() if "Worker" in function]
        assert of_graphs[0].startswith("<GraphsQueue")
        assert of_graphs[1] == stage.graphs_concurrency
        assert not of_worker[0].startswith("<GraphsQueue")

    def test_only_functions_that_hand_over_graph_turns_send_to_the_queue(self, graphs: Template) -> None:
        assert senders(graphs, "GraphsQueue") == {"TurnsRole", "SweeperRole", "GraphsRole"}
        assert senders(graphs, "Queue") == {"TurnsRole", "SweeperRole", "WorkerRole"}

    def test_dead_letters_of_graphs_ring_as_the_workers_do(self, graphs: Template) -> None:
        alarms = {
            text(one["AlarmName"]): one
            for one in graphs.resources("AWS::CloudWatch::Alarm").values()
            if "AlarmName" in one
        }
        first, second = alarms["pantheon-dev-DeadLetter"], alarms["pantheon-dev-DeadLetterGraphs"]
        for name in ("AlarmActions", "Threshold", "AlarmDescription", "MetricName"):
            assert first[name] == second[name]
        assert first["Dimensions"] != second["Dimensions"]

    def test_release_of_the_graph_function_is_shifted_and_rolled_back_as_the_others(self, graphs: Template) -> None:
        groups = graphs.resources("AWS::CodeDeploy::DeploymentGroup")
        assert [id_ for id_ in groups if id_.startswith("ReleaseGraphs")]

    def test_function_of_graphs_gets_only_the_settings_that_it_reads(self, graphs: Template) -> None:
        variables = {
            name: text(value) for name, value in graphs.functions()[GRAPHS.name]["Environment"]["Variables"].items()
        }
        read = {field.alias for part in READS[GRAPHS.name] for field in part.model_fields.values()}
        # The client of SQS reads this one.
        assert set(variables) - {"AWS_ENDPOINT_URL_SQS"} <= read
        assert variables[Env.GRAPHS] == "review=mine.review:graph"
        assert "GraphsQueue" in variables[Env.GRAPHS_QUEUE_URL]
        for part in READS[GRAPHS.name]:
            part.model_validate({name: "7" if "<" in value else value for name, value in variables.items()})

    def test_function_of_graphs_has_the_rights_of_the_worker(self, graphs: Template) -> None:
        def allowed(owner: str) -> set[str]:
            return {action for one in graphs.statements() if one.owner == owner for action in one.actions}

        assert allowed("GraphsRole") == allowed("WorkerRole")

    def test_cdk_nag_has_no_finding(self, stage: Stage, tmp_path: Path) -> None:
        made = app.build(tmp_path / "out", [stage], Assets.empty(tmp_path / "build"))
        nag.check(made)
        made.synth()


class TestRefused:
    @pytest.mark.parametrize(
        ("graphs", "said"),
        [
            (StageGraphs({}), "has no graph"),
            (StageGraphs({"Review": "mine.review:graph"}), "'Review=mine.review:graph' is not of the form"),
            (StageGraphs({"review": "mine.review"}), "is not of the form"),
            (StageGraphs({"review": "mine:one,two=mine:two"}), "comma"),
            (StageGraphs(REVIEW, "no/such/folder"), "is no folder with an __init__.py"),
            (StageGraphs(REVIEW, "docs"), "is no folder with an __init__.py"),
        ],
    )
    def test_graphs_that_cannot_be_deployed_are_refused_in_one_line(self, graphs: StageGraphs, said: str) -> None:
        with pytest.raises(ValueError, match=re.escape(said)) as refused:
            replace(DEV, graphs=graphs)
        assert "\n" not in str(refused.value)

    def test_a_stage_that_reserves_concurrency_reserves_as_much_for_graphs_as_their_queue_delivers(self) -> None:
        reserved = {**PROD.reserved, "turns": 100, GRAPHS.name: 1}
        with pytest.raises(ValueError, match="invocations of graphs at once"):
            replace(PROD, graphs=StageGraphs({"one": "functions.graphs.examples.review:graph"}), reserved=reserved)

    def test_a_stage_without_graphs_reserves_nothing_for_them(self) -> None:
        with pytest.raises(ValueError, match="unknown functions"):
            replace(PROD, reserved={**PROD.reserved, GRAPHS.name: 100})


def test_every_resource_of_graphs_has_the_tags_of_its_stage(graphs: Template) -> None:
    for id_, body in graphs.all("AWS::SQS::Queue").items():
        assert listed(body["Properties"]["Tags"]), id_
