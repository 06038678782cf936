/**
 * The map of effect keys to statuses as it was after any number of leaves: ticks may carry its root of an earlier
 * size.
 */
import { fromHex } from './bytes.js';
import { mapValue } from './digest.js';
import { PrefixTree } from './prefix_tree.js';

/** @typedef {import('./world.js').EffectState} EffectState */

export class MapHistory {
  /** @type {{ index: number, key: Uint8Array, value: Uint8Array }[]} in leaf order */
  #changes = [];
  #tree = new PrefixTree();
  #applied = 0;

  /** An event at a leaf left this effect in this state. @param {number} index @param {EffectState} state */
  note(index, { effect, status, generation, committed, last, lastIndex }) {
    const value = mapValue(status, generation, committed, /** @type {string} */ (last), lastIndex);
    this.#changes.push({ index, key: fromHex(effect), value });
  }

  /** The 32-byte root after the first `size` leaves. @param {number} size */
  rootAt(size) {
    const stands = this.#changes[this.#applied - 1];
    if (stands !== undefined && stands.index >= size) {
      this.#tree = new PrefixTree();
      this.#applied = 0;
    }
    for (
      let next = this.#changes[this.#applied];
      next !== undefined && next.index < size;
      next = this.#changes[this.#applied]
    ) {
      this.#tree = this.#tree.put(next.key, next.value);
      this.#applied += 1;
    }
    return this.#tree.root();
  }
}
