/** Witness cosignatures over a checkpoint: C2SP cosignature/v1 with Ed25519. */
import { utf8 } from './bytes.js';
import { KeyInvalidError, MalformedError, SignatureInvalidError } from './errors.js';
import { SIGNATURE_BYTES, WITNESS_KEY, verify } from './keys.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./keys.js').VerifierKey} VerifierKey */
/** @typedef {import('./note.js').NoteSignature} NoteSignature */
/** @typedef {{ name: string, keyId: Hex, timeS: bigint }} Cosignature  verified; the time is the witness's claim */

/** Of a cosignature's line after the key id: the time, then the Ed25519 signature. */
export const PAYLOAD_BYTES = 8 + SIGNATURE_BYTES;
const TIME_S_MAX = 2n ** 63n - 1n;

/** @param {VerifierKey} key */
export function checkWitnessKey(key) {
  if (key.keyType !== WITNESS_KEY) throw new KeyInvalidError(`witness key ${key.name}: type is ${key.keyType}, want 4`);
}

/**
 * The cosignature of a line under a checkpoint's text, checked under the key that it names.
 *
 * @param {NoteSignature} line
 * @param {string} text
 * @param {VerifierKey} key
 * @returns {Promise<Cosignature>}
 */
export async function openCosignature(line, text, key) {
  checkWitnessKey(key);
  if (line.payload.length !== PAYLOAD_BYTES) {
    throw new MalformedError(`cosignature by ${line.name}: ${line.payload.length} bytes, want ${PAYLOAD_BYTES}`);
  }
  const timeS = new DataView(line.payload.buffer, line.payload.byteOffset).getBigUint64(0);
  if (timeS > TIME_S_MAX)
    throw new MalformedError(`cosignature by ${line.name}: time is ${timeS}, want at most 2^63 - 1`);
  const message = utf8(`cosignature/v1\ntime ${timeS}\n${text}`);
  const named = line.name === key.name && line.keyId === key.keyId;
  if (!named || !(await verify(key.publicKey, message, line.payload.slice(8)))) {
    throw new SignatureInvalidError(`cosignature by ${line.name}: does not verify under witness ${key.name}`);
  }
  return { name: key.name, keyId: key.keyId, timeS };
}
