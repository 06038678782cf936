"""Logs with a void governance event, a void tick, a duplicate, or a beginning that begins no log."""

from vectors.generate import _wire as wire
from vectors.generate._lives import charge, started, unknown
from vectors.generate._sample import ALLOW, CHARGE, EVERYTHING
from vectors.generate._story import CHARGES, Cases, D, Q, Story
from vectors.generate._wire import (
    ADMIN,
    AGENT,
    APPROVER,
    LOG,
    ORIGIN,
    SECOND_ADMIN,
    STRANGER,
    Case,
    Given,
    Key,
    Map,
    Value,
)

SMALL_ORDER = b"\1" + bytes(31)


def cases() -> Cases:
    yield from admins()
    yield from grants()
    yield from contracts()
    yield from freezes()
    yield from ticks()
    yield from duplicates()
    yield from beginnings()


def admins() -> Cases:
    story = Story()
    story.grant("admin", SECOND_ADMIN)
    story.grant("agent", STRANGER, by=SECOND_ADMIN)
    story.revoke(key=ADMIN.public)
    story.grant("agent", APPROVER, void="grant-missing")
    yield (
        "govern-admins",
        story.case("any one admin acts, and one may end another's grants [GOV-2] [GOV-6]", "governance"),
    )
    story = Story(admins=(ADMIN, SECOND_ADMIN, STRANGER))
    story.revoke(key=STRANGER.public)
    story.grant("agent", APPROVER, by=STRANGER, void="grant-missing")
    story.grant("agent", APPROVER, by=SECOND_ADMIN)
    story.revoke(key=SECOND_ADMIN.public)
    story.govern("revoke", {"key": ADMIN.public, "grant": None, "suspect_from": None}, void="last-admin")
    yield "govern-genesis-admins", story.case("of three that genesis names, each by its key [GOV-6]", "governance")


def grants() -> Cases:
    story = Story()
    story.grant("agent", STRANGER, by=AGENT, void="grant-missing")
    grant: Map = {"subject": "x", "key": STRANGER.public, "role": "agent", "scope": CHARGES}
    story.govern("grant", grant, AGENT, prev=None, void="grant-missing")
    yield "govern-no-admin", story.case("a grant by no admin, whatever its prev is [GOV-2] [ADM-3]", "governance")
    for name, key in (("small-order", SMALL_ORDER), ("no-point", b"\2" + bytes(31)), ("not-canonical", b"\xff" * 32)):
        story = Story()
        data: Map = {"subject": "x", "key": key, "role": "agent", "scope": CHARGES}
        story.govern("grant", data, void="key-invalid")
        yield f"govern-key-{name}", story.case("a key that fails KEY [KEY-1] [GOV-6]", "governance")
    story = Story()
    data = {"key": STRANGER.public, "grant": None, "suspect_from": None}
    story.govern("revoke", data, void="grant-unknown")
    yield "govern-revoke-key", story.case("a key that holds nothing [GOV-6]", "governance")
    story = Story()
    story.govern("revoke", {**data, "key": None, "grant": story.log_id}, void="grant-unknown")
    yield "govern-revoke-grant", story.case("genesis gave no grant that an event id could name [GOV-6]", "governance")
    story = Story()
    story.govern("revoke", {**data, "key": ADMIN.public}, void="last-admin")
    yield "govern-last-admin", story.case("this would leave no admin [GOV-6]", "governance")
    story = Story()
    story.govern(
        "grant",
        {"subject": "x", "key": STRANGER.public, "role": "agent", "scope": CHARGES},
        prev=None,
        void="chain-broken",
    )
    story.govern(
        "grant",
        {"subject": "x", "key": STRANGER.public, "role": "agent", "scope": CHARGES},
        prev=story.log_id,
        void="chain-broken",
    )
    yield "govern-prev", story.case("prev is not the head of the governance chain [EFF-1]", "governance")
    story = Story()
    genesis: Map = {"format": 1, "origin": ORIGIN, "log_key": LOG.public, "admin_keys": [ADMIN.public]}
    story.govern("genesis", genesis, void="transition-invalid")
    yield "govern-second-genesis", story.case("a second genesis [GOV-12]", "governance")
    story = Story()
    story.govern("genesis", {**genesis, "origin": "example.com/x"}, log=bytes(32), prev=None, void="log-mismatch")
    yield (
        "govern-second-genesis-log",
        story.case(
            "one that would begin a log, at another leaf: its log is not this one [GOV-3] [GOV-12]", "governance"
        ),
    )
    story = Story()
    story.govern(
        "grant",
        {"subject": "x", "key": STRANGER.public, "role": "agent", "scope": CHARGES},
        log=bytes(32),
        void="log-mismatch",
    )
    yield "govern-log", story.case("genesis's empty log id [GOV-3]", "governance")
    story = Story()
    void = story.grant("agent", STRANGER, by=AGENT, void="grant-missing")
    story.govern("policy", {**ALLOW, "name": "later"}, prev=void, void="chain-broken")
    effect = story.effect()
    story.intent(effect, STRANGER, void="grant-missing")
    yield "resting-grant", story.case("a policy and an intent on a void grant [RPL-4]", "governance", "resting")


