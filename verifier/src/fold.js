/**
 * Events in leaf order to the state of the whole log. An event that is not admitted moves nothing: it is void.
 *
 * It keeps every effect and resource, the ids of notes and ticks, and the approvals of open claims; no bodies.
 */
import { AUTHORITY, admit } from './admission.js';
import { compareBytes, fromHex, utf8 } from './bytes.js';
import * as digest from './digest.js';
import { OPEN, absorb } from './effect.js';
import { Refused, found } from './governance.js';
import { ABOUT_KINDS, CLAIMED, STARTED } from './kind.js';
import { MapHistory } from './map_history.js';
import { firstFrom } from './sorted.js';
import { freeEffect } from './world.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./admission.js').Admitted} Admitted */
/** @typedef {import('./event.js').Event} Event */
/** @typedef {import('./governance.js').Governance} Governance */
/** @typedef {import('./world.js').EffectState} EffectState */
/** @typedef {import('./world.js').Placed} Placed */
/** @typedef {import('./world.js').Position} Position */

/** The log's state after the leaves that were applied: the auditor's `World`. */
export class Fold {
  index = 0;
  /** @type {Uint8Array | null} */
  root = null;
  /** @type {Map<Hex, EffectState>} every effect with an event on its chain, as that event or a recovery moved it */
  effects = new Map();
  /** @type {Set<Hex>} those that are claimed or started */
  #running = new Set();
  /** @type {Governance | null} */
  #governance = null;
  /** @type {Map<string, Hex>} */
  #states = new Map();
  /** @type {{ index: number, time: number, covers: number }[]} in order */
  #times = [];
  /**
   * @type {Map<Hex, Placed | null>} every accepted event that stands on no chain; what nothing can name later is null
   */
  #unchained = new Map();
  /** @type {Map<Hex, Map<Hex, Placed>>} approvals of open claims, by effect */
  #approvals = new Map();
  /** @type {Map<Hex, Set<Hex>>} the keys of every START, by effect */
  #starters = new Map();
  #map = new MapHistory();
  #shown;

  /** @param {{ shown?: Hex | null }} [options]  the one effect whose events are applied, as in a receipt; null: all are */
  constructor({ shown = null } = {}) {
    this.#shown = shown;
  }

