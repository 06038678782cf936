/**
 * Whether two views of one log can both be true: a bundle against another one, or against a checkpoint.
 *
 * A log that shows different leaves to different readers agrees with itself every time. Only a comparison with what
 * somebody else has kept tells.
 */
import { BundleReader } from './bundle.js';
import { plain, sameBytes } from './bytes.js';
import { openCheckpoint, parseBody } from './checkpoint.js';
import { eventId } from './digest.js';
import { composeEnvelope, entryOf } from './envelope.js';
import { MalformedError, SignatureInvalidError, VerifyError } from './errors.js';
import { readEvent } from './event.js';
import { LOG_KEY, verifierKey } from './keys.js';
import { EMPTY_FRONTIER, leafHash } from './merkle.js';
import { parseNote } from './note.js';
import { replay } from './replay.js';

/** @typedef {import('./envelope.js').Envelope} Envelope */
/** @typedef {import('./event.js').Event} Event */
/** @typedef {import('./keys.js').VerifierKey} VerifierKey */
/** What a comparison shows. `agrees`: null where it cannot be decided; `index`: the first leaf that differs, where one is
 * known; `size`: the leaves that were compared, or that a checkpoint covers.
 * @typedef {{ size: number, agrees: boolean | null, index: number | null, reason: string }} Agreement */
/** A name that a log has had: the key that signs its checkpoints then, and the first leaf that was lost under it.
 * @typedef {{ logKey: VerifierKey, lostFrom: number | null }} Name */

/**
 * Whether a bundle and another view of its log can both be true. What does not verify itself agrees with nothing; the
 * bundle's own faults are for `replay` to find.
 *
 * @param {Uint8Array} bundle
 * @param {Uint8Array} other  a bundle, or a checkpoint as a signed note
 * @returns {Promise<Agreement>}
 */
export async function compare(bundle, other) {
  try {
    return await (isBundle(other) ? withLeaves : withCheckpoint)(plain(bundle), plain(other));
  } catch (error) {
    if (!(error instanceof MalformedError || error instanceof SignatureInvalidError)) throw error;
    return { size: 0, agrees: false, index: null, reason: `${error.code}: ${error.message}` };
  }
}

/** Whether it begins with a CBOR array, and so never with text, or is empty. @param {Uint8Array} raw */
const isBundle = (raw) => raw.length === 0 || raw[0] >> 5 === 4;

/** @param {Uint8Array} bundle @param {Uint8Array} other @returns {Promise<Agreement>} */
async function withLeaves(bundle, other) {
  const found = commonLeaves(bundle, other);
  if (!found.agrees) return found;
  const fault = (await replay(other)).findings.find(({ severity }) => severity === 'error');
  if (fault === undefined) return found;
  const reason = `the other does not verify: ${fault.code}: ${fault.message}`;
  return { size: found.size, agrees: false, index: fault.index, reason };
}

/** @param {Uint8Array} bundle @param {Uint8Array} other @returns {Agreement} */
function commonLeaves(bundle, other) {
  const [ones, others] = [entriesOf(bundle), entriesOf(other)];
  for (let size = 0; ; size += 1) {
    const [one, two] = [ones.next(), others.next()];
    if (one.done && two.done) return { size, agrees: true, index: null, reason: 'the two hold the same entries' };
    if (one.done || two.done)
      return { size, agrees: true, index: null, reason: 'the smaller one is the beginning of the larger' };
    if (!sameBytes(one.value.body, two.value.body) || !sameBytes(one.value.signature, two.value.signature))
      return { size, agrees: false, index: size, reason: 'the two hold different entries at this leaf' };
  }
}

/** @param {Uint8Array} bundle @param {Uint8Array} note @returns {Promise<Agreement>} */
async function withCheckpoint(bundle, note) {
  const claimed = parseBody(parseNote(note).text);
  const { size } = claimed;
  let frontier = EMPTY_FRONTIER;
  let root = null;
  let naming = /** @type {{ index: number, event: Event }[]} */ ([]);
  for (const { body, signature } of entriesOf(bundle)) {
    const envelope = composeEnvelope(body, signature);
    const event = namingOf(envelope);
    if (event !== null) naming.push({ index: frontier.size, event });
    frontier = frontier.append(leafHash(entryOf(envelope)));
    if (frontier.size === size) root = frontier.root();
  }
  const said = (/** @type {boolean | null} */ agrees, /** @type {string} */ reason) => ({
    size,
    agrees,
    index: null,
    reason,
  });
  if (naming.length > 1) {
    // Anybody can write a leaf that says that the log has another name, or has lost leaves.
    const errors = (await replay(bundle)).findings.filter(({ severity }) => severity === 'error');
    const isVoid = new Set(errors.map(({ index }) => index));
    naming = naming.filter(({ index }) => index === 0 || !isVoid.has(index));
  }
  const name = namesOf(naming).get(claimed.origin);
  if (name === undefined)
    return said(false, `the checkpoint is of ${claimed.origin}, and this log never had that name`);
  await openCheckpoint(note, name.logKey);
  if (name.lostFrom !== null && size > name.lostFrom)
    return said(
      null,
      `the checkpoint covers ${size} leaves; a recovery says that all from leaf ${name.lostFrom} on are lost`,
    );
  // A bundle may be old: that it has fewer leaves is no contradiction.
  if (root === null) return said(null, `the checkpoint covers ${size} leaves, and there are ${frontier.size}`);
  return sameBytes(root, claimed.root)
    ? said(true, "the checkpoint's root is the root of these leaves")
    : said(false, 'the checkpoint has another root for as many leaves');
}

/** @param {Uint8Array} raw */
function entriesOf(raw) {
  const reader = new BundleReader(raw);
  if (reader.header.first !== 0)
    throw new MalformedError(`bundle: begins at leaf ${reader.header.first}, want leaf 0 to compare`);
  return reader.entries();
}

/**
 * An event that gives a log a name, if it is of such a kind and form.
 *
 * @param {Envelope} envelope
 * @returns {Event | null}
 */
function namingOf({ fields, body }) {
  if (!['genesis', 'recovery'].includes(fields.get('kind'))) return null;
  try {
    return readEvent(fields, eventId(body));
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    return null;
  }
}

/**
 * A log's names: of genesis, and of each recovery, which may have lost leaves of the old one.
 *
 * @param {{ index: number, event: Event }[]} naming
 */
function namesOf(naming) {
  const names = /** @type {Map<string, Name>} */ (new Map());
  for (const { index, event } of naming) {
    const { kind, data } = event;
    const old = kind === 'recovery' && data.amnesia ? names.get(data.old_origin) : undefined;
    if (old !== undefined) old.lostFrom = index;
    try {
      const logKey = verifierKey(data.origin, LOG_KEY, data.log_key);
      if (!names.has(data.origin)) names.set(data.origin, { logKey, lostFrom: null });
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error; // an event that is void names no key
    }
  }
  return names;
}
