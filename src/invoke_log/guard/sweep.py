"""The other way round: what the provider has, compared with the log. Finds what no log has asked for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from invoke_log.format import digest
from invoke_log.guard.redrive import ENDING
from invoke_log.guard.registry import Tool
from invoke_log.guard.resolution import KNOWN, RECORDED, Case, check_reference, tagged
from invoke_log.ledger.log import Log
from invoke_log.log.signer import Signer
from invoke_log.rules.kind import Evidence
from invoke_log.rules.world import EffectState

UNTAGGED: Final = "untagged"
FOREIGN: Final = "foreign"
FOUND: Final = "found"
UNCLEAR: Final = "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """One of the provider's objects that somebody has to look at, or that was put on record.

    finding: untagged; foreign, a tag that this log never made; found, one of ours that was not on record as committed;
    or unclear: the listing broke off or an object in it has no name (`reference` is None), or the log did not take what
    was found.
    """

    tool: str
    finding: str
    reference: str | None
    tag: str | None
    note: str
    effect_key: str | None = None
    incident: str | None = None


def sweep(log: Log, tools: Iterable[Tool], signer: Signer) -> Iterator[Swept]:
    """List what each tool's provider has, yield what is not ours, and put on record what is and was not."""
    for tool in tools:
        if tool.sweep is None:
            continue
        name, listed, unclear = tool.contract.name, dict[str | None, list[str]](), list[str]()
        try:
            for each in tool.sweep():
                try:
                    tag, reference = _named(each)
                except Exception as error:  # noqa: BLE001 -- one that the log cannot name hides none behind it
                    unclear.append(f"an object that is no reference and tag: {type(error).__name__}: {error}")
                    continue
                listed.setdefault(tag, []).append(reference)
        except ENDING:
            raise
        except BaseException as error:  # noqa: BLE001 -- whatever the provider's client raises, the listing is not complete
            unclear.append(f"the listing broke off: {type(error).__name__}")
        for tag, references in listed.items():
            ours = tagged(log, tag)
            if ours is None:
                finding, note = (FOREIGN, "another's tag") if tag else (UNTAGGED, "no tag: not sent through a log")
                for reference in references:
                    yield Swept(tool=name, finding=finding, reference=reference, tag=tag, note=note)
                continue
            state, generation = ours
            found = _bring(log, signer, tool, state, generation=generation, references=references)
            if found is not None:
                yield found
        for note in unclear:
            yield Swept(tool=name, finding=UNCLEAR, reference=None, tag=None, note=note)


def _named(each: tuple[object, object]) -> tuple[str | None, str]:
    """The tag and the reference of one object. A tag that is no text, as others' metadata may be, is another's."""
    reference, tag = each
    return tag if tag is None or isinstance(tag, str) else repr(tag), check_reference(reference)


def _bring(
    log: Log, signer: Signer, tool: Tool, state: EffectState, *, generation: int, references: list[str]
) -> Swept | None:
    """Put objects under one of our tags on record, unless the log knows of the one there is."""
    contract = tool.contract
    if state.claim is not None:  # of the effect's own class, which the tool's may have retired
        contract = log.governance.contracts[state.claim.contract_id]
    case = Case(log, signer, contract, effect=state.effect, resource=state.resource)
    committed = generation <= case.state().committed_max
    on_record = case.references(generation) - {None}
    if committed and len(on_record | set(references)) == 1:
        return None  # committed by the tool's own word, which named no object: this is that one
    seen = [Evidence(kind="tag_seen", reference=reference) for reference in references]
    brought = case.present(seen, generation=generation)
    if brought.answer == KNOWN:
        return None
    return Swept(
        tool=tool.contract.name,
        finding=FOUND if brought.answer == RECORDED else UNCLEAR,
        reference=references[0],
        tag=digest.tag(state.effect, generation).hex(),
        note=brought.note,
        effect_key=case.name,
        incident=brought.incident,
    )
