"""JSON text as the log has it."""

from invoke_log.errors import ContractInvalidError, MalformedError
from invoke_log.format import cbor
from invoke_log.format.cbor import Value
from invoke_log.guard.registry import read_map
from invoke_log.surfaces.render import BYTES


def parse_object(line: bytes) -> dict[str, Value]:
    """Return the JSON object of a line, `{"$bytes": hex}` as bytes.

    Raises: MalformedError: no object, a float, a key twice, hex that is not lower-case and whole, or what IL1 has not.
    """
    try:
        found = _value(read_map(line, ".json", "line"))
    except ContractInvalidError as error:
        raise MalformedError(error.message) from error
    except RecursionError as error:
        raise MalformedError("line: nested too deeply") from error
    if type(found) is not dict:
        raise MalformedError(f"line: found {BYTES} alone, want an object of fields")
    # JSON has texts and integers that IL1 has not: found here, before anything is looked up by them.
    cbor.encode(found)
    return found


def _value(value: Value) -> Value:
    if type(value) is list:
        return [_value(item) for item in value]
    if type(value) is not dict:
        return value
    if value.keys() != {BYTES}:
        return {name: _value(item) for name, item in value.items()}
    digits = value[BYTES]
    if type(digits) is not str or len(digits) % 2 or not set(digits) <= set("0123456789abcdef"):
        raise MalformedError(f"line: {BYTES} is {str(digits)[:40]!r}, want lower-case hex, two digits a byte")
    return bytes.fromhex(digits)
