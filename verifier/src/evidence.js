/**
 * What counts as proof that an effect did, or did not, happen, and how good it is.
 *
 * Yes is stable, no is not: one authenticated sighting of our tag proves committed; nothing that merely failed proves
 * the opposite.
 */
import { Refused } from './governance.js';
import { ABSENT, COMMITTED, NOT_COMMITTED, PRESENT, PROOFS_OF_FAILURE } from './kind.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./contract.js').Contract} Contract */
/** @typedef {import('./event.js').Event} Event */
/** @typedef {import('./event.js').Evidence} Evidence */
/** @typedef {import('./world.js').EffectState} EffectState */
/** @typedef {import('./world.js').World} World */

const PROOFS_OF_PRESENCE = ['response', 'tag_seen', 'webhook'];
const PROOFS_OF_ABSENCE = ['absence', 'key_burnt', 'void', 'abort', 'webhook'];
const READS = ['absence', 'key_burnt'];
/** What an observation shows of a present effect: a sighting of its own, as reads are of an absent one. */
const SEEN = ['tag_seen'];

/**
 * Whether a duration has passed since an event whose hi is `since`; null: no tick came after it.
 *
 * @param {number | null} since
 * @param {number} durationMs
 * @param {number} now
 */
export const passed = (since, durationMs, now) => since !== null && now - since >= durationMs;

/**
 * Why an outcome's evidence does not support its status, or null.
 *
 * @param {{ status: string, evidence: Evidence }} data
 * @param {Contract} contract
 * @param {EffectState} state
 */
export function checkOutcome({ status, evidence }, contract, state) {
  const { kind } = evidence;
  if (!wantedFor(status).includes(kind)) return new Refused('evidence-invalid', `${kind} does not show ${status}`);
  if (state.tainted !== null && (status === COMMITTED || status === NOT_COMMITTED)) {
    return new Refused('recovery-open', "after a recovery an executor's word settles nothing");
  }
  if (status !== NOT_COMMITTED) return null;
  if (state.send?.redriven) return new Refused('redriven', "after a re-drive, not_committed is a reconciler's to find");
  if (kind === 'abort' && contract.observability !== 'transactional') {
    return new Refused('evidence-invalid', 'abort proves something only under a transactional contract');
  }
  if (
    ['definite_failure', 'stored_failure'].includes(kind) &&
    !contract.definiteFailures.includes(evidence.failure ?? '')
  ) {
    return new Refused('evidence-invalid', `${evidence.failure} is no definite failure of the contract`);
  }
  if (kind === 'stored_failure' && contract.providerKey?.stores !== 'all') {
    return new Refused('evidence-invalid', 'the provider does not store failures under its key');
  }
  return null;
}

/** @param {string} status */
function wantedFor(status) {
  if (status === COMMITTED) return ['response'];
  return status === NOT_COMMITTED ? PROOFS_OF_FAILURE : ['no_answer', 'unclear_answer'];
}

/**
 * Why a resolution does not prove absence, or null.
 *
 * @param {Event} event
 * @param {Contract} contract
 * @param {EffectState} state
 * @param {number | null} since  from when on D + Q has to pass before a read can prove it; null while no tick has come
 * @param {World} world
 */
export function checkAbsence(event, contract, state, since, world) {
  const { kind } = event.data.evidence;
  if (!PROOFS_OF_ABSENCE.includes(kind))
    return new Refused('evidence-invalid', `${kind} does not show that an effect is absent`);
  if (state.tainted !== null && kind !== 'absence') {
    return new Refused('recovery-open', 'after a recovery only a read begun after the bound proves absence');
  }
  if (READS.includes(kind)) return checkReads(event, contract, since, world);
  const supported = /** @type {Record<string, boolean>} */ ({
    void: contract.void !== null,
    abort: contract.observability === 'transactional',
    webhook: contract.negativeMessages.includes(event.data.evidence.failure),
  });
  if (!supported[kind])
    return new Refused('evidence-invalid', `the contract knows no ${kind} that proves absence`);
  return checkUnlisted(event);
}

/**
 * @param {Event} event
 * @param {Contract} contract
 * @param {number | null} since
 * @param {World} world
 */
function checkReads(event, contract, since, world) {
  const { evidence } = event.data;
  if (!contract.provesAbsence) {
    return new Refused('absence-unprovable', "the contract's read-back is partial or lags: it proves presence only");
  }
  if (evidence.kind === 'key_burnt' && contract.providerKey === null) {
    return new Refused('evidence-invalid', 'the contract has no provider key that could be burnt');
  }
  if (contract.reconcilers === 1) {
    const refusal = checkRead(evidence, contract, since, world);
    if (refusal !== null) return refusal;
  }
  const observed = observationsOf(event, contract, world);
  if (observed instanceof Refused) return observed;
  for (const { data } of observed) {
    const refusal = checkRead(data.evidence, contract, since, world);
    if (refusal !== null) return refusal;
  }
  const readers = new Set(observed.map(({ by }) => by));
  if (contract.reconcilers > 1 && readers.size < contract.reconcilers) {
    return new Refused(
      'observations-missing',
      `${readers.size} observations by distinct keys, want ${contract.reconcilers}`,
    );
  }
  return null;
}