  get governance() {
    if (this.#governance === null) throw new Error('a fold begins with genesis');
    return this.#governance;
  }

  /** Whether there was a genesis. */
  get begun() {
    return this.#governance !== null;
  }

  /** Whether a tick has been applied: before the first one the log has no time. */
  get ticked() {
    return this.#times.length > 0;
  }

  now() {
    return this.#times.at(-1)?.time ?? 0;
  }

  /** @param {number} index */
  lo(index) {
    const after = this.#firstTickFrom(index);
    return after === 0 ? 0 : this.#times[after - 1].time;
  }

  /** @param {number} index */
  hi(index) {
    return this.#times[firstFrom(this.#times, index + 1, (tick) => tick.covers)]?.time ?? null; // they ascend
  }

  lastTick() {
    return this.#times.at(-1)?.index ?? -1;
  }

  /** @param {Hex} effect @param {string} resource */
  effect(effect, resource) {
    const known = this.effects.get(effect);
    if (known !== undefined) return absorb(known, this.governance.recoveries);
    // Of an effect that is not shown nothing is known, so nothing is held against it, nor a recovery.
    const absorbed = this.#shown === null || this.#shown === effect ? 0 : this.governance.recoveries.length;
    return { ...freeEffect(effect, resource), absorbed };
  }

  /** @param {string} resource */
  stateHash(resource) {
    return this.#states.get(resource) ?? digest.stateZero(this.governance.logId, resource);
  }

  /** @param {Hex} effect @param {Hex} id */
  chained(effect, id) {
    return this.#approvals.get(effect)?.get(id);
  }

  /** @param {Hex} id @param {string} resource */
  unchained(id, resource) {
    const placed = this.#unchained.get(id) ?? undefined;
    return placed?.event.kind === 'tick' || placed?.event.resource === resource ? placed : undefined;
  }

  /** @param {Hex} effect @param {Hex} key */
  startedBy(effect, key) {
    return this.#starters.get(effect)?.has(key) ?? false;
  }

  /**
   * What the event at a leaf left behind, or why it is void.
   *
   * @param {Event} event
   * @param {Position} position
   * @returns {Promise<Admitted | Refused>}
   */
  async apply(event, { index, root }) {
    this.index = index;
    this.root = root;
    if (this.#governance === null) return this.#begin(event);
    const admitted = await admit(event, this);
    const unauthorised = admitted instanceof Refused && AUTHORITY.includes(admitted.code);
    if (this.#unchained.has(event.id) && !unauthorised)
      return new Refused('duplicate', 'this very event stands at an earlier leaf');
    if (!(admitted instanceof Refused)) this.#keep(event, admitted);
    return admitted;
  }

  /**
   * Take a resource's state hash on trust: a receipt shows one effect, not its resource's other decisions.
   *
   * @param {string} resource
   * @param {Hex} state
   */
  assume(resource, state) {
    this.#states.set(resource, state);
  }

  /** The hash of everything that was derived: two replays agree on it or one of them is wrong. @param {number} size */
  stateRoot(size) {
    const effects = this.sortedEffects().map(({ effect, status, generation, attempt, last }) => [
      fromHex(effect),
      status,
      generation,
      attempt,
      fromHex(/** @type {Hex} */ (last)),
    ]);
    const resources = [...this.#states]
      .map(([name, state]) => ({ name, bytes: utf8(name), state }))
      .sort((one, other) => compareBytes(one.bytes, other.bytes))
      .map(({ name, state }) => [name, fromHex(state)]);
    return digest.stateRoot(size, this.governance.head, effects, resources);
  }

  /** The roots of the map after so many leaves, in ascending order. @param {number[]} sizes */
  mapRoots(sizes) {
    return this.#map.roots(sizes);
  }

  /** The effects by key. */
  sortedEffects() {
    return [...this.effects.values()].sort((one, other) => (one.effect < other.effect ? -1 : 1));
  }

  /** @param {Event} event */
  #begin(event) {
    const governance = found(event);
    if (governance instanceof Refused) return governance;
    this.#governance = governance;
    return { governance };
  }

  /** @param {Event} event @param {Admitted} admitted */
  #keep(event, { governance, effect, stateHash }) {
    if (governance !== undefined) this.#keepGovernance(governance);
    if (effect !== undefined) this.#keepEffect(event, effect);
    if (stateHash !== undefined && event.resource !== null) this.#states.set(event.resource, stateHash);
    const placed = { index: this.index, event };
    if (event.kind === 'tick') {
      const { time_ms: time, covers } = event.data;
      this.#times.push({ index: this.index, time: Math.max(time, this.now()), covers });
      this.#unchained.set(event.id, placed);
    } else if (ABOUT_KINDS.includes(event.kind) || event.kind === 'refusal') {
      this.#unchained.set(event.id, event.kind === 'observation' ? placed : null);
    }
  }

  /**
   * A recovery moves what is claimed or started at once; what is unknown already absorbs it when it is next read, and
   * all others pay at their first intent.
   *
   * @param {Governance} governance
   */
  #keepGovernance(governance) {
    const { recoveries } = governance;
    if (recoveries.length > this.governance.recoveries.length) {
      for (const key of this.#running) {
        const absorbed = absorb(/** @type {EffectState} */ (this.effects.get(key)), recoveries);
        this.effects.set(key, absorbed);
        this.#map.note(this.index, absorbed);
      }
      this.#running.clear();
    }
    this.#governance = governance;
  }

  /** @param {Event} event @param {EffectState} state */
  #keepEffect(event, state) {
    const placed = { index: this.index, event };
    this.effects.set(state.effect, state);
    this.#map.note(this.index, state);
    if ([CLAIMED, STARTED].includes(state.status)) this.#running.add(state.effect);
    else this.#running.delete(state.effect);
    if (!OPEN.includes(state.status)) this.#approvals.delete(state.effect);
    else if (event.kind === 'approval') valueOf(this.#approvals, state.effect, () => new Map()).set(event.id, placed);
    if (event.kind === 'start') valueOf(this.#starters, state.effect, () => new Set()).add(event.by);
  }

  /** How many ticks stand before a leaf. @param {number} index */
  #firstTickFrom(index) {
    return firstFrom(this.#times, index, (tick) => tick.index);
  }
}

/**
 * @template K, V
 * @param {Map<K, V>} map
 * @param {K} key
 * @param {() => V} make
 * @returns {V}
 */
function valueOf(map, key, make) {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
