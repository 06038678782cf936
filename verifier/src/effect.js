/**
 * One effect's life as a transition table:
 *
 *     free -> claimed -> started -> committed | not_committed | unknown          unknown -> committed | not_committed
 *
 * `step` is the table: one function per kind, each the row's guard and what it leaves behind. Intents are claims and
 * are made in `admission`.
 */
import * as digest from './digest.js';
import { checkAbsence, checkOutcome, checkPresence, passed } from './evidence.js';
import { Refused, covers } from './governance.js';
import { CLAIMED, COMMITTED, FREE, NOT_COMMITTED, PRESENT, STARTED, UNKNOWN } from './kind.js';
import { committedMax } from './world.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./contract.js').Contract} Contract */
/** @typedef {import('./event.js').Event} Event */
/** @typedef {import('./governance.js').Recovered} Recovered */
/** @typedef {import('./world.js').EffectState} EffectState */
/** @typedef {import('./world.js').World} World */
/** @typedef {(state: EffectState, event: Event, contract: Contract, world: World) => EffectState | Refused} Row */

export const OPEN = [CLAIMED, STARTED, UNKNOWN];
/** Evidence after which the provider's key can only repeat its answer, so that the next attempt takes the next turn. */
const ROTATES = ['stored_failure', 'key_burnt'];

/** @type {Map<string, Row>} */
const ROWS = new Map([
  ['approval', (state, event) => consent(state, event) ?? state],
  ['denial', (state, event) => consent(state, event) ?? returned(state)],
  ['release', release],
  ['start', start],
  ['outcome', outcome],
  ['suspect', suspect],
  ['redrive', redrive],
  ['attestation', attest],
]);

/**
 * The effect's state after an event that names its head, or the rule that it breaks.
 *
 * @param {EffectState} state
 * @param {Event} event
 * @param {World} world
 * @returns {EffectState | Refused}
 */
export function step(state, event, world) {
  const after = event.kind === 'resolution' ? resolve(state, event, world) : stepClaimed(state, event, world);
  return after instanceof Refused ? after : { ...after, last: event.id, lastIndex: world.index };
}

/**
 * Every kind but a resolution is about a claim, made under a contract.
 *
 * @param {EffectState} state
 * @param {Event} event
 * @param {World} world
 */
function stepClaimed(state, event, world) {
  const contract = world.governance.contracts.get(state.claim?.contractId ?? '');
  const row = ROWS.get(event.kind);
  if (row === undefined || contract === undefined || state.status === FREE) return noTransition(state, event);
  return row(state, event, contract, world);
}

/**
 * Whether a step advances the resource's state hash: the status changed to committed or not_committed, or a later
 * generation committed.
 *
 * @param {EffectState} before
 * @param {EffectState} after
 */
export function settles(before, after) {
  const changed =
    before.status !== after.status &&
    [COMMITTED, NOT_COMMITTED].includes(after.status) &&
    [STARTED, UNKNOWN].includes(before.status);
  return changed || committedMax(after) > committedMax(before);
}

/**
 * The state as recoveries leave it: what was claimed, started or unknown is unknown. Every other status stays; the
 * first intent accepted later pays for it (`claimedOrUnknown`).
 *
 * @param {EffectState} state
 * @param {Recovered[]} recoveries
 * @returns {EffectState}
 */
export function absorb(state, recoveries) {
  const last = recoveries.at(-1);
  if (last === undefined || !OPEN.includes(state.status) || state.absorbed === recoveries.length) return state;
  return { ...state, status: UNKNOWN, tainted: last.index, absorbed: recoveries.length };
}

/**
 * The status that an accepted intent leads to, and the recovery that taints it. One that repeats begins a generation,
 * of which no intent has accounted for any recovery.
 *
 * @param {EffectState} state
 * @param {string} effectClass
 * @param {Recovered[]} recoveries
 * @param {{ repeats: boolean }} how
 * @returns {{ status: string, tainted: number | null }}
 */
export function claimedOrUnknown(state, effectClass, recoveries, { repeats }) {
  const unsworn = recoveries.slice(repeats ? 0 : state.absorbed).filter(forgot(effectClass, state.resource));
  const last = unsworn.at(-1);
  return last === undefined ? { status: CLAIMED, tainted: null } : { status: UNKNOWN, tainted: last.index };
}

/**
 * Whether a lost tail may hold what became of an effect of a class that is retired now: its key takes no intent any
 * more that could account for a recovery before which it still took some.
 *
 * @param {EffectState} state
 * @param {string} effectClass
 * @param {Recovered[]} recoveries
 */
export const mayBeLost = (state, effectClass, recoveries) =>
  recoveries
    .slice(state.absorbed)
    .filter(forgot(effectClass, state.resource))
    .some(({ retired }) => !retired.includes(effectClass));

/**
 * Whether a recovery's lost tail may have touched an effect: nobody has sworn that it did not.
 *
 * @param {string} effectClass
 * @param {string} resource
 * @returns {(recovery: Recovered) => boolean}
 */
