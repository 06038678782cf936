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

  /** An event at a leaf left this effect in this state. @param {number} index @param {EffectState} state */
  note(index, { effect, status, generation, committed, last, lastIndex }) {
    const value = mapValue(status, generation, committed, /** @type {string} */ (last), lastIndex);
    this.#changes.push({ index, key: fromHex(effect), value });
  }

  /** The 32-byte root after each of these numbers of leaves, which ascend: the tree is built once. @param {number[]} sizes */
  roots(sizes) {
    let tree = new PrefixTree();
    let applied = 0;
    return sizes.map((size) => {
      for (let next = this.#changes[applied]; next !== undefined && next.index < size; next = this.#changes[applied]) {
        tree = tree.put(next.key, next.value);
        applied += 1;
      }
      return tree.root();
    });
  }
}
