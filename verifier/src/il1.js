/**
 * IL1, the one deterministic CBOR encoding of a value: RFC 8949 §4.2 with null, booleans, integers to 2^53 - 1, byte
 * strings, text, arrays and maps with text keys, and nothing else.
 *
 * cborg parses, one walk checks the model, and encoding again must give back the bytes that were read. Maps are
 * `Map`s.
 */
import { Tokenizer, Type, decodeFirst, encode as write } from 'cborg';
import { sameBytes, toHex } from './bytes.js';
import { CutError, MalformedError } from './errors.js';
import { INTEGER_MAX, ITEM_BYTES_MAX, MAP_KEY_BYTES_MAX, NESTING_MAX } from './limits.js';
import { inRepertoire } from './repertoire.js';

/** @typedef {null | boolean | number | string | Uint8Array | Value[] | ValueMap} Value */
/** @typedef {Map<string, any>} ValueMap  text to Value; TypeScript has no recursive alias through Map */

const OPTIONS = {
  strict: true,
  useMaps: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  rejectDuplicateMapKeys: true,
  retainStringBytes: true,
};
const BYTE_STRING = 2;
const ARRAY = 4;
/** Of a head whose low five bits say so: how many bytes of its number follow, and the least that needs so many. */
const LONG_HEADS = new Map([
  [24, { width: 1, least: 24 }],
  [25, { width: 2, least: 2 ** 8 }],
  [26, { width: 4, least: 2 ** 16 }],
  [27, { width: 8, least: 2 ** 32 }],
]);
const LONGEST = 27;
/** UTF-16 code units; each part begins with the last two code points of the one before it. */
const NFC_PART = 64;
const NFC_OVERLAP = 4;
const ASCII = /^[\0-\x7f]*$/;
// cborg tells these two faults from all others by their words only.
const ENDED = /not enough (?:data|entries)|did not find any content/;
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf8Encoder = new TextEncoder();

/**
 * The one encoding of `value`, at most `bytesMax` bytes; maps may hold their keys in any order.
 *
 * @param {Value} value
 * @param {{ bytesMax?: number }} [options]
 * @returns {Uint8Array}
 */
export function encode(value, { bytesMax = ITEM_BYTES_MAX } = {}) {
  check(value, '$', NESTING_MAX);
  const raw = write(value);
  if (raw.length > bytesMax) throw new MalformedError(`$: ${raw.length} bytes encoded, want at most ${bytesMax}`);
  return raw;
}

/**
 * The bytes that begin an array of `count` items, for an array too long to be encoded whole.
 *
 * @param {number} count
 */
export function arrayHead(count) {
  const head = encode(count).slice();
  head[0] |= 0x80; // the head of the number itself, with major type 4
  return head;
}

/**
 * The value whose encoding is `raw`. The size is judged before anything is parsed.
 *
 * @param {Uint8Array} raw
 * @param {{ bytesMax?: number }} [options]
 * @returns {Value}
 */
export function decode(raw, { bytesMax = ITEM_BYTES_MAX } = {}) {
  if (raw.length > bytesMax) throw new MalformedError(`$: ${raw.length} bytes, want at most ${bytesMax}`);
  const { value, end } = parseWhole(raw);
  if (end !== raw.length) throw new MalformedError(`$: ${raw.length - end} bytes after the item, want none`);
  return value;
}

/** Bytes that are here in full were not cut, whatever they say of their length. @param {Uint8Array} raw */
function parseWhole(raw) {
  try {
    return parse(raw, '$');
  } catch (error) {
    throw error instanceof CutError ? new MalformedError(error.message) : error;
  }
}

/**
 * The item that begins at `offset` of a CBOR sequence, and where the next one begins; null where the bytes end there.
 *
 * @param {Uint8Array} raw
 * @param {number} offset
 * @param {{ bytesMax?: number }} [options]
 * @returns {{ value: Value, end: number } | null}
 */
