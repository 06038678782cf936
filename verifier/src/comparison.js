/**
 * What an admitted event says about itself, against what replay computes. These disagreements are findings and void
 * nothing: every honest reader, whatever it can check, gets the same state root.
 */
import { changeOf, countedEvent } from './budget.js';
import { sameBytes, toHex } from './bytes.js';
import { OPEN } from './effect.js';
import { gradeOf, relianceOf } from './evidence.js';
import * as il1 from './il1.js';
import { factsOf } from './intent.js';
import { CLAIMED, COMMITTED, NOT_COMMITTED, PRESENT } from './kind.js';
import { judge } from './policy.js';
import { renderingDigest } from './render.js';
import { Snapshot, drifted } from './snapshot.js';
import { firstFrom } from './sorted.js';
import { committedMax, freeEffect } from './world.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./il1.js').Value} Value */
/** @typedef {import('./il1.js').ValueMap} ValueMap */
/** @typedef {import('./admission.js').Admitted} Admitted */
/** @typedef {import('./budget.js').Spending} Spending */
/** @typedef {import('./contract.js').Contract} Contract */
/** @typedef {import('./event.js').Event} Event */
/** @typedef {import('./event.js').Reference} Reference */
/** @typedef {import('./fold.js').Fold} Fold */
/** @typedef {import('./policy.js').Policy} Policy */
/** @typedef {import('./policy.js').Verdict} Verdict */
/** @typedef {import('./report.js').Find} Find */
/** @typedef {import('./report.js').EffectReport} EffectReport */
/** @typedef {import('./schema.js').Reader} Reader */
/** @typedef {import('./world.js').EffectState} EffectState */
/** @typedef {import('./policy.js').Judgement} Judgement */
/** What has to be read before an event moves it, and the verdict that the policy gives on the recorded inputs.
 * @typedef {{ state: EffectState | undefined, now: number, own: Judgement | null }} Before */
/** What the report says of one effect beside its state; `intent` is kept while its claim is open, `sworn` is whether an
 * oath let an intent be claimed after a recovery, and `earlier` what `reliesOn` was before the event that settled last.
 * @typedef {{
 *   purpose: string, events: Hex[], grade: string | null, reliesOn: string[], sworn: boolean,
 *   earlier: string[], reference: string | null, intent: Event | null,
 * }} Life */
/** One naming of an attachment: the leaf, the size where it is said, or the contract whose snapshot it is and what was
 * copied of it.
 * @typedef {{ index: number, size: number | null, contract: Contract | null, inline: ValueMap, reads: Set<string> }} Named */

/** A START that names another snapshot than its intent.
 * @typedef {{ index: number, decided: Hex, started: Hex, contract: Contract }} Drift */

const SETTLED = [COMMITTED, NOT_COMMITTED];

export class Comparison {
  /** @type {Map<Hex, Life>} */
  #lives = new Map();
  /** @type {Map<Hex, Named[]>} */
  #named = new Map();
  /** @type {Drift[]} */
  #drifts = [];
  /** @type {Map<string, ValueMap | null>} the snapshots that drifts are between, by contract, once they are read */
  #snapshots = new Map();
  /** @type {{ covers: number, index: number, claimed: Hex }[]} the ticks that carry a map */
  #maps = [];
  /** @type {Map<Hex, number[]>} the leaves of every key */
  #signed = new Map();
  /** @type {Map<Hex, number>} */
  #suspects = new Map();

  /**
   * @param {Fold} fold
   * @param {Find} find
   * @param {Spending | null} spending  null where not every leaf is shown, as in a receipt: then no budget is counted
   */
  constructor(fold, find, spending) {
    this.fold = fold;
    this.find = find;
    this.spending = spending;
  }

