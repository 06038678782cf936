/** What was seen of the world when a decision was made, and where two such snapshots first differ. */
import { compareBytes, sameBytes } from './bytes.js';
import { MalformedError } from './errors.js';
import * as il1 from './il1.js';
import { BODY_BYTES_MAX } from './limits.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./il1.js').Value} Value */
/** @typedef {import('./il1.js').ValueMap} ValueMap */
/** @typedef {import('./schema.js').Reader} Reader */

/**
 * An attachment that is named as a snapshot: however many leaves name it, it is decoded once, checked once under each
 * contract, and each of its fields is encoded once.
 */
export class Snapshot {
  /** @type {Value | MalformedError | undefined} what its bytes say, or why they say nothing, once they are read */
  #value;
  /** @type {Map<Hex, string | null>} by contract */
  #faults = new Map();
  /** @type {Map<string, Uint8Array>} by name */
  #encoded = new Map();

  /** @param {Uint8Array} raw */
  constructor(raw) {
    this.raw = raw;
  }

  /** Its fields, where it has no fault. */
  get fields() {
    return /** @type {ValueMap} */ (this.#value);
  }

  /** Why it is no snapshot in a contract's profile; null: it is one. @param {Hex} contractId @param {Reader} profile */
  fault(contractId, profile) {
    const known = this.#faults.get(contractId);
    if (known !== undefined) return known;
    const value = (this.#value ??= readOrFault(() => il1.decode(this.raw, { bytesMax: BODY_BYTES_MAX })));
    const checked = value instanceof MalformedError ? value : readOrFault(() => profile(value, 'snapshot'));
    const fault = checked instanceof MalformedError ? checked.message : null;
    this.#faults.set(contractId, fault);
    return fault;
  }

  /** The bytes of a field that it has. @param {string} name */
  encoded(name) {
    const known = this.#encoded.get(name) ?? il1.encode(this.fields.get(name));
    this.#encoded.set(name, known);
    return known;
  }
}

/** What a reader returns, or why it refuses. @template T @param {() => T} read */
function readOrFault(read) {
  try {
    return read();
  } catch (error) {
    if (error instanceof MalformedError) return error;
    throw error;
  }
}

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