const forgot =
  (effectClass, resource) =>
  ({ oaths }) =>
    !oaths.some((scope) => covers(scope, effectClass, resource));

/**
 * The state with a generation committed, which is final.
 *
 * @param {EffectState} state
 * @param {number} generation
 * @returns {EffectState}
 */
const commit = (state, generation) => ({
  ...state,
  status: COMMITTED,
  generation,
  committed: [...state.committed, generation],
  claim: generation === state.generation ? state.claim : null,
  send: null,
  tainted: null,
  sealedRequest: null,
});

/**
 * @param {EffectState} state
 * @param {string} evidenceKind
 * @param {{ freeContent: boolean }} next
 * @returns {EffectState}
 */
const notCommitted = (state, evidenceKind, { freeContent }) => ({
  ...state,
  status: NOT_COMMITTED,
  turn: state.turn + (ROTATES.includes(evidenceKind) ? 1 : 0),
  sealedRequest: freeContent ? null : (state.claim?.request ?? null),
  send: null,
  tainted: null,
});

/** A claim given up: the effect is where it came from. @param {EffectState} state @returns {EffectState} */
const returned = (state) => ({
  ...state,
  status: state.baseStatus,
  generation: state.baseGeneration,
  claim: state.baseGeneration === state.generation ? state.claim : state.baseClaim,
  baseClaim: null,
  send: null,
});

/** @param {EffectState} state @param {Event} event */
const noTransition = (state, event) =>
  new Refused('transition-invalid', `${event.kind} on an effect that is ${state.status}`);

/** Why an approver's word about an intent does not count, or null. @param {EffectState} state @param {Event} event */
function consent(state, event) {
  if (state.status !== CLAIMED || event.data.intent !== state.claim?.id) return noTransition(state, event);
  return event.by === state.claim?.issuer
    ? new Refused('self-approved', "the approver is the intent's own issuer")
    : null;
}

/** @type {Row} */
function release(state, event, contract, world) {
  const { claim } = state;
  if (state.status !== CLAIMED || claim === null || event.data.intent !== claim.id) return noTransition(state, event);
  if (event.by !== claim.issuer && !passed(world.hi(claim.index), contract.claimTtlMs, world.now())) {
    return new Refused('claim-held', "only its issuer may release a claim before the contract's TTL has passed");
  }
  return returned(state);
}

/** @type {Row} */
function start(state, event, contract, world) {
  const { claim } = state;
  const { data } = event;
  if (state.status !== CLAIMED || claim === null || data.intent !== claim.id) return noTransition(state, event);
  const refusal = checkStart(state, data, contract, world) ?? checkApprovals(state, event, contract, world);
  if (refusal !== null) return refusal;
  const send = {
    id: event.id,
    index: world.index,
    by: event.by,
    nonceHash: data.nonce_hash,
    lastIndex: world.index,
    redriven: false,
  };
  return { ...state, status: STARTED, send };
}

/** @param {EffectState} state @param {any} data @param {Contract} contract @param {World} world */
function checkStart(state, data, contract, { governance }) {
  if (data.verdict.answer === 'deny') return new Refused('verdict-deny', 'the policy in force denies this START');
  if (governance.withdrawn.includes(contract.id))
    return new Refused('contract-withdrawn', `contract ${contract.name} is withdrawn`);
  if (governance.frozen(contract.effectClass, state.resource))
    return new Refused('frozen', 'a freeze covers this effect');
  if (data.snapshot_id !== null && contract.profile === null) {
    return new Refused('snapshot-differs', 'the contract has no snapshot profile');
  }
  if (data.tag !== digest.tag(state.effect, state.generation))
    return new Refused('tag-differs', 'the tag does not re-derive');
  return checkProviderKey(state, data);
}

/** @param {EffectState} state @param {any} data */
function checkProviderKey(state, data) {
  return data.provider_key === digest.providerKey(state.effect, state.generation, state.turn)
    ? null
    : new Refused('provider-key-differs', 'the provider key does not re-derive');
}

/** @param {EffectState} state @param {Event} event @param {Contract} contract @param {World} world */
function checkApprovals(state, event, contract, world) {
  const claim = /** @type {import('./world.js').Claim} */ (state.claim);
  const { approvals, verdict } = event.data;
  const asked = claim.asks || verdict.answer === 'ask';
  const wanted = asked ? Math.max(1, contract.approvalsCount, claim.approvals, verdict.approvals) : 0;
  const approvers = new Set();
  for (const id of approvals) {
    const placed = world.chained(state.effect, id);
    if (placed?.event.kind !== 'approval' || placed.event.data.intent !== claim.id) {
      return new Refused('approval-invalid', `evt_${id} is no approval of this intent`);
    }
    const { by } = placed.event;
    if (by === event.by) return new Refused('self-approved', 'the approver is the executor');
    if (world.now() - world.lo(placed.index) > contract.approvalsTtlMs) {
      return new Refused('approval-expired', `approval evt_${id} is older than the contract's TTL`);
    }
    if (!world.governance.holds(by, 'approver', contract.effectClass, state.resource)) {
      return new Refused('approval-invalid', "an approver's grant is no longer in force");
    }
    approvers.add(by);
  }
  return approvers.size < wanted
    ? new Refused('approvals-missing', `${approvers.size} approvals by distinct keys, want ${wanted}`)
    : null;
}