export function decodeItem(raw, offset, { bytesMax = ITEM_BYTES_MAX } = {}) {
  if (offset === raw.length) return null;
  const where = `item at byte ${offset}: $`;
  const within = raw.subarray(offset, offset + bytesMax);
  try {
    const { value, end } = parse(within, where);
    return { value, end: offset + end };
  } catch (error) {
    // What cannot fit into its bound is malformed, whether or not the file goes on for so long.
    const tooLong =
      error instanceof CutError &&
      (within.length < raw.length - offset || declaredEnd(within, error.offset) > bytesMax);
    throw tooLong ? new MalformedError(`${where}: more than ${bytesMax} bytes, want at most that`) : error;
  }
}

/**
 * How many items the array at `offset` has, and where the first begins: for an array too long to be parsed whole.
 *
 * @param {Uint8Array} raw
 * @param {number} offset
 * @returns {{ value: number, end: number }}
 */
export function readArrayHead(raw, offset) {
  return readHead(raw, offset, ARRAY, 'the head of an array');
}

/**
 * The byte string at `offset`, not copied, and where the next item begins.
 *
 * @param {Uint8Array} raw
 * @param {number} offset
 * @param {{ bytesMax: number }} options
 * @returns {{ value: Uint8Array, end: number }}
 */
export function readByteString(raw, offset, { bytesMax }) {
  const { value: size, end: start } = readHead(raw, offset, BYTE_STRING, 'a byte string');
  const where = `byte ${start}`;
  if (size > bytesMax) throw new MalformedError(`${where}: a byte string of ${size} bytes, want at most ${bytesMax}`);
  const end = start + size;
  if (end > raw.length) throw new CutError(`${where}: the bytes end, want all ${size} of a byte string`);
  return { value: raw.subarray(start, end), end };
}

/**
 * The number in the head at `offset` (RFC 8949 §3); of one past 2^53 about that.
 *
 * @param {Uint8Array} raw
 * @param {number} offset
 * @param {number} major
 * @param {string} wanted
 */
function readHead(raw, offset, major, wanted) {
  const short = (raw[offset] ?? 0) & 0x1f;
  const { width, least } = LONG_HEADS.get(short) ?? { width: 0, least: 0 };
  const end = offset + 1 + width;
  if (end > raw.length) throw new CutError(`byte ${offset}: the bytes end, want ${wanted}`);
  const value = width ? raw.subarray(offset + 1, end).reduce((number, byte) => number * 256 + byte, 0) : short;
  if (raw[offset] >> 5 !== major || short > LONGEST || value < least) {
    const found = toHex(raw.subarray(offset, end));
    throw new MalformedError(`byte ${offset}: found ${found}, want ${wanted}, its length in the shortest form`);
  }
  return { value, end };
}

/**
 * The item that `raw` begins with.
 *
 * @param {Uint8Array} raw
 * @param {string} where
 * @returns {{ value: Value, end: number }}
 */
function parse(raw, where) {
  const tokenizer = new StrictTokenizer(raw, OPTIONS);
  let value;
  try {
    [value] = decodeFirst(raw, { ...OPTIONS, tokenizer });
  } catch (error) {
    // Its own errors, a RangeError where arrays nest until the stack ends, a TypeError for bytes that are not UTF-8.
    const reason = error instanceof Error ? error.message : String(error);
    const offset = tokenizer.pos();
    const message = `${where}: stopped after ${offset} bytes: ${reason.slice(0, 120)}, want one IL1 item`;
    throw ENDED.test(reason) ? new CutError(message, offset) : new MalformedError(message);
  }
  check(value, where, NESTING_MAX);
  const end = tokenizer.pos();
  if (!sameBytes(write(value), raw.subarray(0, end))) {
    throw new MalformedError(`${where}: not the one encoding of its value, want shortest heads and keys in order`);
  }
  return { value, end };
}

/**
 * Where the byte string or text at `at` says that it ends; `at` for anything else.
 *
 * @param {Uint8Array} raw
 * @param {number} at
 */
