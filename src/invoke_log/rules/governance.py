"""Who may do what, under which contract and policy, at one position of the log. SPEC §6.4 [GOV-1] to [GOV-12].

A governance event is in force from the leaf after its own; genesis's keys from leaf 0. The state is one immutable
value, so the live path may keep it beside the head that it was folded to, and replay folds the same function.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from invoke_log.errors import InvokeLogError
from invoke_log.format import checkpoint, keys
from invoke_log.rules.contract import Contract, Retires
from invoke_log.rules.event import Event
from invoke_log.rules.kind import Freeze, Genesis, Grant, Oath, Recovery, Revoke, Scope, Unfreeze, Withdraw
from invoke_log.rules.policy import Policy

ReadRoot = Callable[[], bytes]
"""Makes the root of the tree before a leaf: some twenty hashes, which few events ask for."""
EVERYTHING: Final = Scope(effect_class="*", prefix="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A rule that an event breaks: its stable code (SPEC §11) and why, in words.

    next: where another effect has to be settled first, what to do about that one, a word of `effect.NEXT`.
    """

    code: str
    reason: str
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """One grant in force. `id` is the event that gave it; empty for genesis's admins, whom only their key names."""

    id: bytes
    key: bytes
    role: str
    scope: Scope
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """One recovery with amnesia: its leaf, the classes retired before it, and the scopes that oaths swore clean."""

    id: bytes
    index: int
    retired: frozenset[str]
    oaths: tuple[Scope, ...] = ()

    def forgot(self, effect_class: str, resource: str) -> bool:
        """Return whether the lost tail may have touched an effect: nobody has sworn that it did not [REC-5]."""
        return not any(scope.covers(effect_class, resource) for scope in self.oaths)


class Governance(NamedTuple):
    """Everything that governance events say, folded. `suspects`: a key to the leaf that it is suspect from; `origins`:
    every name that the log has had; `classes`: a class to its first contract, whose key rule all its contracts share.
    """

    head: bytes
    log_id: bytes
    origin: str
    origins: frozenset[str]
    log_key: bytes
    grants: tuple[Granted, ...]
    contracts: dict[bytes, Contract]
    latest: dict[str, bytes]
    withdrawn: frozenset[bytes]
    retired: dict[str, bytes]
    classes: dict[str, Contract]
    policy: Policy | None
    policies: dict[bytes, Policy]
    freezes: tuple[Scope, ...]
    recoveries: tuple[Recovered, ...]
    suspects: dict[bytes, int]

    @property
    def verifier_key(self) -> keys.VerifierKey:
        """The name and key that the log's checkpoints are signed under now [RPL-9]."""
        return keys.VerifierKey(name=self.origin, key_type=keys.LOG_KEY, public_key=self.log_key)

    def holds(self, key: bytes, role: str, effect_class: str = "*", resource: str = "") -> bool:
        """Return whether a key holds a role over an effect at this position [GOV-4]."""
        for grant in self.grants:
            if grant.key == key and grant.role == role and grant.scope.covers(effect_class, resource):
                return True
        return False

    def granted(self, key: bytes) -> bool:
        """Return whether a key holds any grant at all, or is the log key [GOV-5]."""
        return key == self.log_key or any(grant.key == key for grant in self.grants)

    def frozen(self, effect_class: str, resource: str) -> bool:
        """Return whether a freeze covers an effect [GOV-9]."""
        return any(scope.covers(effect_class, resource) for scope in self.freezes)

    def in_force(self, contract: Contract) -> bool:
        """Return whether this is the last version of its name and its class is not retired [GOV-7]."""
        return self.latest.get(contract.name) == contract.id and contract.effect_class not in self.retired

    def lineage(self, contract: Contract) -> Iterator[Retires]:
        """Return how the keys of all classes that came before a contract's derive, the last one first [CTR-11]."""
        retires = contract.retires
        while retires is not None:
            yield retires
            first = self.classes.get(retires.effect_class)
            retires = first.retires if first is not None else None

    def succeeds(self, later: Contract, earlier: Contract) -> bool:
        """Return whether a contract is of another's effect class, or of one that has retired it since: both do one
        thing. Versions of one name need not be, where two tools were given it.
        """
        classes = (later.effect_class, *(retires.effect_class for retires in self.lineage(later)))
        return earlier.effect_class in classes


