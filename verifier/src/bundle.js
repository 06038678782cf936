/**
 * A log as one file: a CBOR sequence (RFC 8742) of IL1 items, a header, one item for each leaf, and a trailer with
 * the signed checkpoint and the attachments. A file without a trailer was cut.
 */
import { attachmentDigest } from './digest.js';
import { CutError, MalformedError } from './errors.js';
import { decodeItem } from './il1.js';
import { BUNDLE_ENTRY_BYTES_MAX, BUNDLE_TRAILER_BYTES_MAX } from './limits.js';
import { HASH_BYTES, bitCount } from './merkle.js';

/** @typedef {import('./il1.js').Value} Value */
/** @typedef {{ origin: string, first: number, size: number, leftEdge: Uint8Array[] }} Header */
/** @typedef {{ body: Uint8Array, signature: Uint8Array }} Entry */
/** @typedef {{ note: Uint8Array, attachments: { id: string, raw: Uint8Array }[] }} Trailer */

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
      yield readEntry(this.#next(ended, BUNDLE_ENTRY_BYTES_MAX), index);
    }
  }

  /** The trailer, after the last entry and with nothing behind it. @returns {Trailer} */
  trailer() {
    const ended = 'bundle: ends after its last leaf, want a trailer with a checkpoint';
    const trailer = readTrailer(this.#next(ended, BUNDLE_TRAILER_BYTES_MAX));
    if (this.#offset !== this.#raw.length)
      throw new MalformedError('bundle: found bytes after the trailer, want the end of the file');
    return trailer;
  }

  /** @param {string} ended @param {number} [bytesMax] */
  #next(ended, bytesMax) {
    const item = decodeItem(this.#raw, this.#offset, { bytesMax });
    if (item === null) throw new CutError(ended);
    this.#offset = item.end;
    return item.value;
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

/** @param {Value} item @returns {item is Uint8Array} */
const isHash = (item) => item instanceof Uint8Array && item.length === HASH_BYTES;

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

/** @param {Value} value @returns {Trailer} */
function readTrailer(value) {
  if (isEmpty(value)) throw new CutError('bundle: the trailer is empty, want [checkpoint, attachments]');
  if (!Array.isArray(value) || value.length !== 2 || !(value[0] instanceof Uint8Array) || !Array.isArray(value[1])) {
    throw new MalformedError('bundle: the last item is not [checkpoint, attachments]');
  }
  const attachments = value[1].map((raw) => {
    if (!(raw instanceof Uint8Array)) throw new MalformedError('bundle: an attachment is not a byte string');
    return { id: attachmentDigest(raw), raw };
  });
  if (attachments.some(({ id }, at) => at > 0 && attachments[at - 1].id >= id)) {
    throw new MalformedError('bundle: attachments do not ascend by their BLAKE3, none twice');
  }
  return { note: value[0], attachments };
}
