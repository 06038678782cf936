"""Tools, and the contracts they run under: contract files, contracts written in the decorator, their registration."""

import inspect
import json
import logging
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, cast

from invoke_log.errors import ConfigInvalidError, ContractInvalidError, NotFoundError
from invoke_log.format.cbor import Value
from invoke_log.ledger.log import Log
from invoke_log.log.file import TEXT_BYTES_MAX, read_file
from invoke_log.log.home import signer_beside
from invoke_log.rules import schema
from invoke_log.rules.admission import Stale
from invoke_log.rules.answer import Accepted, Duplicate, Unavailable
from invoke_log.rules.contract import Contract, complete_contract, parse_contract
from invoke_log.rules.governance import Governance
from invoke_log.rules.schema import Schema

_log = logging.getLogger(__name__)
REGISTRATIONS_MAX: Final = 10
REVIEW: Final = "REVIEW"
"""What a draft has where only a person who knows the tool can say what is true."""
_READY: Final = resources.files("invoke_log") / "contracts"
_PLACES: Final = re.compile(r"\{([^{}]*)\}")
_ANNOTATED: Final[dict[object, Schema]] = {
    int: schema.integer(),
    str: schema.text(),
    bytes: schema.blob(0, 16_384),
    bool: schema.boolean(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function and the contract that it runs under.

    snapshot: reads the world that a decision rests on, given those of the call's arguments that it names (`arguments`).
    read_back: finds the provider's objects under our tag, given the `Call`; it returns their references, all of them,
    or raises. redrive: sends the same request again, given what the log recorded of it and the `Call`. void: has the
    provider give up for good what is under our tag, given the `Call`; True once it has. sweep: lists the provider's
    objects that happened, each as its reference and the tag that it carries, or None. takes_call: the function wants
    its `Call` too, as `invoke`. awaited: it is a coroutine function.
    """

    function: Callable[..., Any]
    contract: Contract
    snapshot: Callable[..., object] | None
    read_back: Callable[..., object] | None
    redrive: Callable[..., object] | None = None
    void: Callable[..., object] | None = None
    sweep: Callable[[], Iterable[tuple[str, str | None]]] | None = None
    arguments: tuple[str, ...] = ()
    takes_call: bool = False
    awaited: bool = False


def make_tool(
    function: Callable[..., Any],
    contract: Contract,
    snapshot: Callable[..., object] | None = None,
    read_back: Callable[..., object] | None = None,
    *,
    redrive: Callable[..., object] | None = None,
    void: Callable[..., object] | None = None,
    sweep: Callable[[], Iterable[tuple[str, str | None]]] | None = None,
) -> Tool:
    """Return a tool whose functions take what they will be given.

    Raises: ConfigInvalidError: they do not. Found out only after START, it would leave an unknown outcome behind.
        ContractInvalidError: as `check_kept`.
    """
    if (contract.profile is not None) != (snapshot is not None):
        raise ConfigInvalidError(
            f"tool {contract.name}: a profile and a function that reads the snapshot come together"
        )
    check_kept(contract)
    if void is not None and contract.void is None:
        raise ConfigInvalidError(
            f"tool {contract.name}: its contract has no `void`, so that no log would take one for a proof"
        )
    if void is not None and contract.stores_results and not contract.proves_absence:
        raise ConfigInvalidError(
            f"tool {contract.name}: under its key the provider would answer a next attempt with what it has given up; "
            "only a read-back that can prove an absence lets the key change"
        )
    for asked in (snapshot, read_back, redrive, void, sweep):
        if inspect.iscoroutinefunction(asked):
            raise ConfigInvalidError(
                f"tool {contract.name}: {asked.__name__} is a coroutine function, and nobody awaits it"
            )
    for what, sends in (("function", function), ("re-drive", redrive)):
        if inspect.isgeneratorfunction(sends) or inspect.isasyncgenfunction(sends):
            raise ConfigInvalidError(f"tool {contract.name}: its {what} is a generator, and nobody runs it")
    if redrive is not None:
        _check_redrive(redrive, contract)
    try:
        signature = inspect.signature(function)
        given = [*contract.arguments, *(["invoke"] if "invoke" in signature.parameters else [])]
        signature.bind(**dict.fromkeys(given))
        read = tuple(inspect.signature(snapshot).parameters) if snapshot is not None else ()
        if not set(read) <= contract.arguments.keys():
            raise TypeError(f"its snapshot asks for {', '.join(sorted(set(read) - contract.arguments.keys()))}")
    except (TypeError, ValueError) as error:
        names = ", ".join(contract.arguments)
        raise ConfigInvalidError(f"tool {contract.name}: {error}; a call has exactly {names}") from error
    return Tool(
        function=function,
        contract=contract,
        snapshot=snapshot,
        read_back=read_back,
        redrive=redrive,
        void=void,
        sweep=sweep,
        arguments=read,
        takes_call="invoke" in given,
        awaited=inspect.iscoroutinefunction(function),
    )


def looks_for(governance: Governance, tool: Tool, contract: Contract) -> bool:
    """Return whether a tool's read-back finds what was sent under a contract: it does the same thing, at one place."""
    return governance.succeeds(tool.contract, contract) and tool.contract.looks_where(contract)


def check_kept(contract: Contract) -> None:
    """Refuse a contract that says what no guard keeps: registered, nothing would ever run under it.

    Raises: ContractInvalidError: what, and what to write instead.
    """
    private = [
        name for name, argument in contract.arguments.items() if argument.private and argument.role != "volatile"
    ]
    if contract.level != "durable":
        # Sent earlier than its contract lets it be, a call would rest on less than its receipt says.
        words, hint = f"sends wait for level {contract.level!r}", 'write level = "durable"'
    elif private:
        words, hint = f"argument {private[0]!r} is private, and recorded", 'give it the role "volatile", or a reference'
    elif "invoke" in contract.arguments:
        words, hint = "argument 'invoke' has the name of what a tool is told of its call", "give it another name"
    elif contract.minimum_grade in ("E3", "E4"):
        words, hint = (
            f"minimum_grade is {contract.minimum_grade}, and a log alone shows E2 at most",
            "write E2 or lower",
        )
    elif contract.minimum_grade == "E2" and contract.reconcilers < 2:
        words, hint = "minimum_grade is E2, and one reconciler reads", "write reconcilers = 2, or a lower grade"
    else:
        return
    raise ContractInvalidError(f"contract {contract.name!r}: {words}: no guard of this version keeps that", hint=hint)


def _check_redrive(redrive: Callable[..., object], contract: Contract) -> None:
    """Refuse a re-drive that the log would never permit, or that could not send the exact request again."""
    key = contract.provider_key
    if key is None or key.stores != "all" or not contract.keyed:
        raise ConfigInvalidError(
            f"tool {contract.name}: a re-drive needs a provider that stores all results under its key, beyond D + Q"
        )
    recorded = [name for name, argument in contract.arguments.items() if argument.role != "volatile"]
    try:
        inspect.signature(redrive).bind(**dict.fromkeys([*recorded, "invoke"]))
    except (TypeError, ValueError) as error:
        names = ", ".join([*recorded, "invoke"])
        raise ConfigInvalidError(
            f"tool {contract.name}: its re-drive: {error}; it is given exactly {names}: what the log recorded"
        ) from error


class ContractFile(Contract):
    """A contract as users load it: `il.Contract.load(FILE)` or `il.Contract.ready(NAME)`; they get a `Contract`."""

    __slots__ = ()

    @staticmethod
    def load(path: str | Path) -> Contract:
        """Return the contract in a TOML or JSON file; as `load_contract`."""
        return load_contract(path)

    @staticmethod
    def ready(name: str, /, **changes: Value) -> Contract:
        """Return a ready contract, as `invoke-log contract ready` lists them, with these fields changed.

        The realm is left open in each: `realm={"account": …}` says which account, live or test, is meant.
        Raises: NotFoundError: no ready contract of this name. ContractInvalidError: one that cannot work as changed.
        """
        return parse_contract(
            complete_contract({**read_map(ready_contract(name).encode(), ".toml", f"contract {name}"), **changes})
        )


def load_contract(path: str | Path) -> Contract:
    """Return the contract in a TOML or JSON file, every default filled in.

    Raises: NotFoundError: no such file. ContractInvalidError: not TOML or JSON, a draft that nobody has settled, or a
    contract that cannot work.
    """
    where = Path(path)
    raw = read_file(where, "contract", bytes_max=TEXT_BYTES_MAX, wrong=ContractInvalidError)
    found = read_map(raw, where.suffix, f"contract {where}")
    _check_settled(found, f"contract {where}")
    return parse_contract(complete_contract(found))


def _check_settled(found: dict[str, Value], what: str) -> None:
    """Refuse a draft: registered unread, it would be what the tool says of itself."""
    arguments = found.get("arguments")
    roles = {
        f"arguments.{name}.role": argument.get("role")
        for name, argument in (arguments.items() if type(arguments) is dict else ())
        if type(argument) is dict
    }
    unsettled = [name for name, value in {**found, **roles}.items() if value == REVIEW and name != "name"]
    if unsettled:
        raise ContractInvalidError(
            f"{what}: a draft, {', '.join(unsettled)[:200]} still {REVIEW}",
            hint="a person who knows the tool says what is true; the comments in the file say what is asked",
        )


def ready_names() -> list[str]:
    """Return the names of the contracts that come with this package, sorted."""
    return sorted(found.name.removesuffix(".toml") for found in _READY.iterdir() if found.name.endswith(".toml"))


def ready_contract(name: str) -> str:
    """Return the TOML text of a ready contract, its realm to be filled in. Raises NotFoundError."""
    if name not in ready_names():
        raise NotFoundError(f"contract {name[:80]!r} is none of {', '.join(ready_names())}")
    return (_READY / f"{name}.toml").read_text(encoding="utf-8")


def read_map(raw: bytes, suffix: str, what: str) -> dict[str, Value]:
    """Return the map in TOML or JSON text; floats, NaN and duplicate keys are refused, never rounded or merged.

    Args: suffix: .toml or .json; of another name, or none, as of a pipe, what begins with a brace is JSON.
    Raises: ContractInvalidError: other text.
    """
    try:
        text = raw.decode()
        if suffix == ".toml" or (suffix != ".json" and not text.lstrip().startswith("{")):
            loaded: object = tomllib.loads(text, parse_float=_no_float)
        else:
            loaded = json.loads(text, parse_float=_no_float, parse_constant=_no_float, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise ContractInvalidError(f"{what}: {error}") from error
    if not isinstance(loaded, dict):
        raise ContractInvalidError(f"{what}: want a table of fields")
    return cast("dict[str, Value]", loaded)


def contract_of(function: Callable[..., Any], effect_class: str, fields: Mapping[str, Value]) -> dict[str, Value]:
    """Return the data of a contract written in the decorator: what is not said follows from the function's signature.

    Arguments that the resource template or the purpose name are identity, all others content. A `str` that is
    identity is a
    token: free text has no one spelling.
    """
    named = set(_PLACES.findall(str(fields.get("resource", "")))) | {fields.get("purpose")}
    arguments: dict[str, Value] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "invoke":
            continue
        identity = name in named
        typed = _ANNOTATED.get(parameter.annotation) or _ANNOTATED.get(_BY_NAME.get(str(parameter.annotation)))
        if typed is None:
            raise ContractInvalidError(
                f"argument {name} is annotated {parameter.annotation!r}, want int, str, bytes, bool",
                hint="write its schema in a contract file",
            )
        default = None if parameter.default is inspect.Parameter.empty else [parameter.default]
        arguments[name] = {
            "role": "identity" if identity else "content",
            "schema": schema.token() if identity and typed["type"] == "text" else typed,
            "default": cast("Value", default),
        }
    data: dict[str, Value] = {"name": function.__name__, "effect_class": effect_class, "arguments": arguments, **fields}
    return complete_contract(data)


def register(log: Log, contract: Contract, *, renew: bool) -> Contract:
    """Return the contract as the log has it in force, registered now where it is not and the admin key is at hand.

    Args: renew: take the next version number where another contract of this name is in force.
    Raises: ContractInvalidError: it is not registered, and cannot be here; it says who can.
    """
    for _ in range(REGISTRATIONS_MAX):
        governance = log.governance
        latest = governance.contracts.get(governance.latest.get(contract.name, b""))
        if latest is not None and (latest.id == contract.id or (renew and _same_but_version(latest, contract))):
            return latest
        if latest is not None and "none" not in (latest.effect_class, contract.effect_class):
            _check_same_tool(governance, latest, contract)
        admin = signer_beside(log.path, "admin")
        if admin is None:
            raise ContractInvalidError(
                f"contract {contract.name!r} is not registered, and the admin key is not here",
                hint='an admin registers it with "invoke-log contract add FILE"',
            )
        if renew and latest is not None:
            contract = parse_contract({**contract.data, "version": latest.version + 1})
        answer = log.append(log.draft(contract, admin))
        if isinstance(answer, Accepted | Duplicate):
            _log.warning("contract %r was registered with the admin key that lies beside the log", contract.name)
            return contract
        if not isinstance(answer, Stale | Unavailable):
            raise ContractInvalidError(f"contract {contract.name!r} is refused: {getattr(answer, 'reason', answer)}")
    raise ContractInvalidError(
        f"contract {contract.name!r} could not be registered: the log was busy", hint="try again"
    )


def _check_same_tool(governance: Governance, latest: Contract, contract: Contract) -> None:
    """Refuse a contract that would put another tool's out of force, since two tools were given one name."""
    if not governance.succeeds(contract, latest) and not governance.succeeds(latest, contract):
        raise ContractInvalidError(
            f"contract {contract.name!r} is one for {latest.effect_class}, want {contract.effect_class} under another",
            hint='two tools want two names: give name="…"; or the new class says in `retires` that it replaces the old',
        )


def _same_but_version(one: Contract, other: Contract) -> bool:
    return {**one.data, "version": 0} == {**other.data, "version": 0}


def _no_float(text: str) -> Any:
    raise ValueError(f"{text} is not an integer: write decimals as text")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError(f"a key stands twice among {[name for name, _ in pairs]}")
    return dict(pairs)


_BY_NAME: Final[dict[str, object]] = {"int": int, "str": str, "bytes": bytes, "bool": bool}
