/**
 * Whether an event may stand at a position of the log, and what it leaves behind.
 *
 * The first of protocol order that fits answers: refused for authority, collision, conflict or blocked, stale,
 * refused by a guard, else admitted.
 */
import * as digest from './digest.js';
import { OPEN, claimedOrUnknown, mayBeLost, settles, step } from './effect.js';
import { MalformedError } from './errors.js';
import { Refused, govern } from './governance.js';
import { decisionKeyOf, rederive, rederiveKey, retiredEffect } from './intent.js';
import { CHAINED_KINDS, COMMITTED, FREE, GOVERNANCE_KINDS, NOT_COMMITTED, PRESENT } from './kind.js';
import { INTEGER_MAX } from './limits.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./contract.js').Contract} Contract */
/** @typedef {import('./event.js').Event} Event */
/** @typedef {import('./governance.js').Governance} Governance */
/** @typedef {import('./intent.js').Bound} Bound */
/** @typedef {import('./world.js').EffectState} EffectState */
/** @typedef {import('./world.js').World} World */
/**
 * What the event leaves behind, where it moves them.
 *
 * @typedef {{ effect?: EffectState, governance?: Governance, stateHash?: Hex }} Admitted
 */

/**
 * Kinds whose issuer needs a role over the effect. An intent needs agent or repeat; all others any grant, or START's
 * key.
 */
const ROLE_OF = new Map([
  ['approval', 'approver'],
  ['denial', 'approver'],
  ['start', 'executor'],
  ['redrive', 'reconciler'],
  ['resolution', 'reconciler'],
  ['attestation', 'attestor'],
]);

/** Refusals that come before duplicate in the order of answers; all others come after it. */
export const AUTHORITY = ['log-mismatch', 'grant-missing', 'contract-unknown'];

/**
 * Form and signature are checked before, genesis and duplicates elsewhere.
 *
 * @param {Event} event
 * @param {World} world
 * @returns {Promise<Admitted | Refused>}
 */
export async function admit(event, world) {
  const { governance } = world;
  if (event.log !== governance.logId) {
    return new Refused(
      'log-mismatch',
      `body names log ${event.log.slice(0, 16)}…, want ${governance.logId.slice(0, 16)}…`,
    );
  }
  if (GOVERNANCE_KINDS.includes(event.kind)) return admitGovernance(event, world);
  if (event.kind === 'intent') return admitIntent(event, world);
  return CHAINED_KINDS.includes(event.kind) ? admitChained(event, world) : admitUnchained(event, world);
}

/** @param {Event} event @param {World} world */
async function admitGovernance(event, world) {
  const before = world.governance;
  const after = await govern(before, event, world);
  if (after instanceof Refused && after.code === 'grant-missing') return after;
  if (event.prev !== before.head) return new Refused('chain-broken', 'prev is not the head of the governance chain');
  return after instanceof Refused ? after : { governance: after };
}

/** @param {Event} event @param {World} world */
function admitUnchained({ kind, prev, by, data }, world) {
  const { governance, index } = world;
  if (prev !== null) return new Refused('chain-broken', `a ${kind} stands on no chain, want prev null`);
  if (kind === 'tick') {
    if (by !== governance.logKey) return new Refused('grant-missing', 'a tick is signed by the log key in force');
    if (data.covers > index) return new Refused('tick-invalid', `covers ${data.covers} entries at leaf ${index}`);
    const last = world.lastTick();
    return data.covers <= last ? new Refused('tick-overtaken', `its signer had not seen the tick at leaf ${last}`) : {};
  }
  return governance.granted(by) ? {} : new Refused('grant-missing', `key_${by} holds no grant at this position`);
}

/** @param {Event} event @param {World} world */
function admitChained(event, world) {
  const { effect, resource } = namesOf(event);
  const state = world.effect(effect, resource);
  if (state.resource !== resource)
    return new Refused('resource-differs', `the effect belongs to resource ${state.resource}`);
  const refusal = authorise(event, state, world) ?? checkNamed(event, state, world);
  if (refusal !== null) return refusal;
  if (event.prev !== state.last) return new Refused('chain-broken', "prev is not the head of the effect's chain");
  if (event.kind === 'start' && event.data.verdict.policy_id !== world.governance.policy?.id) {
    return new Refused('policy-superseded', 'the verdict names a policy that is not in force');
  }
  const after = step(state, event, world);
  if (after instanceof Refused) return after;
  return settles(state, after)
    ? { effect: after, stateHash: digest.stateNext(world.stateHash(resource), event.id) }
    : { effect: after };
}

