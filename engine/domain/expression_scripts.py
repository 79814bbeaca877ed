"""Expressions inside a script: a value must never become code.

A plain value may stand anywhere. Any other only through `| sh`, in a shell script, where the shell is reading ordinary
words. What the shell is reading is followed through quotes, comments and expansions; after a construct that cannot be
followed with certainty nothing but plain values is let through. Those who need more read `$PARAM_<NAME>`.
"""

import re
from collections.abc import Iterator, Mapping

from engine.domain import expression_filters as filters
from engine.domain.expression import Expression
from engine.domain.expression_syntax import ExpressionError
from engine.domain.expressions import parts
from engine.domain.values import Json
from engine.errors import Invalid, Problem

_PLAIN = re.compile(r"[A-Za-z0-9._:/@%+=,-]*")
_SHELLS = re.compile(r"#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+)*)?(?:\S*/)?(?:ba|da|z|k|a)?sh(?:\s|$)")
_SHEBANG = re.compile(r"\s*#!.*")
_SIMPLE = r"\$\{[^}'\"`$\\]*\}|\$\((?:(?!case\b)[^()'\"`#\\])*\)"  # expansions that hide no quotes of their own
_READ = re.compile(
    rf"(?<!\$)'[^']*'|(?<!\$)\"(?:[^\"\\$`]|\\.|{_SIMPLE}|\$(?![({{\[]))*\"|\\."
    r"|(?:(?<=[\s;&|()])|\A)\#[^\n]*(?=\n)|\$\{[^}'\"`$\\]*\}",
    re.DOTALL,
)
_UNCERTAIN = re.compile(r"['\"`]|<<|\(\(|\$[\[{]|(?:\A|[\s;&|()])\#|\w\[[^\]]*\Z|\b(?:let|eval)\b[^\n;&|]*\Z")
_ENVIRONMENT = 'Read it from the environment (`"$PARAM_<NAME>"`) or from the JSON file `$INNOMINATUS_INPUTS`.'


def render_script(text: str, scope: Mapping[str, Json], *, at: str = "script", interpreter: str | None = None) -> str:
    """The script with its values. Raises Invalid for a value that could be read as code, with the remedy.

    `interpreter` is the program that reads it where the `#!` line does not decide; None means that line, else a shell.
    """
    try:
        return "".join(_rendered(text, scope, interpreter))
    except ExpressionError as error:
        raise Invalid(
            "The script cannot be rendered.", [Problem("expression", at, error.message, error.fix)], code="expression"
        ) from None


def _rendered(text: str, scope: Mapping[str, Json], interpreter: str | None) -> Iterator[str]:
    shebang = _SHEBANG.match(text)
    program = f"#!{interpreter}" if interpreter else shebang.group().strip() if shebang else ""
    shell = not program or _SHELLS.match(program) is not None
    budget = [filters.MAX_OUTPUT]
    before = ""
    for piece in parts(text):
        if isinstance(piece, str):
            before += piece
            yield piece
            continue
        value = _value(piece, scope, budget, words=shell and reads_words(before), shell=shell)
        before += "x"  # stands for the value: a word that opens and closes nothing
        yield value


def _value(expression: Expression, scope: Mapping[str, Json], budget: list[int], *, words: bool, shell: bool) -> str:
    value = expression.json(scope, budget)
    text = filters.text(value)
    if _PLAIN.fullmatch(text) or (expression.shell_word and words):
        return text
    if expression.shell_word and not shell:
        raise ExpressionError(
            f"`{expression.source}` is quoted for a shell, and the script is for another program", _ENVIRONMENT
        )
    if expression.shell_word:
        raise ExpressionError(
            f"`{expression.source}` stands where quoting for a shell may not protect: inside quotes, a comment or an "
            "expansion, or in and after a here-document",
            _ENVIRONMENT,
        )
    remedy = f"Write `{{{{ {expression.source} | sh }}}}` outside of quotes. " if shell else ""
    raise ExpressionError(
        f"The value of `{expression.source}` holds characters that the script could read as code", remedy + _ENVIRONMENT
    )


def reads_words(before: str) -> bool:
    """True when a shell that has read `before` is certain to be reading ordinary words, outside of any quotes."""
    return not before.endswith(("\\", "$")) and not _UNCERTAIN.search(_READ.sub(" _ ", before))