/** @type {Row} */
function outcome(state, event, contract) {
  const { send } = state;
  const { data } = event;
  if (![STARTED, UNKNOWN].includes(state.status) || send === null || data.start !== send.id)
    return noTransition(state, event);
  if (event.by !== send.by) return new Refused('start-key-differs', 'an outcome is signed by the key of its START');
  if (data.nonce === null && data.status !== UNKNOWN) {
    return new Refused('nonce-missing', 'without the nonce of its START an outcome may only say unknown');
  }
  if (data.nonce !== null && digest.nonceHash(data.nonce) !== send.nonceHash) {
    return new Refused('nonce-differs', 'the nonce is not the one that START committed to');
  }
  const refusal = checkOutcome(data, contract, state);
  if (refusal !== null) return refusal;
  if (data.status === COMMITTED) return commit(state, state.generation);
  if (data.status === NOT_COMMITTED) return notCommitted(state, data.evidence.kind, { freeContent: true });
  return { ...state, status: UNKNOWN };
}

/** @type {Row} */
function suspect(state, event, contract, world) {
  const { send } = state;
  if (state.status !== STARTED || send === null || event.data.start !== send.id) return noTransition(state, event);
  if (!passed(world.hi(send.lastIndex), contract.sendDeadlineMs, world.now())) {
    return new Refused('too-early', 'the send deadline of this START has not passed');
  }
  return { ...state, status: UNKNOWN };
}

/** @type {Row} */
function redrive(state, event, contract, world) {
  const { send } = state;
  const key = contract.providerKey;
  if (state.status !== UNKNOWN || send === null || event.data.start !== send.id) return noTransition(state, event);
  if (key?.stores !== 'all')
    return new Refused('redrive-unsafe', 'the provider does not store all results under its key');
  if (state.tainted !== null) return new Refused('redrive-unsafe', 'a recovery has come since this START');
  if (world.now() - world.lo(send.index) + contract.settleMs >= key.retention_ms) {
    return new Refused('redrive-unsafe', 'the provider may have forgotten its key by the time a re-drive lands');
  }
  if (world.governance.frozen(contract.effectClass, state.resource))
    return new Refused('frozen', 'a freeze covers this effect');
  return checkProviderKey(state, event.data) ?? { ...state, send: { ...send, lastIndex: world.index, redriven: true } };
}

/** @param {EffectState} state @param {Event} event @param {World} world */
function resolve(state, event, world) {
  const { data } = event;
  const { kind } = data.evidence;
  const contract = /** @type {Contract} */ (world.governance.contracts.get(data.contract_id));
  if (data.presence === PRESENT) return checkPresence(event, contract, world) ?? sight(state, data, contract);
  if (state.status !== UNKNOWN || state.claim === null) return noTransition(state, event);
  if (data.contract_id !== state.claim.contractId || data.generation !== state.generation) {
    return new Refused(
      'evidence-invalid',
      "the resolution names another contract or generation than the open intent's",
    );
  }
  return (
    checkAbsence(event, contract, state, lastMoment(state, world), world) ??
    notCommitted(state, kind, { freeContent: kind === 'void' || kind === 'abort' })
  );
}

/**
 * Presence is never refused for state: an inconvenient truth must be recordable.
 *
 * @param {EffectState} state
 * @param {any} data
 * @param {Contract} contract
 */
function sight(state, data, contract) {
  const named = { ...state, effectClass: state.effectClass || contract.effectClass };
  return data.generation > committedMax(state) ? commit(named, data.generation) : named;
}

/** @type {Row} */
function attest(state, event, contract, world) {
  const { claim, send } = state;
  if (state.status !== UNKNOWN || claim === null) return noTransition(state, event);
  if (event.by === claim.issuer || event.by === send?.by) {
    return new Refused('self-attested', 'the attestor is the issuer or the executor');
  }
  if (!passed(lastMoment(state, world), contract.settleMs, world.now())) {
    return new Refused('too-early', 'an effect of the last send may still appear');
  }
  return event.data.status === COMMITTED
    ? commit(state, state.generation)
    : notCommitted(state, 'attestation', { freeContent: false });
}

/**
 * The moment of the last send or of a recovery after it: an absent effect stays absent D + Q later; null: not yet
 * known.
 *
 * @param {EffectState} state
 * @param {World} world
 */
function lastMoment({ send, tainted }, world) {
  const leaves = [send?.lastIndex, tainted].filter((leaf) => typeof leaf === 'number');
  let last = null;
  for (const leaf of leaves) {
    const time = world.hi(leaf);
    if (time === null) return null;
    last = Math.max(last ?? time, time);
  }
  return last;
}