/** @param {Event} event @param {EffectState} state @param {World} world */
function authorise(event, state, world) {
  const { by, kind, data } = event;
  const { governance } = world;
  // Its transition asks for START's key and nonce: a revoked key may still bring evidence.
  if (kind === 'outcome') return null;
  let { effectClass } = state;
  if (kind === 'resolution') {
    const contract = governance.contracts.get(data.contract_id);
    if (contract === undefined)
      return new Refused('contract-unknown', `no contract ctr_${data.contract_id} is registered`);
    effectClass ||= contract.effectClass;
    if (data.presence === PRESENT && world.startedBy(state.effect, by)) return null;
  }
  const role = ROLE_OF.get(kind);
  // Of an effect that no event has named the class is not known: its chain answers, not its scope.
  const allowed =
    role === undefined || effectClass === ''
      ? governance.granted(by)
      : governance.holds(by, role, effectClass, state.resource);
  return allowed
    ? null
    : new Refused('grant-missing', `key_${by} holds no grant as ${role ?? 'any role'} over this effect`);
}

/**
 * Why a presence does not show which effect it is about, or null. An intent has derived the key already; without one,
 * nobody else says that the key belongs to class and resource.
 *
 * @param {Event} event
 * @param {EffectState} state
 * @param {World} world
 */
function checkNamed({ kind, data, effect, resource }, state, { governance }) {
  if (kind !== 'resolution' || data.presence !== PRESENT) return null;
  const contract = /** @type {Contract} */ (governance.contracts.get(data.contract_id));
  let named = state.attempt > 0 && state.effectClass === contract.effectClass;
  if (data.of !== null) {
    const derived = derivedOrRefused(() => rederiveKey(contract, data.of));
    if (derived instanceof Refused) return derived;
    named = derived.effect === effect && derived.resource === resource;
  }
  if (!named) return new Refused('effect-differs', "nothing shows that effect and resource are the contract's");
  return contract.effectClass === 'none'
    ? new Refused('effect-none', 'the contract declares a read: nothing is present by it')
    : null;
}

/** @param {Event} event @param {World} world */
function admitIntent(event, world) {
  const { governance } = world;
  const { data } = event;
  const { effect, resource } = namesOf(event);
  const contract = governance.contracts.get(data.contract_id);
  if (contract === undefined)
    return new Refused('contract-unknown', `no contract ctr_${data.contract_id} is registered`);
  const role = data.again === null ? 'agent' : 'repeat';
  if (!governance.holds(event.by, role, contract.effectClass, resource)) {
    return new Refused('grant-missing', `key_${event.by} holds no grant as ${role} over this effect`);
  }
  const bound = derivedOrRefused(() => rederive(contract, data));
  if (bound instanceof Refused) return bound;
  if (effect !== bound.effect || resource !== bound.resource) {
    return new Refused('effect-differs', 'effect and resource do not re-derive from contract, purpose and identity');
  }
  const state = world.effect(effect, resource);
  const refusal =
    occupied(event, bound, state) ??
    stale(event, contract, state, world) ??
    checkIntent(event, bound, contract, state, world);
  if (refusal !== null) return refusal;
  return {
    effect: claim(event, bound, contract, state, world),
    stateHash: digest.stateNext(world.stateHash(resource), event.id),
  };
}

/** @param {Event} event */
const namesOf = ({ effect, resource }) => /** @type {{ effect: Hex, resource: string }} */ ({ effect, resource });

/** @template T @param {() => T} derive @returns {T | Refused} */
function derivedOrRefused(derive) {
  try {
    return derive();
  } catch (error) {
    if (error instanceof MalformedError) return new Refused('arguments-invalid', error.message);
    throw error;
  }
}

/**
 * Compare with the latest intent of the current generation: this is where a second decision ends.
 *
 * @param {Event} event
 * @param {Bound} bound
 * @param {EffectState} state
 */
function occupied(event, bound, state) {
  const repeats = state.status === COMMITTED && event.data.again === state.last;
  if (!OPEN.includes(state.status) && (state.status !== COMMITTED || repeats)) return null;
  if (state.claim !== null) {
    if (decisionKeyOf(event, bound, state.generation) === state.claim.decisionKey) {
      return new Refused('collision', 'the same decision is open or committed already, whoever wrote it');
    }
    if (bound.request !== state.claim.request) {
      return new Refused('conflict', 'the effect is open or committed with another request');
    }
  }
  return new Refused('blocked', `the effect is ${state.status}`);
}