def contracts() -> Cases:
    story = Story()
    story.contract(CHARGE, void="contract-version")
    yield "contract-again", story.case("the same version once more [GOV-8]", "governance")
    story = Story()
    story.contract(charge(version=3))
    story.contract(charge(version=2), void="contract-version")
    yield "contract-earlier", story.case("an earlier version [GOV-8]", "governance")
    number: Map = {"type": "integer", "min": 0, "max": 99, "nullable": False}
    customer: Map = {**_argument("customer"), "schema": number}
    rules: dict[str, Map] = {
        "type": {"arguments": {**_arguments(), "customer": customer}},
        "resource": {"resource": "stripe:{account}/{mode}/{customer}"},
        "purpose": {"purpose": None},
        "identity": {"arguments": {**_arguments(), "shop": _arguments()["order"]}},
    }
    for name, changed in rules.items():
        story = Story()
        story.contract(charge(name="other", **changed), void="key-rule-differs")
        yield f"contract-rule-{name}", story.case("another key rule for one class [CTR-10] [GOV-8]", "governance")
    story = Story()
    story.contract(charge(name="other", realm={"account": "acct_2", "mode": "live"}))
    yield "contract-realm", story.case("another account is no other key rule [CTR-10]", "governance", "life")
    story = Story()
    story.contract(charge(name="other", effect_class="money.charge/2"), void="key-rule-differs")
    yield "contract-two-versions", story.case("two versions of a class, none of them retired [CTR-10]", "governance")
    story = Story()
    story.contract(_second(effect_class="money.charge/1"), void="class-retired")
    yield "contract-retires-itself", story.case("a class that retires itself [GOV-8]", "governance")
    story = Story()
    story.contract(_second())
    story.contract(charge(version=9), void="class-retired")
    yield "contract-in-retired", story.case("a contract in a retired class [GOV-8]", "governance")
    story = Story()
    story.contract(_second())
    story.contract(_second(name="third", effect_class="money.charge/3"), void="class-retired")
    yield "contract-retires-again", story.case("a class that another one has retired [GOV-8]", "governance")
    yield from lineages()
    yield from templates()
    story = Story()
    story.contract(charge(observability="fire-and-forget"), void="form-invalid")
    yield "contract-promise", story.case("a promise that cannot work is an event of another form [CTR-9]", "governance")
    story = Story()
    story.govern("withdraw", {"contract_id": wire.plain(b"x"), "reason": "x"}, void="contract-unknown")
    yield "contract-withdraw-unknown", story.case("a contract that is not registered [GOV-11]", "governance")
    story = Story()
    story.govern("policy", {"name": "p", "engine": "rules/1", "source": {"rules": 1}}, void="form-invalid")
    yield "policy-form", story.case("a policy of another form [POL-1]", "governance")


def lineages() -> Cases:
    story = Story()
    story.contract(_second(retires={**_retires(), "identity": []}), void="key-rule-differs")
    yield "contract-retires-other-rule", story.case("a retired class that had another key rule [CTR-11]", "governance")
    story = Story()
    story.contract(_second())
    story.contract(_second(version=2))
    yield "contract-retires-version", story.case("a later version retires the same class [GOV-8]", "governance", "life")
    shop = {**_arguments(), "shop": _argument("order")}
    content = {**shop, "shop": {**_argument("order"), "role": "content"}}
    story = Story(contract=charge(arguments=shop))
    story.contract(_second(arguments=content, retires={**_retires(), "identity": ["shop", "customer"]}))
    third: Map = {**_retires(), "effect_class": "money.charge/2"}
    story.contract(_second(name="third", effect_class="money.charge/3", retires=third), void="key-rule-differs")
    yield "contract-derives-not", story.case("the first class's key no longer derives [CTR-11]", "governance")


