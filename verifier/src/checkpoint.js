/**
 * Checkpoints: a log's origin, tree size and root hash as a C2SP signed note, and which lines may stand under them.
 *
 * There is no checkpoint of size 0: an empty log has nothing to promise.
 */
import { fromBase64, utf8 } from './bytes.js';
import { PAYLOAD_BYTES, checkWitnessKey, openCosignature } from './cosignature.js';
import { KeyInvalidError, MalformedError, SignatureInvalidError } from './errors.js';
import { LOG_KEY, SIGNATURE_BYTES, checkKeyName, verify } from './keys.js';
import { INTEGER_MAX } from './limits.js';
import { HASH_BYTES } from './merkle.js';
import { parseNote } from './note.js';

/** @typedef {import('./keys.js').VerifierKey} VerifierKey */
/** @typedef {import('./note.js').NoteSignature} NoteSignature */
/** @typedef {import('./cosignature.js').Cosignature} Cosignature */
/** @typedef {{ origin: string, size: number, root: Uint8Array }} Checkpoint */
/**
 * A checkpoint whose log signature verified. `unchecked`: cosignature lines under keys that were not given.
 * @typedef {Checkpoint & { cosignatures: Cosignature[], unchecked: NoteSignature[] }} OpenedCheckpoint
 */

/**
 * The checkpoint that a note's text spells: three lines, no extension.
 *
 * @param {string} text
 * @returns {Checkpoint}
 */
export function parseBody(text) {
  const lines = text.split('\n');
  if (lines.length !== 4 || lines[3] !== '') {
    throw new MalformedError(`checkpoint: ${lines.length - 1} lines of text, want origin, tree size and root hash`);
  }
  const [origin, size, root] = lines;
  checkKeyName(origin);
  return { origin, size: parseTreeSize(size), root: parseRoot(root) };
}

/** @param {string} text */
function parseTreeSize(text) {
  const size = /^[1-9][0-9]{0,15}$/.test(text) ? Number(text) : NaN;
  if (!(size <= INTEGER_MAX)) {
    throw new MalformedError(
      `checkpoint: tree size is ${text.slice(0, 24)}, want 1 to 2^53 - 1 in decimal digits, no leading zero`,
    );
  }
  return size;
}

/** @param {string} text */
function parseRoot(text) {
  const root = fromBase64(text);
  if (root === null || root.length !== HASH_BYTES) {
    throw new MalformedError(`checkpoint: root hash is ${text.slice(0, 48)}, want the base64 of 32 bytes`);
  }
  return root;
}

/**
 * The checkpoint of a note whose every line is accounted for: the log's, then cosignatures ascending by key id, one
 * each.
 *
 * C2SP verifiers pass over lines that they do not know; here anything that is neither of the two is an error.
 *
 * @param {Uint8Array} raw
 * @param {VerifierKey} logKey
 * @param {VerifierKey[]} [witnessKeys]
 * @returns {Promise<OpenedCheckpoint>}
 */
export async function openCheckpoint(raw, logKey, witnessKeys = []) {
  const { text, signatures } = parseNote(raw);
  const checkpoint = parseBody(text);
  const [logLine, ...cosignatureLines] = signatures;
  await verifyLogLine(logLine, text, checkpoint, logKey);
  checkOrder(cosignatureLines);
  witnessKeys.forEach(checkWitnessKey);
  const cosignatures = [];
  const unchecked = [];
  for (const line of cosignatureLines) {
    const key = witnessKeys.find(({ name, keyId }) => name === line.name && keyId === line.keyId);
    if (key === undefined) unchecked.push(line);
    else cosignatures.push(await openCosignature(line, text, key));
  }
  return { ...checkpoint, cosignatures, unchecked };
}

/** @param {NoteSignature} line @param {string} text @param {Checkpoint} checkpoint @param {VerifierKey} logKey */
async function verifyLogLine(line, text, checkpoint, logKey) {
  if (logKey.keyType !== LOG_KEY)
    throw new KeyInvalidError(`log key ${logKey.name}: type is ${logKey.keyType}, want 1`);
  if (line.name !== checkpoint.origin || line.payload.length !== SIGNATURE_BYTES) {
    throw new MalformedError(`checkpoint of ${checkpoint.origin}: the first signature line is not of the log's form`);
  }
  if (line.name !== logKey.name || line.keyId !== logKey.keyId) {
    throw new SignatureInvalidError(
      `checkpoint: signed by ${line.name}+${line.keyId}, want ${logKey.name}+${logKey.keyId}`,
    );
  }
  if (!(await verify(logKey.publicKey, utf8(text), line.payload))) {
    throw new SignatureInvalidError(`checkpoint: signature does not verify under ${line.name}+${line.keyId}`);
  }
}

/** @param {NoteSignature[]} lines */
function checkOrder(lines) {
  for (const line of lines) {
    if (line.payload.length !== PAYLOAD_BYTES)
      throw new MalformedError(`checkpoint: the line by ${line.name} is no cosignature`);
  }
  if (lines.some((line, at) => at > 0 && lines[at - 1].keyId >= line.keyId)) {
    throw new MalformedError('checkpoint: cosignatures are not ascending by key id, one each');
  }
}