def found(event: Event) -> Governance | Refused:
    """Return the state after genesis, or why these bytes do not begin a log [GOV-1]."""
    data = event.data
    if not isinstance(data, Genesis) or event.log != bytes(32) or event.prev is not None:
        return Refused(code="genesis-invalid", reason="leaf 0 is not a genesis event with an empty log and prev")
    try:
        keys.check_key_name(data.origin)
        for key in (data.log_key, *data.admin_keys):
            keys.check_public_key(key)
    except InvokeLogError as error:
        return Refused(code="genesis-invalid", reason=error.message)
    if event.by not in data.admin_keys:
        return Refused(code="genesis-invalid", reason="genesis is not signed by one of its admin keys")
    return Governance(
        head=event.id,
        log_id=event.id,
        origin=data.origin,
        origins=frozenset((data.origin,)),
        log_key=data.log_key,
        grants=tuple(
            Granted(id=b"", key=key, role="admin", scope=EVERYTHING, subject="genesis") for key in data.admin_keys
        ),
        contracts={},
        latest={},
        withdrawn=frozenset(),
        retired={},
        classes={},
        policy=None,
        policies={},
        freezes=(),
        recoveries=(),
        suspects={},
    )


def govern(before: Governance, event: Event, *, index: int, root: ReadRoot | None) -> Governance | Refused:
    """Return the state after a governance event, or the rule that it breaks.

    Args:
        index: the event's own leaf.
        root: asked for the tree's root hash before it, by a recovery alone; None where the caller cannot know it, and a
            recovery is then not checked against it.
    The caller has checked the signature, `log`, and the chain's head. Source: SPEC [GOV-2] to [GOV-12].
    """
    role = "attestor" if isinstance(event.data, Oath) else "admin"
    if isinstance(event.data, Oath):
        allowed = any(
            g.key == event.by and g.role == role and _contains(g.scope, event.data.scope) for g in before.grants
        )
    else:
        allowed = before.holds(event.by, role)
    if not allowed:
        return Refused(code="grant-missing", reason=f"key_{event.by.hex()} holds no grant as {role} at this position")
    after = _apply(before, event, index=index, root=root)
    return after if isinstance(after, Refused) else after._replace(head=event.id)


def _apply(before: Governance, event: Event, *, index: int, root: ReadRoot | None) -> Governance | Refused:
    match event.data:
        case Grant() as data:
            return _grant(before, event, data)
        case Revoke() as data:
            return _revoke(before, data)
        case Contract() as data:
            return _register(before, data)
        case Withdraw() as data:
            if data.contract_id not in before.contracts:
                return Refused(
                    code="contract-unknown", reason=f"no contract ctr_{data.contract_id.hex()} is registered"
                )
            return before._replace(withdrawn=before.withdrawn | {data.contract_id})
        case Policy() as data:
            return before._replace(policy=data, policies={**before.policies, data.id: data})
        case Freeze() as data:
            return before._replace(freezes=(*before.freezes, data.scope))
        case Unfreeze() as data:
            if data.scope not in before.freezes:
                return Refused(code="freeze-unknown", reason="no freeze has exactly this scope")
            return before._replace(freezes=tuple(scope for scope in before.freezes if scope != data.scope))
        case Recovery() as data:
            return _recover(before, event, data, index=index, root=root)
        case Oath() as data:
            return _swear(before, data)
        case _:
            return Refused(code="transition-invalid", reason=f"a second {event.kind} event, want it at leaf 0 only")


def _grant(before: Governance, event: Event, data: Grant) -> Governance | Refused:
    try:
        keys.check_public_key(data.key)
    except InvokeLogError as error:
        return Refused(code="key-invalid", reason=error.message)
    grant = Granted(id=event.id, key=data.key, role=data.role, scope=data.scope, subject=data.subject)
    return before._replace(grants=(*before.grants, grant))


def _revoke(before: Governance, data: Revoke) -> Governance | Refused:
    named = data.key or data.grant
    assert named is not None

    def ends(grant: Granted) -> bool:
        return named == (grant.key if data.key is not None else grant.id)

    revoked = [g for g in before.grants if ends(g)]
    left = tuple(g for g in before.grants if not ends(g))
    if not revoked:
        return Refused(code="grant-unknown", reason="no grant in force has this key or event id")
    if not any(g.role == "admin" for g in left):
        return Refused(code="last-admin", reason="this would leave the log without an admin")
    suspects = before.suspects
    if data.suspect_from is not None:
        for key in {g.key for g in revoked}:
            suspects = {**suspects, key: min(data.suspect_from, suspects.get(key, data.suspect_from))}
    return before._replace(grants=left, suspects=suspects)