/** @param {Event} event @param {Contract} contract @param {EffectState} state @param {World} world */
function stale(event, contract, state, world) {
  const { governance } = world;
  const { after, verdict } = event.data;
  if (event.prev !== state.last || (after !== null && after !== state.last)) {
    return new Refused('chain-broken', "prev or after is not the head of the effect's chain");
  }
  if (event.state !== world.stateHash(state.resource)) {
    return new Refused('state-stale', "state is not the resource's state hash");
  }
  if (!governance.inForce(contract)) {
    return new Refused('contract-superseded', `contract ${contract.name} has a later version, or its class is retired`);
  }
  if (verdict.policy_id !== governance.policy?.id) {
    return new Refused('policy-superseded', 'the verdict names a policy that is not in force');
  }
  return null;
}

/**
 * @param {Event} event
 * @param {Bound} bound
 * @param {Contract} contract
 * @param {EffectState} state
 * @param {World} world
 */
function checkIntent({ data }, bound, contract, state, world) {
  const { governance } = world;
  if (contract.effectClass === 'none')
    return new Refused('effect-none', 'the contract declares a read: it claims nothing');
  if (governance.withdrawn.includes(contract.id))
    return new Refused('contract-withdrawn', `contract ${contract.name} is withdrawn`);
  if (governance.frozen(contract.effectClass, state.resource))
    return new Refused('frozen', 'a freeze covers this effect');
  if (data.again !== null && state.status !== COMMITTED) {
    return new Refused('again-invalid', `again repeats a committed effect, and this one is ${state.status}`);
  }
  if (data.again !== null && state.generation === INTEGER_MAX) {
    return new Refused('again-invalid', 'there is no generation after the last one');
  }
  if ((data.after !== null) !== (state.status === NOT_COMMITTED)) {
    return new Refused('after-invalid', `the effect is ${state.status}: after names the head of a not_committed one`);
  }
  if (data.after !== null && state.sealedRequest !== null && state.sealedRequest !== bound.request) {
    return new Refused(
      'content-differs',
      'the last attempt ended by absence or attestation: the request must be the same',
    );
  }
  for (const retires of governance.lineage(contract)) {
    const old = retiredEffect(bound, retires);
    if (old === null) continue;
    const before = world.effect(old.effect, old.resource);
    const lost = mayBeLost(before, retires.effect_class, governance.recoveries);
    if (lost || ![FREE, NOT_COMMITTED].includes(before.status)) {
      const status = lost ? 'in a tail that a recovery has lost, or not' : before.status;
      return new Refused('predecessor-open', `the key that ${retires.effect_class} gave these arguments is ${status}`);
    }
  }
  if ((data.snapshot_id === null) !== (contract.profile === null)) {
    return new Refused('snapshot-differs', 'a snapshot stands exactly where the contract has a profile');
  }
  return data.verdict.answer === 'deny'
    ? new Refused('verdict-deny', 'a denied call is a refusal, never an intent')
    : null;
}

/**
 * @param {Event} event
 * @param {Bound} bound
 * @param {Contract} contract
 * @param {EffectState} state
 * @param {World} world
 * @returns {EffectState}
 */
function claim(event, bound, contract, state, world) {
  const { data } = event;
  const { recoveries } = world.governance;
  const repeats = data.again !== null;
  const generation = state.generation + (repeats ? 1 : 0);
  return {
    ...state,
    ...claimedOrUnknown(state, contract.effectClass, recoveries, { repeats }),
    effectClass: contract.effectClass,
    generation,
    attempt: state.attempt + 1,
    turn: repeats ? 0 : state.turn,
    last: event.id,
    lastIndex: world.index,
    baseStatus: state.status,
    baseGeneration: state.generation,
    baseClaim: repeats ? state.claim : null,
    claim: {
      id: event.id,
      index: world.index,
      issuer: event.by,
      contractId: contract.id,
      request: bound.request,
      decisionKey: decisionKeyOf(event, bound, generation),
      asks: data.verdict.answer === 'ask',
      approvals: data.verdict.approvals,
    },
    send: null,
    sealedRequest: repeats ? null : state.sealedRequest,
    absorbed: recoveries.length,
  };
}
