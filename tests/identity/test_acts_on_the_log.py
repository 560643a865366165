"""Every act on accounts that the source names is a code of the audit log, so that it can be searched for."""

import ast
from collections.abc import Iterator
from pathlib import Path

import fhir_server
from fhir_server.interactions.audit_parts import ACCOUNT_ACTIONS, ADMINISTRATION_ACTIONS

_SOURCE = Path(fhir_server.__file__).parent
_TAKES_ACTION = {"act": 0, "noted": 0, "record_act": 2}
"""Functions that write an AuditEvent for an act, and which argument names it."""


def named(tree: ast.Module) -> Iterator[str]:
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        given = [keyword.value for keyword in call.keywords if keyword.arg == "action"]
        if name in _TAKES_ACTION and len(call.args) > _TAKES_ACTION[name]:
            given.append(call.args[_TAKES_ACTION[name]])
        for value in given if name in _TAKES_ACTION or name == "record_administration" else ():
            words = (each.value for each in ast.walk(value) if isinstance(each, ast.Constant))
            yield from (word for word in words if isinstance(word, str) and "-" in word)


def test_every_act_of_the_source_is_a_code_of_the_log() -> None:
    known = {*ADMINISTRATION_ACTIONS, *ACCOUNT_ACTIONS}
    found = {action: path.name for path in _SOURCE.rglob("*.py") for action in named(ast.parse(path.read_text()))}
    whole = {action for action in found if not action.startswith("-")}
    assert len(whole) > 30, "the acts of the source are not found any more"
    missing = {action: found[action] for action in whole - known}
    assert not missing
    # Of an act named in parts, such as f"{step}-app", the code begins differently for each step.
    assert all(any(code.endswith(part) for code in known) for part in found.keys() - whole)