  /**
   * What `after` needs of the state that the event is about to move; nothing recorded has been read yet.
   *
   * @param {Event} event
   * @returns {Before}
   */
  before(event) {
    const state = this.fold.effects.get(event.effect ?? '');
    return { state, now: this.fold.now(), own: this.fold.begun ? this.#judge(event, state) : null };
  }

  /**
   * Compare an event that was admitted with what it recorded.
   *
   * @param {Event} event
   * @param {Before} before
   * @param {Admitted} admitted
   */
  after(event, before, admitted) {
    for (const { attachment, size } of referencesOf(event))
      this.#name(attachment, { size, contract: null, inline: new Map(), reads: new Set() });
    this.#suspect(event);
    if (event.kind === 'tick') this.#compareTick(event, before);
    if (event.kind === 'revoke' && event.data.suspect_from !== null) {
      this.#find('suspect', `what rests on this key or grant is suspect from leaf ${event.data.suspect_from} on`);
    }
    if (admitted.effect === undefined) return;
    this.#compareEffect(event, before, admitted.effect);
    this.#count(event, before, admitted.effect);
  }

  /**
   * Remark once on each leaf that a suspect key signed, before the revoke that says so or after it.
   *
   * @param {Event} event
   */
  #suspect({ by }) {
    const { suspects } = this.fold.governance;
    const before = this.#suspects;
    const remark = (/** @type {number} */ leaf, /** @type {number} */ since) =>
      this.find('key-suspect', leaf, `signed by a key that is suspect from leaf ${since} on`);
    for (const [key, since] of suspects === before ? [] : suspects) {
      const leaves = this.#signed.get(key) ?? [];
      const [first, end] = [since, before.get(key) ?? Infinity].map((leaf) => firstFrom(leaves, leaf, (signed) => signed));
      for (const leaf of leaves.slice(first, end)) remark(leaf, since);
    }
    const since = suspects.get(by) ?? Infinity;
    if (since <= this.fold.index) remark(this.fold.index, since);
    const signed = this.#signed.get(by);
    if (signed === undefined) this.#signed.set(by, [this.fold.index]);
    else signed.push(this.fold.index);
    this.#suspects = suspects;
  }

  /** The report of every effect, by key. @returns {EffectReport[]} */
  effects() {
    return this.fold.sortedEffects().map((state) => {
      const life = this.#lifeOf(state.effect);
      const settled = SETTLED.includes(state.status);
      return {
        effect_key: `eff_${state.effect}`,
        resource: state.resource,
        effect_class: state.effectClass,
        purpose: life.purpose,
        status: state.status,
        generation: state.generation,
        attempts: state.attempt,
        grade: settled ? life.grade : null,
        relies_on: settled ? life.reliesOn : [],
        events: life.events.map((id) => `evt_${id}`),
      };
    });
  }

  /**
   * Compare the attachments that came with the log with those that its entries name.
   *
   * @param {Iterable<{ id: Hex, raw: Uint8Array }>} attachments
   */
  checkAttachments(attachments) {
    const missing = new Map(this.#named);
    let unnamed = 0;
    let last = '';
    for (const { id, raw } of attachments) {
      if (!this.#named.has(id)) [unnamed, last] = [unnamed + 1, id];
      this.#checkAttachment(id, raw, this.#named.get(id) ?? []);
      missing.delete(id);
    }
    if (unnamed > 0)
      this.find('attachment-unnamed', null, `no entry names ${unnamed} of the attachments, ${last} among them`);
    for (const [id, [first]] of missing) {
      this.find('attachment-missing', first.index, `attachment ${id} is not here: what it says is not checked`);
    }
    this.#checkDrifts();
  }

  /** Two snapshots are compared once under each contract, however many STARTs are between them. */
  #checkDrifts() {
    /** @type {Map<string, string | null>} */
    const found = new Map();
    for (const drift of this.#drifts) {
      const between = `${drift.contract.id} ${drift.decided} ${drift.started}`;
      const known = found.get(between);
      const at = known === undefined ? this.#drifted(drift) : known;
      found.set(between, at);
      if (at !== null) this.find('snapshot-drifted', drift.index, `the START's snapshot is not the intent's at ${at}`);
    }
  }

  /** @param {Drift} drift */
  #drifted({ decided, started, contract }) {
    const before = this.#snapshots.get(snapshotOf(contract, decided));
    const after = this.#snapshots.get(snapshotOf(contract, started));
    return before && after ? drifted(before, after, contract.mayDrift) : null;
  }

