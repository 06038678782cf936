"""SPEC.md's CDDL and tables say what the code does: every row is tried, and no row is missing."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from invoke_log.audit import report
from invoke_log.errors import MalformedError
from invoke_log.format import cbor, digest, limits, note, receipt
from invoke_log.format.cbor import Value
from invoke_log.rules import answer, budget, contract, effect, event, evidence, kind, policy, schema
from invoke_log.rules.schema import Schema

ROOT: Final = Path(__file__).parents[2]
SPEC: Final = (ROOT / "SPEC.md").read_text(encoding="utf-8")
CELL: Final = re.compile(r"(?<!\\)\|")


def section(title: str) -> str:
    """The text from a heading to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(title)}$\n(.*?)(?=^#|\Z)", SPEC, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def table(title: str, first: str) -> list[list[str]]:
    """The rows of the table in a section whose head begins with a cell, without the head."""
    lines = section(title).splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in CELL.split(line)[1:-1]])
    assert rows
    return rows


def clause(name: str) -> str:
    """The text of a clause that is an item of a list."""
    found = re.search(rf"^- \[{name}\](.*?)(?=^- |\n\n)", SPEC, re.MULTILINE | re.DOTALL)
    assert found, name
    return found[1]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# CDDL

NAMED: Final[list[tuple[str, Schema]]] = [
    ("ids", event._IDS),
    ("keys", event._KEY_SET),
    ("reference", {**event._REFERENCE, "nullable": False}),
    ("scope", event._SCOPE),
    ("evidence", event._EVIDENCE),
    ("verdict", policy.VERDICT_SCHEMA),
    ("inputs", policy.INPUTS_SCHEMA),
    ("contract", contract.SCHEMA),
    ("argument", contract._ARGUMENT),
    ("words", contract._WORDS),
    ("policy", policy.SCHEMA),
    ("rules", policy._RULES),
    ("budgeted-rules", policy._BUDGETED),
    ("rule", policy._RULE),
    ("budget", policy._BUDGET),
    ("condition", policy._CONDITION),
]
PRELUDE: Final = """\
value = bool / null / int53 / bstr / tstr / [* value] / {* tstr => value}
int53 = -9007199254740991..9007199254740991
uint53 = 0..9007199254740991
time-ms = 0..9000000000000000
pos53 = 1..9007199254740991
id = bstr .size 32
token = tstr .regexp "[A-Za-z0-9_.:/@+=-]+"
"""
INTEGERS: Final = {
    (-limits.INTEGER_MAX, limits.INTEGER_MAX): "int53",
    (0, limits.INTEGER_MAX): "uint53",
    (0, limits.TIME_MS_MAX): "time-ms",
    (1, limits.INTEGER_MAX): "pos53",
}


def type_of(described: Schema, *, top: str = "") -> str:
    """The CDDL type of a schema; by its name where it has one, unless that name is being defined."""
    spec: Any = described
    if spec["nullable"] and spec["type"] != "anything":
        return f"{type_of({**spec, 'nullable': False})} / null"
    name = next((name for name, named in NAMED if named == spec and name != top), None)
    if name is not None:
        return name
    match spec["type"]:
        case "integer":
            low, high = spec["min"], spec["max"]
            return INTEGERS.get((low, high), str(low) if low == high else f"{low}..{high}")
        case "bytes" if spec["min"] == spec["max"]:
            return "id" if spec["min"] == 32 else f"bstr .size {spec['min']}"
        case "bytes":
            return f"bstr .size ({spec['min']}..{spec['max']})"
        case "boolean":
            return "bool"
        case "text":
            return f"tstr .size (0..{spec['max']})"
        case "token":
            return f"token .size (1..{spec['max']})"
        case "enum":
            return " / ".join(f'"{member}"' for member in spec["of"])
        case "list" | "set":
            return f"[0*{spec['max']} {_grouped(spec['of'])}]"
        case "mapping":
            return f"{{0*{spec['max']} token => {type_of(spec['of'])}}}"
        case "record":
            return "{" + ", ".join(f"{name}: {type_of(inner)}" for name, inner in spec["fields"].items()) + "}"
        case _:
            return "value"


def _grouped(spec: Schema) -> str:
    inner = type_of(spec)
    return f"({inner})" if " / " in inner and not inner.startswith(("{", "[")) else inner


def rule(name: str, described: Schema) -> str:
    spec: Any = described
    remark = " ; set" if spec["type"] == "set" else ""
    if spec["type"] != "record":
        return f"{name} = {type_of(spec, top=name)}{remark}\n"
    lines = "".join(f"  {field}: {type_of(inner)},\n" for field, inner in spec["fields"].items())
    return f"{name} = {{\n{lines}}}\n"


