"""The pictures of the dashboards show the widgets of prod at their places."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from infra_cdk.stages import PROD
from tests.support.cloudwatch.boards import Board, boards_of
from tests.support.templates.assembly import Assembly

PICTURES = Path(__file__).parents[2] / "docs" / "dashboards"
REDRAW = "make dashboards draws them again"


@pytest.fixture(params=["cost", "health"])
def board(assembly: Assembly, request: pytest.FixtureRequest) -> Board:
    (found,) = (board for board in boards_of(assembly.templates[PROD.name]) if board.kind == request.param)
    return found


def drawn(board: Board) -> Iterator[tuple[str, str]]:
    """Yield number and place from the id of each widget's frame, and the words in it."""
    for element in ElementTree.parse(PICTURES / f"{board.kind}.svg").iter():
        if element.get("id", "").startswith("widget-"):
            yield element.get("id", ""), words("".join(element.itertext()))


def words(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def test_picture_has_each_widget_at_its_place(board: Board) -> None:
    expected = [
        (f"widget-{number}-{one.x}-{one.y}-{one.width}-{one.height}", words(one.title))
        for number, one in enumerate(board.widgets)
    ]
    assert list(drawn(board)) == expected, REDRAW


def test_legend_has_each_named_line_of_a_graph(board: Board) -> None:
    picture = (PICTURES / f"{board.kind}.svg").read_text()
    for widget in board.widgets:
        for named, options in widget.metrics():
            if options.get("visible", True):
                assert f">{options.get('label', named.name)}</text>" in picture.replace("&#x27;", "'"), REDRAW