  /** @param {Hex} id @param {Uint8Array} raw @param {Named[]} namings */
  #checkAttachment(id, raw, namings) {
    const snapshot = new Snapshot(raw);
    for (const named of namings) {
      if (named.size !== null && named.size !== raw.length) {
        this.find('attachment-differs', named.index, `attachment ${id} has ${raw.length} bytes, want ${named.size}`);
      }
      if (named.contract?.profile) this.#checkSnapshot(id, snapshot, named, named.contract, named.contract.profile);
    }
  }

  /** A finding about the leaf that was applied last. @param {string} code @param {string} message */
  #find(code, message) {
    this.find(code, this.fold.index, message);
  }

  /** @param {Hex} id @param {Omit<Named, 'index'>} named */
  #name(id, named) {
    const known = this.#named.get(id) ?? [];
    known.push({ index: this.fold.index, ...named });
    this.#named.set(id, known);
  }

  /** @param {Hex} effect @returns {Life} */
  #lifeOf(effect) {
    const known = this.#lives.get(effect);
    if (known !== undefined) return known;
    const settled = { grade: null, reliesOn: [], earlier: [], reference: null };
    const life = { purpose: '', events: [], ...settled, sworn: false, intent: null };
    this.#lives.set(effect, life);
    return life;
  }

  /** @param {Event} event @param {Before} before */
  #compareTick({ data }, { now }) {
    if (data.time_ms < now) this.#find('tick-backwards', `tick at ${data.time_ms} ms after one at ${now} ms`);
    if (data.map !== null) this.#maps.push({ covers: data.covers, index: this.fold.index, claimed: data.map });
  }

  /** Compare the roots that ticks carry, in one pass: each covers more than the one before. Asked after the leaves. */
  checkMaps() {
    const roots = this.fold.mapRoots(this.#maps.map(({ covers }) => covers));
    for (const [at, { covers, index, claimed }] of this.#maps.entries()) {
      if (toHex(roots[at]) !== claimed)
        this.find('map-differs', index, `the map root is not that of the first ${covers} leaves`);
    }
  }

  /** @param {Event} event @param {Before} before @param {EffectState} after */
  #compareEffect(event, before, after) {
    const life = this.#lifeOf(after.effect);
    const contract = this.#contractOf(event, after.claim === null && before.state !== undefined ? before.state : after);
    const { kind, data } = event;
    life.events.push(event.id);
    if (kind === 'intent') {
      life.purpose = data.purpose;
      life.intent = event;
      life.sworn ||= this.#claimedOnOath(event, before, after);
    }
    if ((kind === 'intent' || kind === 'start') && life.intent !== null)
      this.#compareVerdict(life.intent, event, before);
    if ((kind === 'approval' || kind === 'denial') && life.intent !== null) this.#compareRendering(life.intent, data);
    if (kind === 'resolution' && data.presence === PRESENT) {
      life.purpose = data.of?.purpose ?? life.purpose;
      this.#comparePresence(data, before, life);
    }
    if (after.status !== CLAIMED) life.intent = null;
    if (settledBy(event, before, after)) {
      const byExecutor = this.fold.startedBy(after.effect, event.by);
      life.grade = gradeOf(event, contract, { observers: this.#observers(event), byExecutor });
      if (!contradicts(before.state, after.generation)) life.earlier = life.reliesOn;
      life.reliesOn = relianceOf(event, contract, life.grade, life);
      if (after.status === COMMITTED) life.reference = data.evidence?.reference ?? null;
    }
  }

  /**
   * Whether a recovery would have made a claim unknown, had nobody sworn.
   *
   * @param {Event} intent
   * @param {Before} before
   * @param {EffectState} after
   */
  #claimedOnOath({ data }, { state }, after) {
    const accounted = data.again === null ? (state?.absorbed ?? 0) : 0;
    return after.status === CLAIMED && accounted < this.fold.governance.recoveries.length;
  }

  /** @param {Event} event @param {EffectState} state */
  #contractOf({ kind, data }, { claim }) {
    const named = kind === 'intent' || kind === 'resolution' ? data.contract_id : claim?.contractId;
    return this.fold.governance.contracts.get(named ?? '');
  }

  /** @param {Event} event @returns {Hex[]} */
  #observers({ kind, data, resource }) {
    if (kind !== 'resolution') return [];
    return data.evidence.observations.flatMap((/** @type {Hex} */ id) => {
      const placed = this.fold.unchained(id, resource ?? '');
      return placed === undefined ? [] : [placed.event.by];
    });
  }

  /**
   * By the intent's own contract: a denied repeat leaves the claim of before, maybe under an earlier version.
   *
   * @param {Event} intent
   * @param {any} data
   */
  #compareRendering(intent, { shown }) {
    const contract = /** @type {Contract} */ (this.fold.governance.contracts.get(intent.data.contract_id));
    if (shown !== renderingDigest(intent, contract))
      this.#find('rendering-differs', 'what was shown is not render/1 of the intent');
  }

  /** @param {any} data @param {Before} before @param {Life} life */
  #comparePresence({ generation, evidence: { reference } }, { state }, life) {
    if (state === undefined) return;
    if (contradicts(state, generation)) {
      this.#find('contradiction', 'present after not_committed: the effect happened after all');
    }
    if (
      generation === committedMax(state) &&
      reference !== null &&
      life.reference !== null &&
      reference !== life.reference
    ) {
      this.#find('duplicate-effect', `a second object ${reference} under one tag, beside ${life.reference}`);
    }
  }

  /**
   * Judge before the recorded answer is read: of the verdict, only `policy_id` and `inputs` are.
   *
   * @param {Event} event
   * @param {EffectState | undefined} state
   */
  #judge(event, state) {
    const { kind, data } = event;
    if (kind !== 'intent' && kind !== 'start') return null;
    const intent = kind === 'intent' ? event : this.#lives.get(event.effect ?? '')?.intent;
    const contract = this.fold.governance.contracts.get(intent?.data.contract_id ?? '');
    const policy = this.fold.governance.policies.get(data.verdict.policy_id);
    if (!intent || contract === undefined || policy === undefined) return null;
    const generation = (state?.generation ?? 1) + (kind === 'intent' && data.again !== null ? 1 : 0);
    return judge(policy, factsOf(contract, intent, generation), data.verdict.inputs);
  }

  /** @param {Event} intent @param {Event} event  the intent itself, or its START @param {Before} before */
  #compareVerdict(intent, event, { state, now, own: judged }) {
    const { contracts, policies } = this.fold.governance;
    const contract = /** @type {Contract} */ (contracts.get(intent.data.contract_id));
    const verdict = /** @type {Verdict} */ (event.data.verdict);
    const policy = /** @type {Policy} */ (policies.get(verdict.policy_id));
    const { inputs } = verdict;
    if (judged === null) this.#find('policy-unchecked', `no engine ${policy.engine} here: the verdict is not checked`);
    else if (
      judged.answer !== verdict.answer ||
      judged.rule !== verdict.rule ||
      judged.approvals !== verdict.approvals
    ) {
      this.#find(
        'verdict-differs',
        `recorded ${verdict.answer} by ${verdict.rule}, replayed ${judged.answer} by ${judged.rule}`,
      );
    }
    if (inputs.get('now_ms') !== now)
      this.#find('now-differs', `the verdict says now is ${inputs.get('now_ms')} ms, the log says ${now} ms`);
    const inline = /** @type {ValueMap} */ (inputs.get('snapshot'));
    const unseen = event.data.snapshot_id === null && inline.size > 0;
    const unread = judged !== null && [...inline.keys()].some((name) => !policy.snapshotFields.has(name));
    if (unseen || unread) this.#find('inputs-differ', "the verdict's inputs are not those that the policy reads");
    const own = countedEvent(intent, contract, now);
    const claim = state !== undefined && OPEN.includes(state.status) ? (state.claim?.id ?? null) : null;
    this.#compareBudgets(policy, inputs.get('budgets'), { own, claim, now, index: this.fold.index });
    const { snapshot_id: started } = event.data;
    if (started === null) return;
    this.#name(started, { size: null, contract, inline, reads: policy.snapshotFields });
    const { snapshot_id: decided } = intent.data;
    if (decided === null || decided === started) return;
    this.#drifts.push({ index: this.fold.index, decided, started, contract });
    this.#snapshots.set(snapshotOf(contract, decided), null).set(snapshotOf(contract, started), null);
  }

  /** @param {Policy} policy @param {ValueMap} recorded @param {import('./budget.js').Call} call */
  #compareBudgets({ budgets }, recorded, call) {
    if (budgets.size === 0) {
      if (recorded.size > 0)
        this.#find('budgets-differ', 'the verdict says what budgets count, and its policy has none');
    } else if (this.spending?.holds(budgets, recorded, call) === false) {
      this.#find('budgets-differ', "the verdict's budgets are not what is counted at this leaf");
    }
  }

  /** @param {Event} event @param {Before} before @param {EffectState} after */
  #count(event, { state, now }, after) {
    if (this.spending === null) return;
    const change = changeOf(state ?? freeEffect(after.effect, after.resource), after, event.id);
    if (change === null) return;
    const contract = this.fold.governance.contracts.get(event.data.contract_id ?? '');
    const own = change.id === event.id && contract !== undefined ? countedEvent(event, contract, now) : null;
    this.spending.note(this.fold.index, change, own);
  }

  /** @param {Hex} id @param {Snapshot} snapshot @param {Named} named @param {Contract} contract @param {Reader} profile */
  #checkSnapshot(id, snapshot, { index, inline, reads }, contract, profile) {
    const fault = snapshot.fault(contract.id, profile);
    if (fault !== null) {
      this.find('snapshot-invalid', index, fault);
      return;
    }
    const { fields } = snapshot;
    const place = snapshotOf(contract, id);
    if (this.#snapshots.has(place)) this.#snapshots.set(place, fields);
    const read = [...reads].filter((name) => fields.has(name));
    for (const name of new Set([...inline.keys(), ...read])) {
      const there = fields.has(name) && inline.has(name);
      if (!there || !sameBytes(snapshot.encoded(name), il1.encode(inline.get(name)))) {
        this.find('inputs-differ', index, `the verdict's snapshot field ${name} is not the snapshot's`);
      }
    }
  }
}