def bodies() -> Iterator[str]:
    common = [f"  {name}: {type_of(spec)},\n" for name, spec in event._COMMON.items() if name not in ("kind", "data")]
    yield f"event = {{\n{''.join(common)}  said,\n}}\n"
    ends = {
        kind: ", of-effect, state: id" if kind == "intent" else ", of-effect" if kind in event.EFFECT_KINDS else ""
        for kind in (*event._DATA, "contract", "policy")
    }
    lines = [f'  kind: "{kind}", data: {kind}{end} //\n' for kind, end in ends.items()]
    yield f"said = (\n{''.join(lines).removesuffix(' //' + chr(10))}\n)\n"
    yield f"of-effect = ({', '.join(f'{name}: {type_of(spec)}' for name, spec in event._OF_EFFECT.items())})\n"


def cddl() -> str:
    data = [rule(name, schema.record(spec)) for name, (_, spec) in event._DATA.items()]
    return "\n".join([*bodies(), PRELUDE, *data, *(rule(name, spec) for name, spec in NAMED)])


def test_the_cddl_is_that_of_the_schemas() -> None:
    """[EVT-1], [EVT-2], [CTR-1], [POL-1]"""
    blocks = re.findall(r"^```cddl\n(.*?)^```$", section("6.3 CDDL"), re.MULTILINE | re.DOTALL)
    assert blocks == [cddl()]


# 2 and 3: canonical form, names


def test_the_bounds_are_those_of_the_code() -> None:
    """[IL1-6]"""
    listed = [int(value.replace(",", "")) for _, value in table("2. Canonical form: IL1", "bound")]
    assert listed == [
        limits.INTEGER_MAX,
        limits.TIME_MS_MAX,
        limits.NESTING_MAX,
        limits.MAP_KEY_BYTES_MAX,
        limits.BODY_BYTES_MAX,
        limits.ITEM_BYTES_MAX,
        limits.ENTRY_BYTES_MAX,
        limits.LEAF_ITEM_BYTES_MAX,
        receipt.ITEM_BYTES_MAX,
        limits.RESOURCE_BYTES_MAX,
        limits.RAW_INLINE_BYTES_MAX,
        limits.KEY_NAME_BYTES_MAX,
        note.NOTE_BYTES_MAX,
        limits.ATTACHMENT_BYTES_MAX,
    ]


@pytest.mark.parametrize("row", table("2. Canonical form: IL1", "bytes"), ids=lambda row: row[1])
def test_bytes_that_the_spec_refuses_are_refused(row: list[str]) -> None:
    """[IL1-2], [IL1-3], [IL1-4], [IL1-5]"""
    with pytest.raises(MalformedError):
        cbor.decode(bytes.fromhex(quoted(row[0])[0]))


def test_every_context_is_listed_once_and_no_other() -> None:
    """[ID-1]"""
    listed = [quoted(row[0])[0] for row in table("3. Names", "context")]
    assert listed == list(digest.CONTEXT_NAMES)


def test_every_prefix_of_an_id_is_listed() -> None:
    """[ID-13]"""
    assert [word for word in quoted(clause("ID-13")) if word != "_"] == list(digest.PREFIXES)


# 4: schemas


def schema_of(cell: str) -> Schema:
    found = json.loads(quoted(cell)[0])
    assert isinstance(found, dict)
    return {"nullable": False, **found}


@pytest.mark.parametrize("row", table("4.1 Schemas", "schema"), ids=lambda row: row[0][:40])
def test_a_schema_of_the_spec_holds_what_it_says_and_nothing_else(row: list[str]) -> None:
    """[VAL-2], [VAL-3], [VAL-4], [VAL-5], [VAL-6], [VAL-7], [VAL-8], [VAL-9], [VAL-10], [VAL-11], [VAL-12], [VAL-13],
    [VAL-14]
    """
    check = schema.compile_schema(schema_of(row[0]))
    for text in quoted(row[1]):
        check(json.loads(text), "$")
    for text in quoted(row[2]):
        with pytest.raises(MalformedError):
            check(json.loads(text), "$")


def test_every_type_is_listed_with_its_fields() -> None:
    """[VAL-1]"""
    listed = {quoted(row[0])[0]: tuple(quoted(row[1])) for row in table("4.1 Schemas", "type")}
    assert listed == {name: fields for name, (_, fields) in schema._COMPILERS.items()}
    published = "uses no `mapping` and no `anything`"
    assert published in " ".join(SPEC.split())
    assert frozenset(listed) - {"mapping", "anything"} == schema.PROFILE_TYPES


# 6 to 8: events, contracts, policies


