/** What was seen of the world when a decision was made, and where two such snapshots first differ. */
import { compareBytes, sameBytes } from './bytes.js';
import * as il1 from './il1.js';

/** @typedef {import('./il1.js').Value} Value */
/** @typedef {import('./il1.js').ValueMap} ValueMap */

/**
 * The path at which two snapshots first differ, in encoded order, outside the fields that a contract lets drift; null:
 * there is none.
 *
 * @param {ValueMap} before
 * @param {ValueMap} after
 * @param {string[]} mayDrift
 */
export function drifted(before, after, mayDrift) {
  const [kept, found] = [before, after].map(
    (fields) => new Map([...fields].filter(([name]) => !mayDrift.includes(name))),
  );
  return difference(kept, found);
}

/**
 * The path at which two values first differ, or null: fields in encoded order, items by position.
 *
 * @param {Value | undefined} one  undefined: it is not there, which null is not
 * @param {Value | undefined} other
 * @returns {string | null}
 */
export function difference(one, other, path = '$') {
  if (one instanceof Map && other instanceof Map) {
    const names = [...new Set([...one.keys(), ...other.keys()])].sort((left, right) =>
      compareBytes(il1.encode(left), il1.encode(right)),
    );
    return firstOf(names, (name) => difference(one.get(name), other.get(name), `${path}.${name}`));
  }
  if (Array.isArray(one) && Array.isArray(other)) {
    const longer = one.length > other.length ? one : other;
    return firstOf([...longer.keys()], (at) => difference(one[at], other[at], `${path}[${at}]`));
  }
  const same = one instanceof Uint8Array && other instanceof Uint8Array ? sameBytes(one, other) : one === other;
  return same ? null : path;
}

/** The first answer that is not null. @template T @param {T[]} items @param {(item: T) => string | null} ask */
function firstOf(items, ask) {
  for (const item of items) {
    const found = ask(item);
    if (found !== null) return found;
  }
  return null;
}
