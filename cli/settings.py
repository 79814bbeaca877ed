"""The settings as this process's environment has them, with a wrong one told in words."""

from engine.config import Settings
from engine.errors import Invalid, Problem


def read_settings(**given: object) -> Settings:
    """`given` goes before the environment, None does not count. Raises Invalid with every wrong setting."""
    from pydantic import ValidationError

    try:
        return Settings.model_validate(_known(given))
    except ValidationError as error:
        problems = [
            Problem(
                "invalid_setting",
                "INNOMINATUS_" + "_".join(str(part).upper() for part in item["loc"]),
                item["msg"],
                Settings.model_fields[str(item["loc"][0])].description or "" if item["loc"] else "",
            )
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise Invalid("A setting is wrong.", problems, code="invalid_setting") from None


def _known(given: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in given.items() if value is not None}
