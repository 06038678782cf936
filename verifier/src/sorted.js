/** Lists in ascending order. */

/**
 * The place of the first item whose number is at least `least`, the list's length where there is none.
 *
 * @template T
 * @param {readonly T[]} items
 * @param {number} least
 * @param {(item: T) => number} numberOf
 */
export function firstFrom(items, least, numberOf) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numberOf(items[middle]) < least) low = middle + 1;
    else high = middle;
  }
  return low;
}