def _register(before: Governance, contract: Contract) -> Governance | Refused:
    if contract.effect_class in before.retired:
        return Refused(code="class-retired", reason=f"effect class {contract.effect_class} is retired")
    latest = before.latest.get(contract.name)
    if latest is not None and before.contracts[latest].version >= contract.version:
        version = before.contracts[latest].version
        return Refused(
            code="contract-version", reason=f"version {contract.version} of {contract.name!r}, want more than {version}"
        )
    refusal = _check_key_rule(before, contract)
    if refusal is not None:
        return refusal
    # The first contract of the class retires the old one; its later versions and its siblings say so again.
    retired = {contract.retires.effect_class: contract.id} if contract.retires is not None else {}
    return before._replace(
        contracts={**before.contracts, contract.id: contract},
        latest={**before.latest, contract.name: contract.id},
        retired={**retired, **before.retired},
        classes={contract.effect_class: contract, **before.classes},
    )


def _check_key_rule(before: Governance, contract: Contract) -> Refused | None:
    """Two tools that do one thing must get one key, in every version of the class that is or was in force [CTR-10]."""
    retires = contract.retires
    old = retires.effect_class if retires is not None else None
    successors = {before.contracts[before.retired[old]].effect_class} if old in before.retired else set()
    if old == contract.effect_class or not successors <= {contract.effect_class}:
        return Refused(code="class-retired", reason=f"effect class {old} cannot be retired by this contract")
    if not all(map(contract.derives, before.lineage(contract))):
        return Refused(
            code="key-rule-differs", reason="from this contract, the key of a class retired earlier does not derive"
        )
    words = contract.effect_class.partition("/")[0]
    # The first contract of a class speaks for all of them. Those of `none` may differ, until a class retires it.
    differing = old == "none" and old not in before.retired
    for other in (before.contracts if differing else before.classes).values():
        known = other.effect_class
        if known == contract.effect_class != "none" and other.key_rule != contract.key_rule:
            return Refused(
                code="key-rule-differs",
                reason=f"effect class {known} has another key rule in contract {other.name!r}: "
                "same resource template, purpose, identity arguments and retired class are wanted, or a new class",
            )
        if known == old and not _same_parts(contract, other):
            return Refused(
                code="key-rule-differs",
                reason=f"the key of {old} is made of other arguments in contract {other.name!r} than this one says",
            )
        others = known not in (contract.effect_class, old) and known not in before.retired
        if others and known.partition("/")[0] == words:
            return Refused(
                code="key-rule-differs", reason=f"effect class {known} is in force: another version has to retire it"
            )
    return None


def _same_parts(contract: Contract, old: Contract) -> bool:
    retires = contract.retires
    assert retires is not None
    return (
        retires.resource == old.resource
        and (retires.purpose is None) == (old.purpose is None)
        and contract.key_parts(retires.identity) == old.key_parts(old.identity)
    )


def _recover(
    before: Governance, event: Event, data: Recovery, *, index: int, root: ReadRoot | None
) -> Governance | Refused:
    try:
        keys.check_key_name(data.origin)
        keys.check_public_key(data.log_key)
    except InvokeLogError as error:
        return Refused(code="recovery-invalid", reason=error.message)
    if data.old_origin != before.origin or data.origin in before.origins:
        return Refused(
            code="recovery-invalid",
            reason=f"a recovery names the origin {before.origin!r} as its old one and takes one that the log never had",
        )
    if data.size != index or (root is not None and data.root != root()):
        return Refused(code="recovery-invalid", reason="size and root are not those of the leaves before it")
    if not data.amnesia:
        try:
            last = checkpoint.open_checkpoint(data.checkpoint or b"", before.verifier_key).checkpoint
        except InvokeLogError as error:
            return Refused(
                code="recovery-invalid",
                reason=f"without amnesia, the old key's last checkpoint is wanted: {error.message}",
            )
        if (last.size, last.root) != (data.size, data.root):
            return Refused(code="recovery-invalid", reason="the old key's last checkpoint is of another prefix")
    recoveries = before.recoveries
    if data.amnesia:
        recoveries = (*recoveries, Recovered(id=event.id, index=index, retired=frozenset(before.retired)))
    return before._replace(
        log_id=event.id,
        origin=data.origin,
        origins=before.origins | {data.origin},
        log_key=data.log_key,
        recoveries=recoveries,
    )


def _swear(before: Governance, data: Oath) -> Governance | Refused:
    if all(recovery.id != data.recovery for recovery in before.recoveries):
        return Refused(code="recovery-unknown", reason="an oath is about a recovery of this log")
    return before._replace(
        recoveries=tuple(
            replace(recovery, oaths=(*recovery.oaths, data.scope)) if recovery.id == data.recovery else recovery
            for recovery in before.recoveries
        ),
    )


def _contains(outer: Scope, inner: Scope) -> bool:
    return outer.effect_class in ("*", inner.effect_class) and inner.prefix.startswith(outer.prefix)
