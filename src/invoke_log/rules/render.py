"""`render/1`: the text that an approver is shown, a pure function of the intent and its contract. SPEC §8 [RND-1].

Everything that an agent may have written stands in quotes and is marked. What an approver consents to is the digest of
exactly this text, so nobody can show one thing and approve another.
"""

import json

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.rules.contract import Contract
from invoke_log.rules.event import Event
from invoke_log.rules.kind import Intent


def render_intent(event: Event, contract: Contract) -> str:
    """Return the text of an intent under render/1: lines of `name: value`, arguments in encoded order [RND-1]."""
    data = event.data
    assert isinstance(data, Intent)
    lines = [
        "invoke-log render/1",
        f"intent: {digest.format_id('evt', event.id)}",
        f"issuer: {digest.format_id('key', event.by)}",
        f"tool: {_show(contract.name)} version {contract.version}",
        f"contract: {digest.format_id('ctr', contract.id)}",
        f"effect class: {_show(contract.effect_class)}",
        f"resource: {_show(event.resource)}",
        f"purpose: {_show(data.purpose)}",
        f"repeats a committed effect: {'yes' if data.again is not None else 'no'}",
        "arguments (text in quotes was written by the agent or its sources, and is not to be trusted):",
    ]
    arguments: dict[str, Value] = {**data.identity, **data.content}
    for name in sorted(arguments, key=lambda key: (len(key.encode()), key.encode())):
        lines.append(f"  {name}: {_show(arguments[name])}")
    return "\n".join(lines) + "\n"


def rendering_digest(event: Event, contract: Contract) -> digest.Digest:
    """Return the digest that an approval or denial names as `shown` [RND-2]."""
    return digest.attachment_digest(render_intent(event, contract).encode())


def _show(value: Value) -> str:
    match value:
        case bytes():
            return f"{len(value)} bytes {value[:32].hex()}"
        case list():
            return "[" + ", ".join(_show(item) for item in value) + "]"
        case dict():
            names = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
            return "{" + ", ".join(f"{_show(name)}: {_show(value[name])}" for name in names) + "}"
        case _:
            # JSON escapes every control and direction mark: no text can break out of its quotes or its line.
            return json.dumps(value, ensure_ascii=True)
