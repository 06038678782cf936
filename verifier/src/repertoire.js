/**
 * The code points that text may hold: those assigned in Unicode 13.0.0.
 *
 * Whether text is in NFC is settled for assigned code points and for no others; a fixed repertoire gives every
 * reader, of whatever age, one answer. Surrogates are not in it.
 */
import { ASSIGNED } from './repertoire-ranges.js';
import { firstFrom } from './sorted.js';

const FIRSTS = /** @type {number[]} */ ([]);
const LASTS = /** @type {number[]} */ ([]);
for (const range of ASSIGNED.trim().split(/\s+/)) {
  const [first, last = first] = range.split('-');
  FIRSTS.push(parseInt(first, 16));
  LASTS.push(parseInt(last, 16));
}

/** The ranges as [first, last], ascending and not touching. */
export const assignedRanges = () => FIRSTS.map((first, at) => [first, LASTS[at]]);

/**
 * Whether every code point of `text` is assigned in Unicode 13.0.0; a lone surrogate is not.
 *
 * @param {string} text
 */
export function inRepertoire(text) {
  for (const character of text) {
    if (!isAssigned(/** @type {number} */ (character.codePointAt(0)))) return false;
  }
  return true;
}

/** @param {number} point */
function isAssigned(point) {
  const after = firstFrom(FIRSTS, point + 1, (first) => first);
  return after > 0 && point <= LASTS[after - 1];
}