def templates() -> Cases:
    """What is between two braces is the name of a place; a brace without its like stands for itself."""
    for name, resource in (("words", "stripe:{a b}"), ("nothing", "stripe:{}")):
        story = Story()
        story.contract(charge(version=2, resource=resource), void="form-invalid")
        yield f"contract-place-{name}", story.case("a place of no value [CTR-4] [CTR-6]", "governance")
    story = Story(contract=charge(resource="stripe:acct_1/test/{{customer}/}"))
    effect = story.effect()
    assert effect.resource == "stripe:acct_1/test/{cus_1/}"
    story.intent(effect)
    yield "contract-brace", story.case("a brace before a place, and one behind it [CTR-4]", "governance", "life")


def _retires() -> Map:
    return {
        "effect_class": "money.charge/1",
        "resource": CHARGE["resource"],
        "purpose": "order",
        "identity": ["customer"],
    }


def _second(**changed: Value) -> Map:
    return charge(**{"name": "charge", "effect_class": "money.charge/2", "retires": _retires(), **changed})


def _arguments() -> Map:
    arguments = CHARGE["arguments"]
    assert isinstance(arguments, dict)
    return arguments


def _argument(name: str) -> Map:
    argument = _arguments()[name]
    assert isinstance(argument, dict)
    return argument


def freezes() -> Cases:
    story = Story()
    story.freeze(kind="unfreeze", void="freeze-unknown")
    yield "freeze-none", story.case("there is no freeze to end [GOV-9]", "governance")
    story = Story()
    story.freeze(EVERYTHING)
    story.freeze(kind="unfreeze", void="freeze-unknown")
    effect = story.effect()
    story.intent(effect, void="frozen")
    yield "freeze-other-scope", story.case("an unfreeze of another scope [GOV-9]", "governance")
    story = Story()
    story.freeze()
    story.freeze(EVERYTHING)
    story.freeze(kind="unfreeze")
    effect = story.effect()
    story.intent(effect, void="frozen")
    yield "freeze-two", story.case("one of two freezes is over [GOV-9]", "governance")


def ticks() -> Cases:
    for name, key in (("agent", AGENT), ("admin", ADMIN), ("stranger", STRANGER)):
        story = Story()
        story.put(story.body("tick", {"time_ms": story.now, "covers": 0, "map": None}, key), key, void="grant-missing")
        yield f"tick-{name}", story.case(f"a tick by the {name} [TIME-1]", "time")
    story = Story()
    story.grant("log", STRANGER)
    story.put(story.body("tick", {"time_ms": 0, "covers": 0, "map": None}, STRANGER), STRANGER, void="grant-missing")
    yield "tick-role-log", story.case("the role log permits nothing [GOV-12]", "time")
    story = Story()
    story.tick(story.now, covers=story.next + 1, map=bytes(32), void="tick-invalid")
    yield "tick-covers", story.case("it covers its own leaf and what comes after [TIME-1]", "time")
    story = Story()
    story.put(
        story.body("tick", {"time_ms": story.now, "covers": 0, "map": None}, LOG, prev=story.log_id),
        LOG,
        void="chain-broken",
    )
    yield "tick-prev", story.case("a tick stands on no chain: prev is null", "time")
    story = Story()
    story.tick(story.now - 1, finds=("tick-backwards",))
    effect = story.effect()
    story.intent(effect)
    yield "tick-backwards", story.case("it goes back: time does not [TIME-2] [RPL-5]", "time")
    story = Story()
    story.tick(story.now)
    yield "tick-same-time", story.case("the same time again [TIME-2]", "time", "life")
    story, effect = started()
    story.wait(1)
    story.tick(0, finds=("tick-backwards",))
    story.wait(D + Q)
    story.suspect(effect)
    yield "tick-to-zero", story.case("it goes back to 1970: what has passed has passed [TIME-2]", "time")
    yield from covering()
    yield from maps()