def test_every_kind_is_on_the_chain_that_is_listed() -> None:
    """[EVT-1]"""
    rows = {row[0]: row[1:] for row in table("6.2 Kinds and chains", "kinds")}
    listed = {kind: cells for kinds, cells in rows.items() for kind in kinds.split(", ")}
    assert set(listed) == event.KINDS
    assert {k for k, cells in listed.items() if cells[0].startswith("governance")} == event.GOVERNANCE_KINDS
    assert {k for k, cells in listed.items() if cells[0] == "its effect's"} == event.CHAINED_KINDS
    assert {k for k, cells in listed.items() if "`effect`" in cells[2]} == event.EFFECT_KINDS
    assert {k for k, cells in listed.items() if "`data.about`" in cells[2]} == event.ABOUT_KINDS
    assert {k for k, cells in listed.items() if "`state`" in cells[2]} == {"intent"}


def test_every_field_of_a_contract_is_explained() -> None:
    """[CTR-1]"""
    fields: Any = contract.SCHEMA["fields"]
    listed = [name for row in table("7.1 Contracts", "field") for name in quoted(row[0])]
    assert sorted(listed) == sorted(fields)


def test_every_answer_that_is_never_a_definite_failure_is_listed() -> None:
    """[CTR-9]"""
    assert set(quoted(clause("CTR-9"))) >= contract.NEVER_DEFINITE


FACTS: Final[dict[str, Value]] = {
    "effect_class": "money.charge/1",
    "resource": "stripe:acct_1/test/customer/cus_1",
    "purpose": "789",
    "contract": "charge-customer",
    "generation": 1,
    "issuer": "ed" * 32,
    "arguments": {"customer": "cus_1", "order": "789", "amount": 5000, "currency": "usd"},
}
INPUTS: Final[dict[str, Value]] = {"now_ms": 1_790_000_000_000, "snapshot": {}, "budgets": {}}
ANSWERS: Final = {"allow": ("allow", "r"), "deny, no rule": ("deny", None), "deny, the rule": ("deny", "r")}


@pytest.mark.parametrize("row", table("8.1 Policies: rules/1", "`field`"), ids=lambda row: " ".join(row))
def test_a_condition_is_evaluated_as_the_spec_says(row: list[str]) -> None:
    """[POL-2], [POL-3]"""
    field, test, value = (quoted(cell)[0] for cell in row[:3])
    condition: Value = {"field": json.loads(field), "test": test, "value": json.loads(value)}
    rules: Value = [{"name": "r", "then": "allow", "approvals": 0, "when": [condition]}]
    judged = policy.judge(
        policy.parse_policy({"name": "p", "engine": policy.ENGINE, "source": {"rules": rules}}), FACTS, INPUTS
    )
    assert judged is not None
    assert (judged.answer, judged.rule) == ANSWERS[row[3]]


@pytest.mark.parametrize(("then", "approvals"), [("allow", 0), ("deny", 0), ("ask", 3)])
def test_a_rule_wants_approvals_only_where_it_asks(then: str, approvals: int) -> None:
    """[POL-2]"""
    rules: Value = [{"name": "r", "then": then, "approvals": 3, "when": []}]
    source: dict[str, Value] = {"name": "p", "engine": policy.ENGINE, "source": {"rules": rules}}
    judged = policy.judge(policy.parse_policy(source), FACTS, INPUTS)
    assert judged == policy.Judgement(answer=then, rule="r", approvals=approvals)


def test_every_test_of_a_condition_is_listed() -> None:
    """[POL-3]"""
    listed = [quoted(row[0])[0] for row in table("8.1 Policies: rules/1", "test")]
    fields: Any = policy._CONDITION["fields"]
    assert sorted(listed) == sorted(fields["test"]["of"])


@pytest.mark.parametrize("row", table("8.3 Budgets", "`sum`"), ids=lambda row: " ".join(row))
def test_a_budget_counts_as_the_spec_says(row: list[str]) -> None:
    """[POL-5], [POL-6], [POL-7]"""
    said = [json.loads(cell.strip("`")) if cell != "none" else None for cell in row]
    window, values = said[1], said[2:]
    each = policy.Budget(effect_class="*", prefix="", each="log", sums=said[0], window_ms=window)
    spending, calls = budget.Spending(), [charged(name, at) for name, at in (("a", 0), ("b", 60_000), ("c", 90_000))]
    for index, call in enumerate(calls[:2]):
        spending.note(index, budget.Change(id=call.id, counts=True), call)
    spending.note(2, budget.Change(id=calls[0].id, counts=False), None)
    found = []
    for claim in (None, calls[2].id):
        if claim is not None:
            spending.note(3, budget.Change(id=claim, counts=True), calls[2])
        inputs: Any = spending.inputs({"b": each}, calls[2], claim=claim, now_ms=calls[2].at_ms, as_of=9)
        found.append(inputs["b"]["value"] if inputs else None)
    assert found == values


