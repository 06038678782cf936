"""What an issuer means to do: arguments bound to a contract, the effect they name, the request they make. SPEC §7.2.

`bind` is how a call becomes an intent; `rederive` is how anybody else gets the same keys from the recorded event.
"""

from typing import Final, NamedTuple, cast

from invoke_log.errors import ArgumentInvalidError, MalformedError
from invoke_log.format import digest, limits
from invoke_log.format.cbor import Value
from invoke_log.rules import schema
from invoke_log.rules.contract import Contract, Retires, expand
from invoke_log.rules.kind import Intent, KeyParts

_check_reference: Final = schema.compile_schema(
    schema.record({"attachment": schema.blob(32, 32), "size": schema.integer(limits.RAW_INLINE_BYTES_MAX + 1)})
)


class Bound(NamedTuple):
    """Arguments as they will be sent, and the names that follow from them.

    arguments: every argument, defaults filled in. identity, content: the maps that an intent records; the purpose is in
    neither, volatile arguments are in neither; a raw value over 16 KiB stands in content as `{attachment, size}` and
    itself in attachments.
    """

    resource: str
    purpose: str
    identity: dict[str, Value]
    content: dict[str, Value]
    arguments: dict[str, Value]
    effect: digest.EffectKey
    request: bytes
    attachments: tuple[bytes, ...] = ()

    @property
    def parts(self) -> KeyParts:
        """What a presence says where no intent has said what the effect is [EFF-15]."""
        return KeyParts(purpose=self.purpose, identity=self.identity)


def bind(contract: Contract, arguments: dict[str, Value]) -> Bound:
    """Return a call's arguments bound to its contract.

    Raises: ArgumentInvalidError: missing, unknown, of another type, out of bounds, or of a spelling that is not the one
        accepted: never a second key; or private: the keyed form that would hide it does not exist yet.
    """
    unknown = arguments.keys() - contract.arguments.keys()
    if unknown:
        raise ArgumentInvalidError(f"arguments: {', '.join(sorted(unknown))} unknown to contract {contract.name!r}")
    bound: dict[str, Value] = {}
    try:
        for name, argument in contract.arguments.items():
            if argument.private and argument.role != "volatile":
                raise ArgumentInvalidError(f"arguments: {name} is private, and would be recorded in the clear")
            if name in arguments:
                bound[name] = arguments[name]
            elif argument.default is not None:
                bound[name] = argument.default[0]
            else:
                raise ArgumentInvalidError(f"arguments: {name} is missing")
            argument.check(bound[name], ("arguments", name))
        identity = {name: bound[name] for name in contract.identity}
        content, attachments = _recorded_content(contract, bound)
        purpose = "" if contract.purpose is None else str(bound[contract.purpose])
        return _names(contract, purpose, identity, content, bound, attachments)
    except MalformedError as error:
        raise ArgumentInvalidError(error.message) from error


def rederive(contract: Contract, intent: Intent) -> Bound:
    """Return what a recorded intent's maps bind to under its contract [INT-4].

    Raises: MalformedError: a map that the contract does not accept.
    """
    identity = _typed_identity(contract, intent.purpose, intent.identity)
    if intent.content.keys() != contract.content:
        raise MalformedError("$.data.content: not exactly the contract's content arguments")
    for name, value in intent.content.items():
        argument = contract.arguments[name]
        path = f"$.data.content.{name}"
        if argument.raw and type(value) is dict:
            _check_reference(value, path)
            if cast("int", value["size"]) > cast("int", argument.schema["max"]):
                raise MalformedError(f"{path}: an attachment of {value['size']!r} bytes, over the argument's bound")
            continue
        argument.check(value, path)
        if argument.raw and type(value) is bytes and len(value) > limits.RAW_INLINE_BYTES_MAX:
            raise MalformedError(
                f"{path}: {len(value)} bytes inline, want an attachment over {limits.RAW_INLINE_BYTES_MAX}"
            )
    return _names(contract, intent.purpose, intent.identity, intent.content, {**identity, **intent.content})


def rederive_key(contract: Contract, parts: KeyParts) -> tuple[digest.EffectKey, str]:
    """Return the effect key and the resource that purpose and identity have under a contract [INT-4].

    Raises: MalformedError: a map or purpose that the contract does not accept.
    """
    identity = _typed_identity(contract, parts.purpose, parts.identity)
    resource = expand(contract.resource, {**contract.realm, **identity})
    return digest.effect_key(contract.effect_class, resource, parts.purpose, parts.identity), resource


def _typed_identity(contract: Contract, purpose: str, identity: dict[str, Value]) -> dict[str, Value]:
    """Every identity argument, the purpose with them, each in its argument's schema [INT-2], [INT-3]."""
    if identity.keys() != set(contract.identity):
        raise MalformedError("$.data.identity: not exactly the contract's identity arguments")
    for name, value in identity.items():
        contract.arguments[name].check(value, f"$.data.identity.{name}")
    if contract.purpose is None:
        if purpose:
            raise MalformedError("$.data.purpose: the contract has none, want an empty text")
        return identity
    argument = contract.arguments[contract.purpose]
    typed: Value = int(purpose) if _is_integer(argument.schema, purpose) else purpose
    argument.check(typed, "$.data.purpose")
    return {**identity, contract.purpose: typed}


def _names(
    contract: Contract,
    purpose: str,
    identity: dict[str, Value],
    content: dict[str, Value],
    arguments: dict[str, Value],
    attachments: tuple[bytes, ...] = (),
) -> Bound:
    resource = expand(contract.resource, {**contract.realm, **arguments})
    return Bound(
        resource=resource,
        purpose=purpose,
        identity=identity,
        content=content,
        arguments=arguments,
        effect=digest.effect_key(contract.effect_class, resource, purpose, identity),
        request=digest.request_digest({**identity, **content}),
        attachments=attachments,
    )


def retired_effect(contract: Contract, bound: Bound, retires: Retires) -> tuple[digest.EffectKey, str] | None:
    """Return the key and resource that a retired class gave the effect of this call; None: it had none [CTR-11]."""
    values: dict[str, Value] = {**contract.realm, **bound.arguments}
    try:
        resource = expand(retires.resource, values)
    except MalformedError:
        return None
    purpose = "" if retires.purpose is None else str(values[retires.purpose])
    identity = {name: values[name] for name in retires.identity}
    return digest.effect_key(retires.effect_class, resource, purpose, identity), resource


def _recorded_content(contract: Contract, bound: dict[str, Value]) -> tuple[dict[str, Value], tuple[bytes, ...]]:
    """The content map as an intent records it, and the raw values too long to stand inline [INT-6]."""
    recorded: dict[str, Value] = {}
    attachments: list[bytes] = []
    for name, argument in contract.arguments.items():
        value = bound[name]
        if argument.role != "content":
            continue
        if argument.raw and type(value) is bytes and len(value) > limits.RAW_INLINE_BYTES_MAX:
            attachments.append(value)
            value = {"attachment": digest.attachment_digest(value), "size": len(value)}
        recorded[name] = value
    return recorded, tuple(attachments)


def _is_integer(purpose_schema: dict[str, Value], text: str) -> bool:
    # int() reads more spellings than one: print it back and compare.
    digits = purpose_schema["type"] in ("integer", "time") and text.removeprefix("-").isdecimal()
    return digits and str(int(text)) == text
