"""Tests the resources of a REST API below and beside greedy routes."""

import pytest

from shared.names import Route
from shared.resources import resources


def answers(*routes: Route) -> dict[str, dict[str, str]]:
    return {
        path: {method: route.function for method, route in methods.items()}
        for path, methods in resources(routes).items()
    }


def test_route_makes_a_resource_of_each_part_of_its_path() -> None:
    assert answers(Route("GET", "/a/b", "one")) == {"/a": {}, "/a/b": {"GET": "one"}}


def test_the_root_is_a_resource() -> None:
    assert answers(Route("GET", "/", "one")) == {"/": {"GET": "one"}}


def test_path_below_a_greedy_route_answers_as_the_route_does() -> None:
    assert answers(Route("ANY", "/a/{proxy+}", "all"), Route("GET", "/a/b/{id}", "one")) == {
        "/a": {},
        "/a/{proxy+}": {"ANY": "all"},
        "/a/b": {"ANY": "all"},
        "/a/b/{id}": {"GET": "one", "ANY": "all"},
        "/a/b/{id}/{proxy+}": {"ANY": "all"},
    }


def test_path_beside_a_greedy_route_is_unchanged() -> None:
    assert answers(Route("ANY", "/a/{proxy+}", "all"), Route("GET", "/ab/c", "one")) == {
        "/a": {},
        "/a/{proxy+}": {"ANY": "all"},
        "/ab": {},
        "/ab/c": {"GET": "one"},
    }


def test_the_nearest_greedy_route_answers_first() -> None:
    made = answers(
        Route("ANY", "/a/{proxy+}", "outer"), Route("ANY", "/a/b/{proxy+}", "inner"), Route("GET", "/a/b/c", "one")
    )
    assert made["/a/b"] == {"ANY": "outer"}
    assert made["/a/b/{proxy+}"] == {"ANY": "inner"}
    assert made["/a/b/c"] == {"GET": "one", "ANY": "inner"}
    assert made["/a/b/c/{proxy+}"] == {"ANY": "inner"}


def test_a_greedy_route_of_one_method_leaves_the_others_to_the_next() -> None:
    made = answers(Route("ANY", "/a/{proxy+}", "outer"), Route("GET", "/a/b/{proxy+}", "inner"))
    assert made["/a/b/{proxy+}"] == {"GET": "inner", "ANY": "outer"}


def test_a_farther_greedy_route_takes_no_method_from_a_nearer_one() -> None:
    made = answers(
        Route("GET", "/a/{proxy+}", "outer"), Route("ANY", "/a/b/{proxy+}", "inner"), Route("POST", "/a/b/c", "one")
    )
    assert made["/a/b/c"] == {"POST": "one", "ANY": "inner"}


def test_two_variables_at_one_level_are_refused() -> None:
    with pytest.raises(ValueError, match=r"/a has {id} and {name}"):
        answers(Route("GET", "/a/{id}", "one"), Route("GET", "/a/{name}/b", "two"))
    with pytest.raises(ValueError, match=r"/a has {id} and {proxy\+}"):
        answers(Route("GET", "/a/{id}", "one"), Route("ANY", "/a/{proxy+}", "all"))