/** A snapshot as one contract's profile has it. @param {Contract} contract @param {Hex} id */
const snapshotOf = (contract, id) => `${contract.id} ${id}`;

/**
 * Whether an event settled its effect: a claim that returns to where it came from settles nothing.
 *
 * @param {Event} event
 * @param {Before} before
 * @param {EffectState} after
 */
const settledBy = ({ kind }, { state }, after) =>
  SETTLED.includes(after.status) &&
  (state === undefined || state.status !== after.status || state.generation !== after.generation) &&
  kind !== 'denial' &&
  kind !== 'release';

/**
 * Whether a presence of this generation shows that the last closing, as not committed, was wrong. A claim has sent
 * nothing, so that what was there before it is contradicted.
 *
 * @param {EffectState | undefined} state
 * @param {number} generation
 */
function contradicts(state, generation) {
  if (state === undefined) return false;
  const claimed = state.status === CLAIMED;
  const status = claimed ? state.baseStatus : state.status;
  return status === NOT_COMMITTED && generation === (claimed ? state.baseGeneration : state.generation);
}

/** Every `{attachment, size}` that an event's data names. @param {Event} event @returns {Reference[]} */
function referencesOf({ kind, data }) {
  if (kind === 'intent') return [...data.content.values()].flatMap(referenceIn);
  const named = ['outcome', 'resolution', 'observation'].includes(kind) ? data.evidence.attachment : data.attachment;
  return named ? [named] : [];
}

/** @param {Value} value @returns {Reference[]} */
function referenceIn(value) {
  if (!(value instanceof Map) || value.size !== 2) return [];
  const attachment = value.get('attachment');
  const size = value.get('size');
  const isReference = attachment instanceof Uint8Array && attachment.length === 32 && typeof size === 'number';
  return isReference ? [{ attachment: toHex(attachment), size }] : [];
}
