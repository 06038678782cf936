"""What a surface asks a log, as views: the same answer on every surface."""

from collections.abc import Iterator, Sequence
from typing import Final

from invoke_log.audit.receipt import fold_effect, verify_read
from invoke_log.errors import InvokeLogError, NotFoundError
from invoke_log.format import digest
from invoke_log.format.cbor import ByteStream
from invoke_log.format.keys import VerifierKey
from invoke_log.format.receipt import ReceiptReader
from invoke_log.ledger.log import EffectView, Entry, Log
from invoke_log.ledger.receipt import leaves_of
from invoke_log.ledger.state import LiveWorld
from invoke_log.rules.contract import Contract
from invoke_log.rules.effect import OPEN, absence_bound, next_step
from invoke_log.rules.governance import Governance
from invoke_log.rules.kind import (
    CLAIMED,
    COMMITTED,
    FREE,
    NOT_COMMITTED,
    STARTED,
    UNKNOWN,
    Handle,
    Note,
    Observation,
    Refusal,
)
from invoke_log.rules.world import EffectState
from invoke_log.surfaces.render import (
    View,
    contract_view,
    effect_view,
    key_view,
    policy_view,
    receipt_view,
)
from invoke_log.surfaces.story import Names, Told, entry_view, names_of, status_view

STATUSES: Final = (FREE, CLAIMED, STARTED, COMMITTED, NOT_COMMITTED, UNKNOWN)
TAIL: Final = '"invoke-log tail -n 100" lists the last events, with leaf and id'


def listed(log: Log, status: str | None, after: bytes = b"") -> Iterator[View]:
    """Yield the effects of a status, or of every status, by key; those behind the key `after`."""
    with log.world() as world:
        for state in world.open_effects(after) if status in OPEN else world.effects(after):
            if status in (None, state.status):
                yield effect_view(state, purpose=_purpose(world, state))


def status_of(log: Log, effect: bytes) -> View:
    """Return an effect's status, its events, and what to do next. Raises NotFoundError."""
    view = log.effect(effect)
    with log.world() as world:
        return _status_view(world, view)


def life_of(log: Log, effect: bytes) -> View:
    """Return the same with all that the log has about the effect: also what stands off its chain, for which every leaf
    is looked at, the grade, what it relies on, and what replay remarks of it.

    Raises: NotFoundError. ReceiptInvalidError: replay would not take one of the leaves.
    """
    view = log.effect(effect)
    with log.world() as world:
        leaves = leaves_of(world, effect, view.state.resource)
        _, reports, findings = fold_effect(effect, ((index, world.event(index)) for index in leaves))
        entries = sorted((*view.entries, *_about(log, effect, view.entries)), key=lambda entry: entry.index)
        return _status_view(world, view, told=Told(report=reports[0], findings=findings, entries=entries))


def _about(log: Log, effect: bytes, chain: Sequence[Entry]) -> Iterator[Entry]:
    """What is about an effect and stands on no chain: it names the effect, or an event of it."""
    ids = {effect, *(entry.event.id for entry in chain)}
    with log.world() as world:
        for index, (body, _) in enumerate(world.reader.entries(0, world.reader.size)):
            # Ids stand in a body as they are: most bodies need not be parsed.
            if any(name in body for name in ids):
                entry = _entry(log, index)
                match entry.event.data:
                    case Note() | Observation() | Handle() as data if ids & {entry.event.effect, data.about}:
                        yield entry
                    case Refusal() as data if data.effect == effect:
                        yield entry
                    case _:
                        pass


def _status_view(world: LiveWorld, view: EffectView, *, told: Told | None = None) -> View:
    state = view.state
    contract = world.governance.contracts.get(state.claim.contract_id) if state.claim is not None else None
    return status_view(
        state,
        purpose=_purpose(world, state),
        # Without a claim nobody decided, and it is committed all the same: by a presence.
        next_step=next_step(state.status, contract) if contract is not None else "receipt",
        not_before=absence_bound(state, contract, world) if contract is not None and state.status == UNKNOWN else None,
        entries=view.entries,
        names=names_in(world),
        told=told,
    )


def names_in(world: LiveWorld) -> Names:
    """Return what people call the keys, grants and contracts of a log."""
    return names_of(world.event(index) for index, _ in world.governance_chain())


def named(log: Log, prefix: str, raw: bytes) -> View:
    """Return what an id names, by its prefix and bytes; for "leaf", the digits of a leaf index.

    Raises: NotFoundError.
    """
    match prefix:
        case "leaf":
            return _entry_view(log, _entry(log, int(raw)))
        case "eff":
            return life_of(log, raw)
        case "key":
            return key_view(log.governance, raw)
        case "ctr":
            governance = log.governance
            return contract_view(find_contract(governance, f"ctr_{raw.hex()}"), governance, full=True)
        case "pol":
            governance = log.governance
            if raw not in governance.policies:
                raise NotFoundError(
                    f"policy pol_{raw.hex()} was never in force in this log",
                    hint='"invoke-log policy show" prints the one that is in force now',
                )
            in_force = governance.policy is not None and governance.policy.id == raw
            return policy_view(governance.policies[raw], in_force=in_force)
        case _:
            return _entry_view(log, _find(log, raw))


def find_contract(governance: Governance, name: str) -> Contract:
    """Return a registered contract by its id, or the last version of a name. Raises NotFoundError."""
    try:
        wanted = digest.parse_id(name, "ctr")
    except InvokeLogError:
        wanted = governance.latest.get(name, b"")
    found = governance.contracts.get(wanted)
    if found is None:
        raise NotFoundError(f"contract {name[:80]!r} is not registered", hint='see "invoke-log contract list"')
    return found


def contracts(governance: Governance) -> Iterator[View]:
    """Yield every contract that was registered, by name and version."""
    for found in sorted(governance.contracts.values(), key=lambda one: (one.name, one.version)):
        yield contract_view(found, governance)


def verified(receipt: ByteStream, trust: tuple[VerifierKey, ...]) -> View:
    """Return what a receipt proves under one of these keys. No more of it is read than holds together.

    Raises: ReceiptInvalidError, or another InvokeLogError: it does not verify, and proves nothing.
    """
    reader = ReceiptReader(receipt)
    return receipt_view(verify_read(reader, trust=pick(trust, reader.header.origin)))


def pick(trust: tuple[VerifierKey, ...] | None, origin: str | None) -> VerifierKey | None:
    """Return the trusted key of an origin; where none has its name, the first, so that the mismatch is found."""
    if not trust:
        return None
    return next((key for key in trust if key.name == origin), trust[0])


def _entry_view(log: Log, entry: Entry) -> View:
    with log.world() as world:
        return entry_view(entry, names_in(world))


def _find(log: Log, event_id: bytes) -> Entry:
    with log.world() as world:
        for index, (body, _) in enumerate(world.reader.entries(0, world.reader.size)):
            if digest.event_id(body) == event_id:
                return _entry(log, index)
    raise NotFoundError(f"event evt_{event_id.hex()}: it is not in this log", hint=TAIL)


def _entry(log: Log, index: int) -> Entry:
    found = next(log.entries(index), None)
    if found is None:
        raise NotFoundError(f"leaf {index}: the log does not reach so far", hint=TAIL)
    return found


def _purpose(world: LiveWorld, state: EffectState) -> str | None:
    """What the latest intent of an effect is for; None where no intent was seen."""
    return world.intent(state.claim).purpose if state.claim is not None else None
