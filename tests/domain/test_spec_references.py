"""What resources need follows from the placeholders in their params."""

from engine.domain.spec import ResourceDeclaration, Spec
from engine.domain.spec_references import placeholder_places, spec_dependencies


def test_dependencies_are_the_resources_that_params_refer_to() -> None:
    spec = Spec(
        "app",
        {"name": "app"},
        {},
        resources={
            "app": ResourceDeclaration("app", "xx", params={"a": "${resources.db.host}", "b": ["${resources.cache}"]}),
            "db": ResourceDeclaration("db", "xx", params={"a": "$${resources.cache.x}", "b": "${metadata.name}"}),
            "cache": ResourceDeclaration("cache", "xx"),
        },
    )
    assert spec_dependencies(spec) == {"app": ("cache", "db"), "db": (), "cache": ()}


def test_placeholders_are_sought_where_score_resolves_them_and_nowhere_else() -> None:
    found = placeholder_places(
        {
            "metadata": {"name": "${a}"},
            "containers": {
                "main": {
                    "image": "${a}",
                    "args": ["${a}"],
                    "variables": {"${a}": "1"},
                    "files": {
                        "/a": {"content": "2"},
                        "/b": {"content": "no", "noExpand": True},
                        "/c": {"source": "no"},
                        "/d": {"binaryContent": "no"},
                    },
                    "volumes": [{"source": "3", "path": "no", "target": "no"}],
                },
                "broken": 7,
            },
            "resources": {"db": {"type": "no", "params": {"a": {"b": ["4"]}}}, "broken": []},
        }
    )
    assert [(place.text, place.owner) for place in found] == [("1", None), ("2", None), ("3", None), ("4", "db")]