def charged(name: str, later_ms: int) -> budget.Counted:
    at_ms, arguments = INPUTS["now_ms"], FACTS["arguments"]
    assert isinstance(at_ms, int)
    assert isinstance(arguments, dict)
    amounts = {name: value for name, value in arguments.items() if isinstance(value, int)}
    of, where = "money.charge/1", "stripe:acct_1/test/customer/cus_1"
    return budget.Counted(id=name.encode(), at_ms=at_ms + later_ms, effect_class=of, resource=where, amounts=amounts)


# 9 and 10: the life of an effect, proof


def test_every_answer_and_next_step_is_listed() -> None:
    """[ADM-2], [ADM-5]"""
    assert set(answer.NAMES.values()) <= set(re.findall(r"\w+", clause("ADM-2").lower()))
    assert {quoted(row[1])[0] for row in table("9.2 The answers", "status")} == set(effect.NEXT)


def test_every_chained_kind_has_a_row_in_the_table_of_transitions() -> None:
    rows = [row[0] for row in table("9.4 Statuses and transitions", "event")]
    listed = {word for cell in rows for word in re.findall(r"[a-z]+", cell)} - {"after", "again", "present", "absent"}
    assert listed == event.CHAINED_KINDS | event.ABOUT_KINDS | {"refusal", "tick"}


def test_every_kind_of_evidence_shows_what_is_listed() -> None:
    """[PRF-1], [PRF-2], [PRF-4]"""
    rows = {quoted(row[0])[0]: row[2] for row in table("10. Proof", "evidence kind")}
    assert list(rows) == list(kind.EVIDENCE_KINDS)
    assert {k for k, shows in rows.items() if shows == "not done"} == kind.PROOFS_OF_FAILURE
    assert {k for k, shows in rows.items() if "present" in shows} == evidence.PROOFS_OF_PRESENCE
    assert {k for k, shows in rows.items() if "absent" in shows} | {"abort"} == evidence.PROOFS_OF_ABSENCE


def test_every_word_of_reliance_is_listed() -> None:
    """[PRF-9]"""
    source = (ROOT / "src/invoke_log/rules/evidence.py").read_text(encoding="utf-8")
    body = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == "reliance_of")
    texts = {n.value for n in ast.walk(body) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    words = {text for text in texts if re.fullmatch(r"[a-z]+(-[a-z]+)*", text)} - set(kind.EVIDENCE_KINDS)
    listed = {word for row in table("10. Proof", "word") for word in quoted(row[0])}
    assert listed | {"store-not-rolled-back"} == words
    said = [json.loads(path.read_text(encoding="ascii"))["report"] for path in (ROOT / "vectors/replay").glob("*.json")]
    assert words == {word for report in said for effect in report["effects"] for word in effect["relies_on"]}


# 11: codes


def codes_in(package: str) -> set[str]:
    """Every code that a module of the package gives: `code=…`, the first argument of `_find`, and `_VOID_CODES`."""
    found: set[str] = set()
    for path in (ROOT / "src" / "invoke_log" / package).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [k.value for k in node.keywords if k.arg == "code"] if isinstance(node, ast.Call) else []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "_find":
                named.append(node.args[0])
            if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "_VOID_CODES":
                assert isinstance(node.value, ast.Dict)
                named += node.value.values
            if isinstance(node, ast.FunctionDef) and node.name in ("_judge", "_stop_code"):
                named += [part.value for part in ast.walk(node) if isinstance(part, ast.Return) and part.value]
            leaves = [leaf for value in named for leaf in ast.walk(value)]
            found |= {leaf.value for leaf in leaves if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)}
    return {code for code in found if re.fullmatch(r"[a-z]+(-[a-z]+)*", code)}


def listed_codes(title: str) -> set[str]:
    return {quoted(row[0])[0] for row in table(title, "code")}


def test_every_code_of_the_rules_is_listed_and_no_other() -> None:
    """[RPL-4]"""
    given = codes_in("rules") | codes_in("ledger") - listed_codes("11.2 Findings of replay")
    before_the_rules = {"malformed", "signature-invalid"}  # the codes of the errors that stop an event
    assert listed_codes("11.1 Why an event is not admitted") == given - {"genesis-invalid"} | before_the_rules


def test_every_code_of_the_audit_is_listed_with_its_severity() -> None:
    """[RPL-8]"""
    rows = {quoted(row[0])[0]: row[1] for row in table("11.2 Findings of replay", "code")}
    shared = listed_codes("11.1 Why an event is not admitted") - {"malformed"}
    assert set(rows) == codes_in("audit") - shared | {"genesis-invalid"}
    assert {code for code, severity in rows.items() if severity == report.WARNING} == report.WARNINGS
    assert set(rows.values()) == {report.ERROR, report.WARNING}