def covering() -> Cases:
    """What a tick covers, its signer had seen when it read its clock."""
    story = Story()
    story.wait(1)
    story.tick(story.now + 1, covers=story.next - 1, void="tick-overtaken")
    yield "tick-overtaken", story.case("its signer had not seen the tick before it [TIME-1]", "time")
    story = Story()
    story.tick(story.now + 1, covers=2)
    yield "tick-covers-last", story.case("its signer had seen the tick before it, and nothing more [TIME-1]", "time")
    story = Story()
    story.tick(story.now + D, covers=1, void="tick-overtaken")
    story.tick(story.now + D, covers=2)
    yield "tick-overtaken-time", story.case("nor does it move the time [TIME-1] [TIME-2]", "time")
    story, effect = started()
    story.tick(story.now + 1, covers=story.next - 1)
    story.wait(D)
    story.suspect(effect, void="too-early")
    story.wait(D)
    story.suspect(effect)
    yield (
        "tick-held-up",
        story.case("sealed before the START and stored after it: D counts from the next [TIME-3]", "time"),
    )
    story, effect = started()
    story.tick(story.now + 1, covers=story.next)
    story.wait(D)
    story.suspect(effect)
    yield (
        "tick-covers-start",
        story.case("its signer had seen the START, the last leaf: D counts from it [TIME-3]", "time"),
    )
    story, effect = unknown()
    story.tick(story.now + 1, covers=story.next - 2)
    tick = story.wait(D + Q)
    story.resolution(effect, "absence", tick=tick, void="too-early")
    story.resolution(effect, "absence", tick=story.wait(D + Q))
    yield "tick-held-up-read", story.case("likewise D + Q, of a read's tick [TIME-3] [PRF-5]", "time")


def maps() -> Cases:
    story = Story()
    story.tick(story.now, covers=story.next, map=bytes(32))
    yield "map-empty", story.case("the root of the empty map [MAP-1] [MAP-8]", "map", "life")
    story, effect = started()
    story.outcome(effect)
    one = wire.h("map leaf", effect.key + effect.map_value(story.next - 1))
    story.tick(story.now, covers=story.next, map=one)
    yield "map-one", story.case("with one key the root is its leaf [MAP-2] [MAP-7] [MAP-8]", "map", "life")
    story, effect = started()
    story.outcome(effect)
    before = wire.h("map leaf", effect.key + effect.map_value(story.next - 1))
    covers = story.next
    story.resolution(effect)
    story.tick(story.now, covers=covers, map=before)
    yield "map-earlier", story.case("the root of an earlier size [MAP-8]", "map", "life")
    story, effect = started()
    other = story.effect(order="790")
    story.intent(other)
    indices = {effect.key: story.next - 2, other.key: story.next - 1}
    leaves = {e.key: wire.h("map leaf", e.key + e.map_value(indices[e.key])) for e in (effect, other)}
    story.tick(story.now, covers=story.next, map=_pair(leaves))
    yield "map-two", story.case("two keys part at their first differing bit [MAP-3]", "map", "life")
    story = Story()
    effect = story.effect()
    story.intent(effect)
    story.release(effect)
    free = wire.h("map leaf", effect.key + effect.map_value(story.next - 1))
    story.tick(story.now, covers=story.next, map=free)
    yield "map-free", story.case("free again: nothing committed, and there all the same [MAP-7]", "map", "life")
    story, effect = started()
    head = story.next - 1
    story.recover()
    lost = wire.h("map leaf", effect.key + effect.map_value(head))
    story.tick(story.now, covers=story.next, map=lost)
    yield "map-recovery", story.case("a recovery moves a status, and no head [MAP-7] [REC-3]", "map", "life")
    story, effect = started()
    story.tick(story.now, covers=story.next, map=bytes(32), finds=("map-differs",))
    yield "map-differs", story.case("another root than that of the leaves it covers [MAP-8]", "map")


def _pair(leaves: dict[bytes, bytes]) -> bytes:
    """Return the root over two leaves: a node at every bit that their keys share, an empty subtree beside it."""
    (one, first), (other, second) = sorted(leaves.items())
    ones, others = (f"{int.from_bytes(key, 'big'):0256b}" for key in (one, other))
    depth = next(at for at in range(256) if ones[at] != others[at])
    node = wire.h("map node", first + second)
    for at in reversed(range(depth)):
        node = wire.h("map node", bytes(32) + node if ones[at] == "1" else node + bytes(32))
    return node


