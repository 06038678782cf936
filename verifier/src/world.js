/** What a judgement may know beside the event: one effect's state, and the rest of the log behind `World`. */
import { FREE } from './kind.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./event.js').Event} Event */
/** @typedef {import('./governance.js').Governance} Governance */
/** An event that stands in the log. @typedef {{ index: number, event: Event }} Placed */
/** An event's leaf, and the tree's root before it; null where that is not known, as in a receipt.
 * @typedef {{ index: number, root: Uint8Array | null }} Position */
/** The latest intent of the current generation. `approvals`: how many its verdict wants, 0 for allow.
 * @typedef {{
 *   id: Hex, index: number, issuer: Hex, contractId: Hex, request: Hex, decisionKey: Hex, asks: boolean,
 *   approvals: number,
 * }} Claim */
/** The START of the current attempt; `lastIndex` is the leaf of its last send: itself, or a later re-drive.
 * @typedef {{ id: Hex, index: number, by: Hex, nonceHash: Hex, lastIndex: number, redriven: boolean }} Send */
/**
 * What the log says of one effect. `last`: its chain's head, `lastIndex` that leaf; `attempt` counts accepted intents
 * over all generations, `turn` the provider keys burnt in this one; `committed`: the committed generations,
 * ascending; `base…`: where a claim came from; `sealedRequest`: the request that an `after` must repeat, null where
 * it need not; `tainted`: the leaf of the recovery that made the status unknown; `absorbed`: how many recoveries are
 * accounted for.
 * @typedef {{
 *   effect: Hex, resource: string, effectClass: string, status: string, generation: number, attempt: number,
 *   turn: number,
 *   last: Hex | null, lastIndex: number, committed: number[], baseStatus: string, baseGeneration: number,
 *   baseClaim: Claim | null, claim: Claim | null, send: Send | null, sealedRequest: Hex | null, tainted: number | null,
 *   absorbed: number,
 * }} EffectState
 */
/**
 * The log as it stands just before the event's leaf, which is `index`; `root` is the tree's root there. `now`: the
 * time of the last tick, 0 where there is none; `lo`, `hi`: of the last tick before a leaf and the first one that
 * covers it; null: none came yet, so nothing has passed since. `lastTick`: the leaf of the last tick, -1 without one.
 * @typedef {{
 *   index: number, root: Uint8Array | null, governance: Governance,
 *   now(): number, lo(index: number): number, hi(index: number): number | null, lastTick(): number,
 *   effect(effect: Hex, resource: string): EffectState, stateHash(resource: string): Hex,
 *   chained(effect: Hex, id: Hex): Placed | undefined, unchained(id: Hex, resource: string): Placed | undefined,
 *   startedBy(effect: Hex, key: Hex): boolean,
 * }} World
 */

/** An effect that no event has moved yet. @param {Hex} effect @param {string} resource @returns {EffectState} */
export const freeEffect = (effect, resource) => ({
  effect,
  resource,
  effectClass: '',
  status: FREE,
  generation: 1,
  attempt: 0,
  turn: 0,
  last: null,
  lastIndex: -1,
  committed: [],
  baseStatus: FREE,
  baseGeneration: 1,
  baseClaim: null,
  claim: null,
  send: null,
  sealedRequest: null,
  tainted: null,
  absorbed: 0,
});

/** The highest committed generation, 0 while there is none. @param {EffectState} state */
export const committedMax = ({ committed }) => committed.at(-1) ?? 0;
