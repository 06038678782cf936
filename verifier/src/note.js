/** C2SP signed notes: a text, a blank line, and one line for each signature. One note has one spelling. */
import { fromBase64, join, fromHex, toBase64, toHex, utf8 } from './bytes.js';
import { MalformedError } from './errors.js';
import { checkKeyName } from './keys.js';
import { NOTE_BYTES_MAX } from './limits.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {{ name: string, keyId: Hex, payload: Uint8Array }} NoteSignature  one line, not checked */
/** @typedef {{ text: string, signatures: NoteSignature[] }} Note */

const DASH = '\u2014';
const TEXT_CONTROLS = /[\x00-\x09\x0b-\x1f]/;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The note that these bytes spell, its signatures not checked.
 *
 * @param {Uint8Array} raw
 * @returns {Note}
 */
export function parseNote(raw) {
  if (raw.length > NOTE_BYTES_MAX)
    throw new MalformedError(`note: ${raw.length} bytes, want at most ${NOTE_BYTES_MAX}`);
  const whole = decoded(raw);
  const blank = whole.lastIndexOf('\n\n');
  if (blank < 0 || !whole.endsWith('\n') || blank + 2 === whole.length) {
    throw new MalformedError('note: no blank line before the signatures, or no newline after them');
  }
  const text = whole.slice(0, blank + 1);
  if (TEXT_CONTROLS.test(text)) throw new MalformedError('note: the text has a control character');
  return {
    text,
    signatures: whole
      .slice(blank + 2, -1)
      .split('\n')
      .map(parseSignature),
  };
}

/** @param {Uint8Array} raw */
function decoded(raw) {
  try {
    return decoder.decode(raw);
  } catch {
    throw new MalformedError('note: bytes that are not UTF-8');
  }
}

/** @param {string} line  without its newline */
function parseSignature(line) {
  const [dash, name, ...rest] = line.split(' ');
  const bytes = fromBase64(rest.join(' '));
  if (dash !== DASH || name === undefined || bytes === null || bytes.length < 5) {
    throw new MalformedError(
      `note: signature line is ${JSON.stringify(line.slice(0, 80))}, want a dash, a name and base64`,
    );
  }
  checkKeyName(name);
  return { name, keyId: toHex(bytes.slice(0, 4)), payload: bytes.slice(4) };
}

/**
 * The bytes of a note.
 *
 * @param {Note} note
 */
export function formatNote({ text, signatures }) {
  const lines = signatures.map(
    ({ name, keyId, payload }) => `${DASH} ${name} ${toBase64(join(fromHex(keyId), payload))}\n`,
  );
  return utf8(`${text}\n${lines.join('')}`);
}