/**
 * The observations that a resolution lists, or why one does not count.
 *
 * @param {Event} event
 * @param {Contract} contract
 * @param {World} world
 * @returns {Event[] | Refused}
 */
function observationsOf({ effect, resource, data }, contract, world) {
  const wanted = data.presence === PRESENT ? SEEN : READS;
  const observed = [];
  for (const id of data.evidence.observations) {
    const found = world.unchained(id, resource ?? '')?.event;
    if (found?.kind !== 'observation' || found.effect !== effect) {
      return new Refused('observation-invalid', `evt_${id} is no observation of this effect`);
    }
    if (found.data.presence !== data.presence) {
      return new Refused('observation-invalid', `an observation says ${found.data.presence}, not ${data.presence}`);
    }
    if (!wanted.includes(found.data.evidence.kind)) {
      return new Refused('observation-invalid', `an observation is none of ${wanted.join(', ')}`);
    }
    if (world.startedBy(effect ?? '', found.by)) {
      return new Refused('observation-invalid', "an observation is the executor's own");
    }
    if (!world.governance.holds(found.by, 'reconciler', contract.effectClass, resource ?? '')) {
      return new Refused('observation-invalid', "an observation's key holds no grant as reconciler");
    }
    observed.push(found);
  }
  return observed;
}

/**
 * Why a resolution does not show presence, or null. It is never refused for the effect's state.
 *
 * @param {Event} event
 * @param {Contract} contract
 * @param {World} world
 */
export function checkPresence(event, contract, world) {
  const { kind } = event.data.evidence;
  if (!PROOFS_OF_PRESENCE.includes(kind))
    return new Refused('evidence-invalid', `${kind} does not show that an effect is present`);
  if (kind === 'webhook' && contract.positiveMessages.length === 0) {
    return new Refused('evidence-invalid', 'the contract knows no webhook that shows presence');
  }
  if (!SEEN.includes(kind)) return checkUnlisted(event);
  const observed = observationsOf(event, contract, world);
  return observed instanceof Refused ? observed : null;
}

/** What is listed is checked, so evidence that observations cannot carry lists none. @param {Event} event */
function checkUnlisted({ data }) {
  const { kind, observations } = data.evidence;
  if (observations.length === 0) return null;
  return new Refused('observation-invalid', `${kind} rests on no observations, want none listed`);
}

/**
 * The read names a tick that its reader held before it began; D + Q had passed at that tick.
 *
 * @param {Evidence} read
 * @param {Contract} contract
 * @param {number | null} since
 * @param {World} world
 */
function checkRead(read, contract, since, world) {
  const tick = read.tick === null ? undefined : world.unchained(read.tick, '');
  if (tick?.event.kind !== 'tick') {
    return new Refused('tick-unknown', 'the read names no tick of this log that its reader held before it began');
  }
  const began = Math.max(tick.event.data.time_ms, world.lo(tick.index));
  if (!passed(since, contract.settleMs, began)) {
    return new Refused('too-early', 'the read began before an effect of the last send had to be visible');
  }
  return null;
}

/**
 * The grade of the event that settled an effect: E0 to E2 as replay can tell, or `attested`, which is beside the
 * ladder.
 *
 * @param {Event} event
 * @param {Contract | undefined} contract
 * @param {{ observers: Hex[], byExecutor: boolean }} signers  the keys of the observations that an admitted resolution
 *   lists, and whether the event is by the key of a START of the effect
 */
export function gradeOf(event, contract, { observers, byExecutor }) {
  if (event.kind === 'outcome') return 'E0';
  if (event.kind !== 'resolution') return 'attested';
  if (new Set(observers).size >= Math.max(2, contract?.reconcilers ?? 1)) return 'E2';
  return byExecutor || event.data.evidence.kind === 'response' ? 'E0' : 'E1';
}

/**
 * What a settled status rests on beside the log itself, sorted.
 *
 * @param {Event} event
 * @param {Contract | undefined} contract
 * @param {string} grade
 * @param {{ sworn: boolean, earlier: string[] }} life  whether an oath let an intent of it be claimed after a recovery,
 *   and the words of what settled its earlier attempts and generations
 */
export function relianceOf(event, contract, grade, { sworn, earlier }) {
  const relies = new Set(['store-not-rolled-back', ...earlier, ...relianceOnEvidence(event, grade)]);
  if (contract?.keyed) relies.add('provider-key');
  if (sworn) relies.add('oath');
  return [...relies].sort();
}

/** @param {Event} event @param {string} grade */
function relianceOnEvidence({ kind: eventKind, data }, grade) {
  if (eventKind === 'outcome') {
    const listed = data.status === NOT_COMMITTED && ['definite_failure', 'stored_failure'].includes(data.evidence.kind);
    return listed ? ['executor', 'contract-failures'] : ['executor'];
  }
  if (eventKind !== 'resolution') return ['attestor', 'log-clock', 'quiescence-bound'];
  const { kind } = data.evidence;
  return [
    grade === 'E0' ? 'executor' : 'reconciler',
    ...(data.presence === ABSENT && [...READS, 'void'].includes(kind) ? ['log-clock', 'quiescence-bound'] : []),
    ...(kind === 'webhook' ? ['webhook-sender'] : []),
  ];
}
