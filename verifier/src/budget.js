/**
 * What budgets count: intents of the whole log, from their own leaf until it is known that they do nothing.
 *
 * `Spending` is kept beside the fold. It is asked whether what a verdict recorded is what is counted at its leaf.
 */
import { OPEN } from './effect.js';
import { INTEGER_MAX } from './limits.js';
import { committedMax } from './world.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./il1.js').ValueMap} ValueMap */
/** @typedef {import('./contract.js').Contract} Contract */
/** @typedef {import('./event.js').Event} Event */
/** @typedef {import('./policy.js').Budget} Budget */
/** @typedef {import('./world.js').EffectState} EffectState */
/** An intent, or a presence that no intent explains; `at` is lo of its leaf.
 * @typedef {{ id: Hex, at: number, effectClass: string, resource: string, amounts: ValueMap }} Counted */
/** The event that begins to count, or ceases to. @typedef {{ id: Hex, counts: boolean }} Change */
/** The judged call: its own intent, and that intent's id where it holds the claim already.
 * @typedef {{ own: Counted, claim: Hex | null, now: number, index: number }} Call */

/** What an intent, or a resolution present, counts as. @param {Event} event @param {Contract} contract @param {number} at @returns {Counted} */
export const countedEvent = ({ id, kind, resource, data }, { effectClass }, at) => ({
  id,
  at,
  effectClass,
  resource: resource ?? '',
  amounts: kind === 'intent' ? new Map([...data.identity, ...data.content]) : new Map(),
});

/**
 * What an accepted event changes for budgets: at most one thing.
 *
 * @param {EffectState} before
 * @param {EffectState} after
 * @param {Hex} id
 * @returns {Change | null}
 */
export function changeOf(before, after, id) {
  const wasOpen = OPEN.includes(before.status);
  if (after.attempt > before.attempt) return { id, counts: true };
  if (committedMax(after) > committedMax(before)) {
    if (wasOpen && before.generation === after.generation) return null; // it counts since it was claimed
    return { id: after.claim?.id ?? id, counts: true };
  }
  if (!wasOpen || OPEN.includes(after.status) || before.claim === null) return null;
  return { id: before.claim.id, counts: false };
}

/** Everything that budgets can count, in leaf order; the tallies of budgets that nobody reads cost nothing. */
export class Spending {
  /** @type {Map<Hex, Counted>} */
  #known = new Map();
  /** @type {{ index: number, change: Change }[]} */
  #changes = [];
  /** @type {Map<string, Tally>} by what the budget says */
  #tallies = new Map();

  /** @param {number} index @param {Change} change @param {Counted | null} own  the event at the leaf, if it counts */
  note(index, change, own) {
    if (own !== null) this.#known.set(own.id, own);
    this.#changes.push({ index, change });
  }

  /**
   * Whether a verdict's `budgets` are what is counted before a leaf, and nothing has changed since their `as_of`.
   *
   * @param {Map<string, Budget>} budgets
   * @param {ValueMap} recorded
   * @param {Call} call
   */
  holds(budgets, recorded, call) {
    const tallies = [...budgets].map(([name, budget]) => ({ name, tally: this.#tally(budget) }));
    const valued = tallies.map((each) => ({ ...each, value: each.tally.value(call) }));
    const said = valued.filter(({ value }) => value !== null);
    return (
      said.length === recorded.size &&
      said.every(({ name, tally, value }) => {
        const asOf = recorded.get(name)?.get('as_of');
        return recorded.get(name)?.get('value') === value && tally.moved(call) < asOf && asOf <= call.index;
      })
    );
  }

  /** @param {Budget} budget */
  #tally(budget) {
    const key = JSON.stringify([budget.effect_class, budget.prefix, budget.each, budget.sum, budget.window_ms]);
    const tally = this.#tallies.get(key) ?? new Tally(budget);
    this.#tallies.set(key, tally);
    for (; tally.applied < this.#changes.length; tally.applied += 1) {
      const { index, change } = this.#changes[tally.applied];
      tally.apply(index, change, /** @type {Counted} */ (this.#known.get(change.id)));
    }
    return tally;
  }
}

/** @typedef {{ sum: bigint, unknown: number, moved: number, began: Hex | null, before: number }} Group */

/** One budget, counted so far: in one group, or in one for each resource. Time only goes on. */
class Tally {
  applied = 0;
  /** @type {Map<string, Group>} */
  #groups = new Map();
  /** @type {Map<Hex, Counted>} */
  #counting = new Map();
  /** @type {Counted[]} from #first on, by time: what may still leave the window */
  #byTime = [];
  #first = 0;

  /** @param {Budget} budget */
  constructor(budget) {
    this.budget = budget;
  }

  /** @param {number} index @param {Change} change @param {Counted} what */
  apply(index, { id, counts }, what) {
    if (!this.#covers(what)) return;
    const group = this.#group(what);
    Object.assign(group, { before: group.moved, moved: index, began: counts ? id : null });
    if (!counts) return this.#takeOut(id);
    this.#counting.set(id, what);
    this.#add(group, what, 1);
    let place = this.#byTime.length;
    while (place > this.#first && this.#byTime[place - 1].at > what.at) place -= 1;
    this.#byTime.splice(place, 0, what);
  }

  /** What it counts, the judged call once and whatever its age; null where that cannot be said. @param {Call} call */
  value({ own, claim, now }) {
    this.#passTo(now);
    const group = { ...this.#group(own) };
    const claimed = this.#counting.get(claim ?? '');
    if (claimed !== undefined) this.#add(group, claimed, -1);
    if (this.#covers(own)) this.#add(group, own, 1);
    return group.unknown === 0 && group.sum <= BigInt(INTEGER_MAX) ? Number(group.sum) : null;
  }

  /** The leaf that changed it last, other than by the call's own claim; -1: none did. @param {Call} call */
  moved({ own, claim }) {
    const { moved, began, before } = this.#group(own);
    return claim !== null && began === claim ? before : moved;
  }

  /** @param {Counted} what */
  #covers({ effectClass, resource }) {
    return ['*', effectClass].includes(this.budget.effect_class) && resource.startsWith(this.budget.prefix);
  }

  /** @param {Counted} what @returns {Group} */
  #group({ resource }) {
    const name = this.budget.each === 'resource' ? resource : '';
    const known = this.#groups.get(name);
    if (known !== undefined) return known;
    const made = { sum: 0n, unknown: 0, moved: -1, began: null, before: -1 };
    this.#groups.set(name, made);
    return made;
  }

  /** @param {Group} group @param {Counted} what @param {1 | -1} sign */
  #add(group, { amounts }, sign) {
    const found = this.budget.sum === null ? 1 : amounts.get(this.budget.sum);
    if (typeof found === 'number' && found >= 0) group.sum += BigInt(sign * found);
    else group.unknown += sign;
  }

  /** @param {Hex} id */
  #takeOut(id) {
    const what = this.#counting.get(id);
    if (what === undefined) return;
    this.#counting.delete(id);
    this.#add(this.#group(what), what, -1);
  }

  /** Let go of what is older than the window. @param {number} now */
  #passTo(now) {
    const { window_ms: window } = this.budget;
    if (window === null) return;
    for (; this.#first < this.#byTime.length && now > this.#byTime[this.#first].at + window; this.#first += 1) {
      this.#takeOut(this.#byTime[this.#first].id);
    }
  }
}
