/**
 * Bytes: joined, compared, and to and from hex, text and base64.
 *
 * Inside this package an id, a key or a digest is its lower-case hex (`Hex`): such texts compare with `===`, sort as
 * the bytes do, and serve as keys of a `Map`.
 */
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js';

/** @typedef {string} Hex */

const encoder = new TextEncoder();

export const join = concatBytes;
export const toHex = bytesToHex;
export const fromHex = hexToBytes;

/** The same bytes, not copied, in no subclass: one may slice otherwise. @param {Uint8Array} bytes */
export const plain = (bytes) => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);

/** @param {string} text */
export const utf8 = (text) => encoder.encode(text);

/**
 * Negative, zero or positive as `one` sorts before, is, or sorts after `other`, byte by byte, a shorter prefix first.
 *
 * @param {Uint8Array} one
 * @param {Uint8Array} other
 */
export function compareBytes(one, other) {
  const shared = Math.min(one.length, other.length);
  for (let at = 0; at < shared; at += 1) {
    if (one[at] !== other[at]) return one[at] - other[at];
  }
  return one.length - other.length;
}

/**
 * @param {Uint8Array} one
 * @param {Uint8Array} other
 */
export const sameBytes = (one, other) => compareBytes(one, other) === 0;

/** @param {Uint8Array} bytes */
export function toBase64(bytes) {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/**
 * The bytes of standard base64 with padding, or null for any other spelling: `atob` alone skips spaces, takes text
 * without padding, and drops stray bits.
 *
 * @param {string} text
 * @returns {Uint8Array | null}
 */
export function fromBase64(text) {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return null;
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return toBase64(bytes) === text ? bytes : null;
}
