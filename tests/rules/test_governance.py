"""Who may do what, under which contract and policy, at one position of the log. SPEC §6.4."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest

from invoke_log.format import checkpoint
from invoke_log.format.cbor import Value
from invoke_log.format.checkpoint import Checkpoint
from invoke_log.format.digest import TreeSize
from invoke_log.rules.contract import Contract
from invoke_log.rules.fold import Fold, Void
from invoke_log.rules.governance import EVERYTHING, Governance, Refused, found, govern
from invoke_log.rules.kind import STARTED, Genesis, Grant, Revoke, Scope
from invoke_log.rules.policy import ALLOW_COVERED, parse_policy
from tests.harness.story import CHARGE, KEYS, ORIGIN, Story, contract, started

SMALL_ORDER = b"\x01" + bytes(31)


@pytest.fixture
def story() -> Story:
    return Story()


# Genesis.


def test_genesis_names_the_log_its_key_and_its_admins(story: Story) -> None:
    """[GOV-1], [GOV-2]: in force from leaf 0 on."""
    event = story.leaves[0].event
    founded = found(event)
    assert isinstance(founded, Governance)
    assert (founded.head, founded.log_id, founded.origin) == (event.id, event.id, ORIGIN)
    assert founded.log_key == KEYS["log"].public_key
    assert founded.holds(KEYS["admin"].public_key, "admin")
    assert not founded.holds(KEYS["admin"].public_key, "agent")


def test_anything_else_at_leaf_0_is_no_log(story: Story) -> None:
    """[GOV-1], [KEY-1]"""
    event = story.leaves[0].event
    genesis = event.data
    assert isinstance(genesis, Genesis)
    broken = [
        story.leaves[1].event,
        story.leaves[1].event._replace(log=bytes(32)),
        event._replace(log=b"\x01" * 32),
        event._replace(prev=bytes(32)),
        event._replace(by=KEYS["log"].public_key),
        event._replace(data=replace(genesis, log_key=SMALL_ORDER)),
        event._replace(data=replace(genesis, admin_keys=tuple(sorted((SMALL_ORDER, *genesis.admin_keys))))),
        event._replace(data=replace(genesis, origin="two words")),
        event._replace(data=replace(genesis, origin="")),
    ]
    for other in broken:
        refusal = found(other)
        assert isinstance(refusal, Refused)
        assert refusal.code == "genesis-invalid"
        folded = Fold().apply(other, index=0, root=None)
        assert isinstance(folded, Void)


# Grants.


def test_only_an_admin_governs(story: Story) -> None:
    """[GOV-2], S8"""
    grant = story.grant("newcomer", "agent", by="agent")
    assert grant.code == "grant-missing"
    assert story.register(contract(version=2), by="agent").code == "grant-missing"
    assert story.decree(ALLOW_COVERED, by="log").code == "grant-missing"
    story.grant("newcomer", "admin")
    assert story.grant("stranger", "agent", by="newcomer").code == "accepted"


def test_a_governance_event_names_the_head_of_its_chain(story: Story) -> None:
    """[GOV-2], S7: authority is asked first, and what it would do last."""
    policy = parse_policy(ALLOW_COVERED)
    assert story.put(policy, by="admin", body={"prev": bytes(32)}).code == "chain-broken"
    assert story.put(policy, by="admin", body={"prev": None}).code == "chain-broken"
    assert story.put(policy, by="agent", body={"prev": bytes(32)}).code == "grant-missing"
    assert story.put(contract(), by="admin", body={"prev": bytes(32)}).code == "chain-broken"
    assert story.put(policy, by="admin").code == "accepted"


def test_a_governance_event_is_in_force_from_the_next_leaf_on(story: Story) -> None:
    """[GOV-2], S8"""
    assert story.intent(by="newcomer").code == "grant-missing"
    story.grant("newcomer", "agent")
    assert story.intent(by="newcomer").code == "accepted"
    story.revoke("newcomer")
    assert story.release(story.claims[story.bound().effect], by="newcomer").code == "grant-missing"


def test_a_granted_key_passes_key(story: Story) -> None:
    """[GOV-6], [KEY-1]"""
    grant = Grant(subject="x", key=SMALL_ORDER, role="agent", scope=EVERYTHING)
    assert story.put(grant, by="admin").code == "key-invalid"


@pytest.mark.parametrize(
    ("scope", "covers"),
    [
        (("*", ""), True),
        (("money.charge/1", ""), True),
        (("money.charge/1", "stripe:acct_1/"), True),
        (("money.charge/1", "stripe:acct_1/test/customer/"), True),
        (("money.charge/2", ""), False),
        (("*", "stripe:acct_1/live/"), False),
        (("*", "stripe:acct_1/test/customer/cus_1/"), False),
    ],
)
def test_a_scope_covers_a_class_and_a_prefix(scope: tuple[str, str], covers: bool) -> None:
    """[GOV-4]"""
    of = Scope(effect_class=scope[0], prefix=scope[1])
    assert of.covers("money.charge/1", "stripe:acct_1/test/customer/cus_1") is covers


def test_roles_are_not_each_others(story: Story) -> None:
    """[GOV-4], S8"""
    governance, key = story.fold.governance, KEYS["agent"].public_key
    held = {role for role in ("agent", "repeat", "approver", "executor", "admin", "log") if governance.holds(key, role)}
    assert held == {"agent", "executor"}
    assert governance.granted(key)
    assert governance.granted(KEYS["log"].public_key)
    assert not governance.granted(KEYS["stranger"].public_key)


def test_a_revoke_ends_every_grant_of_a_key_or_the_one_that_it_names(story: Story) -> None:
    """[GOV-6]"""
    extra = story.grant("agent", "approver")
    assert story.revoke(grant=extra.id).code == "accepted"
    key = KEYS["agent"].public_key
    governance = story.fold.governance
    assert (governance.holds(key, "approver"), governance.holds(key, "agent")) == (False, True)
    assert story.revoke(grant=extra.id).code == "grant-unknown"
    assert story.revoke("agent").code == "accepted"
    assert not story.fold.governance.granted(key)
    assert story.revoke("agent").code == "grant-unknown"
    assert story.revoke("stranger").code == "grant-unknown"


def test_the_last_admin_is_not_revoked(story: Story) -> None:
    """[GOV-6]"""
    assert story.revoke("admin").code == "last-admin"
    story.grant("newcomer", "admin")
    assert story.revoke("admin").code == "accepted"
    assert story.grant("stranger", "agent").code == "grant-missing"
    last = Revoke(key=KEYS["newcomer"].public_key, grant=None, suspect_from=None)
    assert story.put(last, by="newcomer").code == "last-admin"
    assert story.grant("stranger", "agent", by="newcomer").code == "accepted"


def test_of_several_admins_of_genesis_a_revoke_ends_the_one_whose_key_it_names(story: Story) -> None:
    """[GOV-6]: only its key tells one from another, and the others stay."""
    event = story.leaves[0].event
    genesis = event.data
    assert isinstance(genesis, Genesis)
    named = tuple(KEYS[name].public_key for name in ("admin", "newcomer", "stranger"))
    founded = found(event._replace(data=replace(genesis, admin_keys=tuple(sorted(named)))))
    assert isinstance(founded, Governance)
    revoke = event._replace(data=Revoke(key=KEYS["stranger"].public_key, grant=None, suspect_from=7))
    after = govern(founded, revoke, index=1, root=None)
    assert isinstance(after, Governance)
    assert {key for key in named if after.holds(key, "admin")} == {*named} - {KEYS["stranger"].public_key}
    assert after.suspects == {KEYS["stranger"].public_key: 7}


def test_suspicion_taints_from_its_leaf_on_and_voids_nothing(story: Story) -> None:
    """[GOV-6]: the earliest leaf that was named stays."""
    start = started(story)
    story.grant("newcomer", "executor")
    assert story.revoke("executor", suspect_from=9).code == "accepted"
    assert story.outcome(start).code == "accepted"
    key = KEYS["executor"].public_key
    assert story.fold.governance.suspects == {key: 9}
    for suspect_from, kept in ((12, 9), (4, 4)):
        story.grant("executor", "executor")
        story.revoke("executor", suspect_from=suspect_from)
        assert story.fold.governance.suspects == {key: kept}


def test_a_revoke_of_one_grant_makes_its_key_suspect(story: Story) -> None:
    """[GOV-6], [RPL-11]"""
    grant = story.grant("newcomer", "executor")
    revoke = Revoke(key=None, grant=grant.id, suspect_from=3)
    assert story.put(revoke, by="admin").code == "accepted"
    assert story.fold.governance.suspects == {KEYS["newcomer"].public_key: 3}


# Contracts and classes.


def test_the_last_version_of_a_name_is_in_force(story: Story) -> None:
    """[GOV-7], [GOV-8]"""
    second, other = contract(version=2), contract(name="charge-by-phone")
    for registered in (second, other):
        assert story.register(registered).code == "accepted"
    governance = story.fold.governance
    assert [governance.in_force(c) for c in (story.contract, second, other)] == [False, True, True]
    for version in (1, 2):
        assert story.register(contract(version=version, timeout_ms=1)).code == "contract-version"


def test_contracts_of_one_class_share_its_key_rule(story: Story) -> None:
    """[GOV-8], [CTR-10]: so that two tools that do one thing block each other."""
    assert story.register(contract(name="b", resource="{customer}")).code == "key-rule-differs"
    assert story.register(contract(version=2, purpose=None)).code == "key-rule-differs"
    assert story.register(contract(name="b", resource="{customer}", effect_class="money.refund/1")).code == "accepted"
    for name in ("read-a", "read-b"):
        read = contract(name=name, resource=f"{name}/{{customer}}", effect_class="none")
        assert story.register(read).code == "accepted"


def test_a_superseded_contract_still_binds_the_key_rule_of_its_class(story: Story) -> None:
    """[GOV-8]: effects under it are there."""
    story.register(contract(version=2))
    assert story.register(contract(name="b", resource="{customer}")).code == "key-rule-differs"


def test_the_first_contract_of_a_class_speaks_for_all(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CTR-10]: or each version of a tool costs a walk of all that are registered."""
    read, asked, after = Contract.key_parts, list[Contract](), set[int]()

    def key_parts(of: Contract, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
        asked.append(of)
        return read(of, names)

    monkeypatch.setattr(Contract, "key_parts", key_parts)
    for version in range(2, 8):
        assert story.register(contract(version=version)).code == "accepted"
        after.add(len(asked))
        asked.clear()
    assert len(after) == 1


def test_a_class_that_retires_reads_gives_the_key_that_all_of_them_had(story: Story) -> None:
    """[CTR-10], [CTR-11]: they need not share it, until then."""
    for name in ("read-a", "read-b"):
        story.register(contract(name=name, resource=f"{name}/{{customer}}", effect_class="none"))
    retires = {**OLD_KEY, "effect_class": "none", "resource": "read-a/{customer}"}
    assert story.register(contract(name="act", effect_class="act/1", retires=retires)).code == "key-rule-differs"


OLD_KEY: dict[str, Value] = {"resource": CHARGE["resource"], "purpose": "order", "identity": ["customer"]}


def retiring(effect_class: str, old: str, *, name: str = "next") -> dict[str, Value]:
    return {"name": name, "effect_class": effect_class, "retires": {"effect_class": old, **OLD_KEY}}


def test_a_new_class_retires_the_old_one_for_good(story: Story) -> None:
    """[GOV-7], [GOV-8]"""
    assert story.register(contract(**retiring("money.charge/2", "money.charge/1"))).code == "accepted"
    assert not story.fold.governance.in_force(story.contract)
    assert story.register(contract(version=2)).code == "class-retired"
    assert story.register(contract(name="b")).code == "class-retired"


def test_a_class_is_retired_by_one_other_class(story: Story) -> None:
    """[GOV-8]"""
    assert story.register(contract(**retiring("money.charge/1", "money.charge/1"), version=2)).code == "class-retired"
    story.register(contract(**retiring("money.charge/2", "money.charge/1")))
    assert story.register(contract(**retiring("other/1", "money.charge/1", name="b"))).code == "class-retired"


def test_later_versions_and_siblings_of_the_new_class_say_again_what_it_retires(story: Story) -> None:
    """[GOV-8], [CTR-10]: or their intents would not look there."""
    data = retiring("money.charge/2", "money.charge/1")
    story.register(contract(**data))
    assert story.register(contract(**data, version=2)).code == "accepted"
    assert story.register(contract(**{**data, "name": "sibling"})).code == "accepted"
    silent: dict[str, Value] = {**data, "retires": None}
    assert story.register(contract(**silent, version=3)).code == "key-rule-differs"
    assert story.register(contract(**{**silent, "name": "silent"})).code == "key-rule-differs"


def test_another_version_of_a_class_that_is_in_force_has_to_retire_it(story: Story) -> None:
    """[GOV-8]: or one thing could be done under two keys."""
    silent = contract(name="b", effect_class="money.charge/2")
    assert story.register(silent).code == "key-rule-differs"
    assert story.register(contract(**retiring("money.charge/3", "money.refund/1"))).code == "key-rule-differs"
    assert story.register(contract(name="b", effect_class="money.charges/2")).code == "accepted"


def test_a_retired_key_has_the_parts_that_it_had(story: Story) -> None:
    """[GOV-8], [CTR-11]: a key that derives otherwise never matches, and blocks nothing."""
    wrong: list[dict[str, Value]] = [
        {"identity": []},
        {"identity": ["customer", "amount"]},
        {"purpose": None},
        {"resource": "stripe:{account}/{customer}"},
    ]
    for changes in wrong:
        retires: dict[str, Value] = {"effect_class": "money.charge/1", **OLD_KEY, **changes}
        wrong_key = contract(name="next", effect_class="money.charge/2", retires=retires)
        assert story.register(wrong_key).code == "key-rule-differs"


def test_the_keys_of_all_earlier_classes_derive_from_a_new_contract(story: Story) -> None:
    """[GOV-8], [CTR-11]"""
    second = contract(**retiring("money.charge/2", "money.charge/1"), resource="{account}")
    retires: dict[str, Value] = {"effect_class": "money.charge/2", **OLD_KEY, "resource": "{account}"}
    data: dict[str, Value] = {
        "name": "third",
        "effect_class": "money.charge/3",
        "resource": "{account}",
        "retires": retires,
    }
    third, placeless = contract(**data), contract(**data, realm={"account": "acct_1"})
    assert story.register(second).code == "accepted"
    assert list(story.fold.governance.lineage(third)) == [third.retires, second.retires]
    assert story.register(placeless).code == "key-rule-differs"
    assert story.register(third).code == "accepted"


class Walked(dict[str, bytes]):
    """Nobody reads it to its end."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("walked")


def test_a_class_is_looked_up_among_those_before_it_however_many_they_are(story: Story) -> None:
    """[GOV-8], [CTR-11]: or a long history of classes costs each step of a lineage a walk of all contracts."""
    story.register(contract(**retiring("money.charge/2", "money.charge/1")))
    before = story.fold.governance
    later = story.register(contract(**retiring("money.charge/2", "money.charge/1"), version=2))
    third = contract(**retiring("money.charge/3", "money.charge/2"))
    assert [each.effect_class for each in before._replace(contracts={}).lineage(third)] == [
        "money.charge/2",
        "money.charge/1",
    ]
    unwalked = before._replace(retired=Walked(before.retired))
    assert isinstance(govern(unwalked, later.event, index=later.index, root=None), Governance)


def test_a_withdrawn_contract_was_registered(story: Story) -> None:
    """[GOV-11]"""
    assert story.withdraw(bytes(32)).code == "contract-unknown"
    assert story.withdraw(story.contract.id).code == "accepted"
    assert story.fold.governance.withdrawn == {story.contract.id}


def test_the_last_policy_is_in_force(story: Story) -> None:
    """[GOV-10]: earlier ones are kept, for their verdicts."""
    first = story.fold.governance.policy
    second = parse_policy({**ALLOW_COVERED, "name": "second"})
    story.decree(second.data)
    governance = story.fold.governance
    assert governance.policy == second
    assert first is not None
    assert governance.policies.keys() == {first.id, second.id}


def test_an_unfreeze_ends_the_freezes_of_exactly_its_scope(story: Story) -> None:
    """[GOV-9]"""
    story.freeze("money.charge/1")
    story.freeze("money.charge/1")
    story.freeze("*", "stripe:acct_1/")
    assert story.unfreeze().code == "freeze-unknown"
    assert story.unfreeze("money.charge/1").code == "accepted"
    assert story.unfreeze("money.charge/1").code == "freeze-unknown"
    assert story.intent().code == "frozen"
    assert story.unfreeze("*", "stripe:acct_1/").code == "accepted"
    assert story.intent().code == "accepted"


# Recovery.


def test_a_recovery_goes_on_under_a_new_origin_and_log_id(story: Story) -> None:
    """[REC-1], [GOV-3]"""
    before = story.fold.governance.log_id
    recovery = story.recover(data={"log_key": KEYS["newcomer"].public_key})
    governance = story.fold.governance
    assert recovery.code == "accepted"
    assert (governance.log_id, governance.head) == (recovery.id, recovery.id)
    assert (governance.origin, governance.log_key) == (f"{ORIGIN}.e1", KEYS["newcomer"].public_key)
    assert [(r.id, r.index) for r in governance.recoveries] == [(recovery.id, recovery.index)]
    assert story.tick(by="log").code == "grant-missing"
    assert story.tick(by="newcomer").code == "accepted"
    assert story.intent(body={"log": before}).code == "log-mismatch"
    assert story.intent().code == "accepted"


@pytest.mark.parametrize(
    "changes",
    [
        {"old_origin": "example.com/other"},
        {"origin": ORIGIN},
        {"origin": "two words"},
        {"log_key": SMALL_ORDER},
        {"root": bytes(32)},
        {"size": 1},
    ],
    ids=str,
)
def test_a_recovery_names_what_it_goes_on_from(story: Story, changes: dict[str, object]) -> None:
    """[REC-1]"""
    assert story.recover(data=changes).code == "recovery-invalid"
    assert story.recover(by="attestor").code == "grant-missing"
    assert story.recover().code == "accepted"


def test_no_recovery_takes_an_origin_that_the_log_had_before(story: Story) -> None:
    """[REC-1]: or two logs of one name would go on, each with checkpoints of its own."""
    had = [ORIGIN]
    for origin in (f"{ORIGIN}.e1", f"{ORIGIN}.e2"):
        assert story.recover(data={"origin": origin}).code == "accepted"
        had.append(origin)
    assert [story.recover(data={"origin": origin}).code for origin in had] == ["recovery-invalid"] * 3
    assert story.recover(data={"origin": f"{ORIGIN}.e3"}).code == "accepted"


def test_where_the_root_is_not_known_a_recovery_is_judged_by_its_size(story: Story) -> None:
    """[REC-1]: a receipt has no leaves before it."""
    before = story.fold.governance
    event = story.recover(data={"root": bytes(32)}).event
    index = story.leaves[-1].index
    assert isinstance(govern(before, event, index=index, root=None), Governance)
    assert isinstance(govern(before, event, index=index + 1, root=None), Refused)


def test_a_planned_change_of_the_log_key_rests_on_the_old_keys_last_checkpoint(story: Story) -> None:
    """[REC-1]: nothing is lost, so nothing becomes unknown."""

    def signed(size: int, root: bytes, by: str = "log", origin: str = ORIGIN) -> bytes:
        last = Checkpoint(origin=origin, size=TreeSize(size), root=root)
        return checkpoint.sign_checkpoint(last, KEYS[by])

    start = started(story)
    wrong: list[Callable[[int, bytes], bytes | None]] = [
        lambda size, root: None,
        lambda size, root: b"note",
        lambda size, root: signed(size, root, by="admin"),
        lambda size, root: signed(size, root, origin="example.com/other"),
        lambda size, root: signed(size - 1, root),
        lambda size, root: signed(size, bytes(32)),
    ]
    for note in wrong:
        data = {"checkpoint": note(len(story.leaves), story.frontier.root())}
        assert story.recover(amnesia=False, data=data).code == "recovery-invalid"
    data = {"checkpoint": signed(len(story.leaves), story.frontier.root())}
    assert story.recover(amnesia=False, data=data).code == "accepted"
    assert story.status(start) == STARTED
    assert story.fold.governance.recoveries == ()
    assert story.outcome(start).code == "accepted"
