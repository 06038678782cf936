/**
 * A log as one file: a CBOR sequence (RFC 8742) of IL1 items, a header, one item for each leaf, and a trailer with
 * the signed checkpoint and the attachments. A file without a trailer was cut.
 */
import { attachmentDigest } from './digest.js';
import { CutError, MalformedError } from './errors.js';
import { decodeItem, readArrayHead, readByteString } from './il1.js';
import { ATTACHMENT_BYTES_MAX, LEAF_ITEM_BYTES_MAX, NOTE_BYTES_MAX } from './limits.js';
import { HASH_BYTES, bitCount, isHash } from './merkle.js';

/** @typedef {import('./il1.js').Value} Value */
/** @typedef {{ origin: string, first: number, size: number, leftEdge: Uint8Array[] }} Header */
/** @typedef {{ body: Uint8Array, signature: Uint8Array }} Entry */
/** @typedef {{ id: string, raw: Uint8Array }} Attachment */
/** @typedef {{ note: Uint8Array, attachments: Iterable<Attachment> }} Trailer  attachments are read as they are asked for */

const MAGIC = 'invoke-log bundle 1';

/** Reads a bundle from its bytes: the header when it is made, then `entries`, then `trailer`. */
export class BundleReader {
  #raw;
  #offset = 0;

  /** @param {Uint8Array} raw */
  constructor(raw) {
    this.#raw = raw;
    this.header = readHeader(this.#next('bundle: the file is empty, want a header'));
  }

  /** Body and signature of each leaf in order, exactly as many as the header says. @returns {Generator<Entry>} */
  *entries() {
    const { first, size } = this.header;
    for (let index = first; index < size; index += 1) {
      const ended = `bundle: ends before leaf ${index}, want ${size} leaves and a trailer`;
      yield readEntry(this.#next(ended, LEAF_ITEM_BYTES_MAX), index);
    }
  }

  /** The trailer, after the last entry. @returns {Trailer} */
  trailer() {
    if (this.#offset === this.#raw.length)
      throw new CutError('bundle: ends after its last leaf, want a trailer with a checkpoint');
    const parts = this.#part(readArrayHead(this.#raw, this.#offset));
    if (parts === 0) throw new CutError('bundle: the trailer is empty, want [checkpoint, attachments]');
    if (parts !== 2) throw new MalformedError('bundle: the last item is not [checkpoint, attachments]');
    return { note: this.#byteString(NOTE_BYTES_MAX), attachments: this.#attachments() };
  }

  /** Each in order, and nothing behind the last. @returns {Generator<Attachment>} */
  *#attachments() {
    const count = this.#part(readArrayHead(this.#raw, this.#offset));
    for (let at = 0, before = ''; at < count; at += 1) {
      const raw = this.#byteString(ATTACHMENT_BYTES_MAX);
      const id = attachmentDigest(raw);
      if (id <= before) throw new MalformedError('bundle: attachments do not ascend by their BLAKE3, none twice');
      yield { id, raw };
      before = id;
    }
    if (this.#offset !== this.#raw.length)
      throw new MalformedError('bundle: found bytes after the trailer, want the end of the file');
  }

  /** @param {number} bytesMax */
  #byteString(bytesMax) {
    return this.#part(readByteString(this.#raw, this.#offset, { bytesMax }));
  }

  /** @template T @param {{ value: T, end: number }} read @returns {T} */
  #part({ value, end }) {
    this.#offset = end;
    return value;
  }

  /** @param {string} ended @param {number} [bytesMax] */
  #next(ended, bytesMax) {
    const item = decodeItem(this.#raw, this.#offset, { bytesMax });
    if (item === null) throw new CutError(ended);
    return this.#part(item);
  }
}

/** @param {Value} value @returns {Header} */
function readHeader(value) {
  if (!Array.isArray(value) || value.length !== 5 || value[0] !== MAGIC) {
    throw new MalformedError(`bundle: the first item is not [${MAGIC}, origin, first leaf, size, left edge]`);
  }
  const [, origin, first, size, leftEdge] = value;
  if (
    typeof origin !== 'string' ||
    typeof first !== 'number' ||
    typeof size !== 'number' ||
    first < 0 ||
    first >= size
  ) {
    throw new MalformedError('bundle: header wants an origin, and first leaf below size');
  }
  if (!Array.isArray(leftEdge) || leftEdge.length !== bitCount(first) || !leftEdge.every(isHash)) {
    throw new MalformedError(
      `bundle: header wants ${bitCount(first)} hashes of ${HASH_BYTES} bytes left of leaf ${first}`,
    );
  }
  return { origin, first, size, leftEdge };
}

/** @param {Value} value @param {number} index @returns {Entry} */
function readEntry(value, index) {
  if (Array.isArray(value) && value.length === 2 && value[0] instanceof Uint8Array) {
    const [body, signature] = value;
    if (signature instanceof Uint8Array) return { body, signature };
    if (Array.isArray(signature)) throw new CutError(`bundle: found the trailer where leaf ${index} should be`);
  }
  if (isEmpty(value)) throw new CutError(`bundle: found an empty trailer where leaf ${index} should be`);
  throw new MalformedError(`bundle: leaf ${index} is not [body, signature]`);
}

/** @param {Value} value */
const isEmpty = (value) => Array.isArray(value) && value.length === 0;