function declaredEnd(raw, at) {
  if (at >= raw.length || ![2, 3].includes(raw[at] >> 5)) return at;
  const head = raw.slice(at, at + 9);
  head[0] &= 0x1f; // its length is written as a number is, under another major type
  const tokenizer = new Tokenizer(head, OPTIONS);
  try {
    const length = Number(tokenizer.next().value);
    return at + tokenizer.pos() + length;
  } catch {
    return at; // the head itself was cut
  }
}

/** cborg's tokens, with tags refused before their content is read and text exactly as its bytes say. */
class StrictTokenizer extends Tokenizer {
  next() {
    const token = super.next();
    if (Type.equals(token.type, Type.tag)) throw new MalformedError(`tag ${token.value}`);
    // cborg drops a U+FEFF at the beginning of text and repairs bytes that are not UTF-8: both would be other text.
    if (token.byteValue !== undefined) token.value = utf8Decoder.decode(token.byteValue);
    return token;
  }
}

/**
 * Throw unless the value is in the model; `room` is how many levels may open here.
 *
 * @param {unknown} value
 * @param {string} path
 * @param {number} room
 */
function check(value, path, room) {
  if (typeof value === 'string') checkText(value, path);
  else if (typeof value === 'number') checkInteger(value, path);
  else if (Array.isArray(value)) {
    checkRoom(path, room);
    value.forEach((item, at) => check(item, `${path}[${at}]`, room - 1));
  } else if (value instanceof Map) {
    checkRoom(path, room);
    for (const [key, item] of value) {
      checkKey(key, path);
      check(item, `${path}.${key}`, room - 1);
    }
  } else if (value !== null && typeof value !== 'boolean' && !(value instanceof Uint8Array)) {
    throw new MalformedError(
      `${path}: ${typeof value}, want null, a boolean, an integer, bytes, text, an array or a map`,
    );
  }
}

/** @param {number} value @param {string} path */
function checkInteger(value, path) {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
    throw new MalformedError(`${path}: ${value}, want an integer from -${INTEGER_MAX} to ${INTEGER_MAX}`);
  }
}

/** @param {string} path @param {number} room */
function checkRoom(path, room) {
  if (room === 0)
    throw new MalformedError(`${path.slice(0, 200)}: nested deeper than ${NESTING_MAX}, want at most that`);
}

/** @param {unknown} key @param {string} path */
function checkKey(key, path) {
  if (typeof key !== 'string') throw new MalformedError(`${path}: a map key of type ${typeof key}, want text`);
  checkText(key, path);
  const size = ASCII.test(key) ? key.length : utf8Encoder.encode(key).length;
  if (size < 1 || size > MAP_KEY_BYTES_MAX) {
    throw new MalformedError(`${path}: a map key of ${size} bytes, want 1 to ${MAP_KEY_BYTES_MAX}`);
  }
}

/** Throws unless a text is in the repertoire and in NFC. @param {string} text @param {string} path */
export function checkText(text, path) {
  if (ASCII.test(text)) return;
  if (!inRepertoire(text)) throw new MalformedError(`${path}: text with a code point outside Unicode 13.0.0`);
  // Settled for every engine: no later Unicode may change the normal form of what 13.0.0 assigns.
  if (!inNormalForm(text)) throw new MalformedError(`${path}: text that is not in NFC, want NFC`);
}

/**
 * Whether a text in the repertoire is in NFC: `text.normalize('NFC') === text`, in time that grows as the text does.
 *
 * Engines sort marks by insertion, which takes n * n steps for n of them. But every part of a text in NFC is in NFC
 * itself (UAX #15), and two neighbours in the wrong order are in one part: once all parts have passed, nothing is
 * left to be sorted but the few marks that one letter decomposes to.
 *
 * @param {string} text
 */
function inNormalForm(text) {
  for (let at = 0; at < text.length; at += NFC_PART - NFC_OVERLAP) {
    if (!isNormalized(text.slice(at, at + NFC_PART))) return false;
  }
  return isNormalized(text);
}

/** @param {string} text */
const isNormalized = (text) => text.normalize('NFC') === text;