def duplicates() -> Cases:
    story = Story()
    story.repeat(1, void="duplicate")
    yield "duplicate-tick", story.case("the very same tick again [ADM-6]", "duplicate")
    story, effect = started()
    story.about(effect, "note", effect.head or b"")
    story.repeat(story.next - 1, void="duplicate")
    yield "duplicate-note", story.case("the very same note again [ADM-6]", "duplicate")
    story, effect = started()
    story.about(effect, "observation", effect.head or b"", AGENT)
    story.repeat(story.next - 1, void="duplicate")
    yield "duplicate-observation", story.case("the very same observation again [ADM-6]", "duplicate")

    story, effect = started()
    story.about(effect, "note", effect.head or b"")
    story.revoke(key=AGENT.public)
    story.repeat(story.next - 2, void="grant-missing")
    yield (
        "duplicate-revoked",
        story.case("again, and its key has lost its grants meanwhile [ADM-3] [ADM-6]", "duplicate"),
    )
    story = Story()
    story.recover()
    story.repeat(1, void="log-mismatch")
    yield "duplicate-recovered", story.case("again, and the log is another one meanwhile [ADM-6] [GOV-3]", "duplicate")

    story, effect = started()
    story.repeat(story.next - 2, void="collision")
    yield (
        "duplicate-intent",
        story.case("the very same intent again: the rule that it breaks first [ADM-6]", "duplicate"),
    )
    story, effect = started()
    story.repeat(story.next - 1, void="chain-broken")
    yield "duplicate-start", story.case("the very same START again [ADM-6]", "duplicate")
    story = Story()
    story.repeat(2, void="chain-broken")
    yield "duplicate-grant", story.case("the very same grant again [ADM-6]", "duplicate")


def beginnings() -> Cases:
    """Leaf 0 begins no log: nothing is replayed."""
    good: Map = {"format": 1, "origin": ORIGIN, "log_key": LOG.public, "admin_keys": [ADMIN.public]}
    faults: dict[str, tuple[str, Map, Map, Key]] = {
        "kind": ("a tick at leaf 0 [GOV-1]", {"kind": "tick", "by": LOG.public}, {}, LOG),
        "log": ("its log is not empty [GOV-1]", {"log": wire.plain(b"x")}, good, ADMIN),
        "prev": ("it has a prev [GOV-1]", {"prev": wire.plain(b"x")}, good, ADMIN),
        "issuer": ("by a key that is no admin of it [GOV-1]", {"by": STRANGER.public}, good, STRANGER),
        "origin": ("an origin that is no key name [KEY-4]", {}, {**good, "origin": "example.com/the log"}, ADMIN),
        "origin-empty": ("no origin", {}, {**good, "origin": ""}, ADMIN),
        "log-key": ("a log key of small order [KEY-1]", {}, {**good, "log_key": SMALL_ORDER}, ADMIN),
        "admin-key": ("an admin key of small order", {}, {**good, "admin_keys": [SMALL_ORDER, ADMIN.public]}, ADMIN),
        "no-admin": ("no admin key [EVT-3]", {}, {**good, "admin_keys": []}, ADMIN),
        "format": ("a format of the future", {}, {**good, "format": 2}, ADMIN),
    }
    for name, (comment, body, data, key) in faults.items():
        values = data or {"time_ms": 0, "covers": 0, "map": None}
        fields: Map = {
            "v": 1,
            "log": bytes(32),
            "kind": "genesis",
            "by": ADMIN.public,
            "at_ms": 0,
            "prev": None,
            "data": values,
        }
        yield f"genesis-{name}", begun(comment, fields | body, key)
    yield "genesis-signature", begun("signed by another key", _genesis(good), STRANGER)


def _genesis(data: Map) -> Map:
    return {"v": 1, "log": bytes(32), "kind": "genesis", "by": ADMIN.public, "at_ms": 0, "prev": None, "data": data}


def begun(comment: str, fields: Map, key: Key) -> Case:
    story = Story(policy=None, contract=None)
    story.leaves, story.governance = [], None
    story.put(fields, key, void="genesis-invalid")
    nothing: Given = {
        "trusted": False,
        "origin": None,
        "covered": {"size": None, "cosignatures": 0, "cosignatures_not_checked": 0},
    }
    return story.case(comment, "genesis", **nothing)
