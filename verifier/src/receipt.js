/**
 * Everything that a third party needs to check one effect offline, and what it proves: a CBOR sequence (RFC 8742) of
 * IL1 items, a header, one item for each leaf that is shown with its inclusion proof, and a trailer with the signed
 * checkpoint.
 */
import { join, plain, toHex } from './bytes.js';
import { openCheckpoint } from './checkpoint.js';
import { Comparison } from './comparison.js';
import { eventId } from './digest.js';
import { composeEnvelope, entryOf, verifyEnvelope } from './envelope.js';
import { CutError, MalformedError, ReceiptInvalidError, SignatureInvalidError, VerifyError } from './errors.js';
import { readEvent } from './event.js';
import { Fold } from './fold.js';
import { Refused } from './governance.js';
import * as il1 from './il1.js';
import { LOG_KEY, parseVerifierKey, selfTest, verifierKey } from './keys.js';
import { LEAF_ITEM_BYTES_MAX } from './limits.js';
import { HASH_BYTES, isHash, leafHash, verifyInclusion } from './merkle.js';
import { finding } from './report.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./il1.js').Value} Value */
/** @typedef {import('./event.js').Event} Event */
/** @typedef {import('./keys.js').VerifierKey} VerifierKey */
/** @typedef {import('./report.js').Finding} Finding */
/** @typedef {{ origin: string, effect: Hex, size: number }} Header  which effect of which log, at which tree size */
/** One leaf, and the hashes that tie it to the root, its sibling first.
 * @typedef {{ index: number, body: Uint8Array, signature: Uint8Array, proof: Uint8Array[] }} Shown */
/** What a receipt proves; `trusted`: the log's key was given by the reader.
 * @typedef {{
 *   v: 1, ok: true, trusted: boolean, origin: string, size: number, effect_key: string, resource: string,
 *   status: string, generation: number, grade: string | null, relies_on: string[], events: string[],
 *   findings: Finding[], checked: string[], not_checked: string[],
 * }} Proved */
/** Why it proves nothing. @typedef {{ v: 1, ok: false, trusted: false, findings: Finding[] }} Refuted */

const MAGIC = 'invoke-log receipt 1';
const PROOF_HASHES_MAX = 64;
const ITEM_BYTES_MAX = LEAF_ITEM_BYTES_MAX + PROOF_HASHES_MAX * (HASH_BYTES + 2);
/** What the header of every receipt begins with: an array of four, the magic. */
const BEGINNING = join(Uint8Array.of(0x84), il1.encode(MAGIC));

const CHECKED = [
  'every event shown: canonical bytes, signature, inclusion under the checkpoint',
  "the checkpoint's signature",
  "the effect's chain from its first event, without a gap",
  'grants, contract and policy as the governance events shown give them',
  'every transition and guard, and the verdict again',
];
const NOT_CHECKED = [
  'that nothing happened to this effect after the last event that is shown',
  "the resource's other decisions: its state hash is taken from the intents",
  "the same call's effects under classes that are retired: they are other effects, with receipts of their own",
  'that no tick and no governance event stands between those that are shown',
  'what the budgets of a policy count: they rest on other effects',
  'the map of a tick and the root of a recovery: they rest on leaves that are not shown',
  "witnesses: the receipt carries the log's own signature",
];

/** Whether bytes claim to be a receipt. @param {Uint8Array} bytes */
export const isReceipt = (bytes) => BEGINNING.every((byte, at) => bytes[at] === byte);

/**
 * What a receipt proves about its effect, or why it proves nothing.
 *
 * @param {Uint8Array} bytes
 * @param {{ trust?: string | null }} [options]  the log's verifier key, one C2SP vkey line, as the reader got it from
 *   elsewhere; without it the key is the receipt's own word
 * @returns {Promise<Proved | Refuted>}
 */
export async function verifyReceipt(bytes, { trust = null } = {}) {
  await selfTest();
  const trusted = trust === null ? null : parseVerifierKey(trust);
  try {
    return await proved(plain(bytes), trusted);
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    return { v: 1, ok: false, trusted: false, findings: [finding(error.code, null, error.message)] };
  }
}

/** @param {Uint8Array} raw @param {VerifierKey | null} trusted @returns {Promise<Proved>} */
async function proved(raw, trusted) {
  const { header, leaves, note } = readReceipt(raw);
  if (leaves[0]?.index !== 0) throw new ReceiptInvalidError('receipt: it does not show genesis at leaf 0');
  if (leaves[1]?.index !== 1) throw new ReceiptInvalidError('receipt: it does not show the tick at leaf 1');
  const logKey = trusted ?? (await ownKey(leaves));
  const checkpoint = await openCheckpoint(note, logKey);
  if (checkpoint.origin !== header.origin || checkpoint.size !== header.size)
    throw new ReceiptInvalidError('receipt: the checkpoint is of another log or size than the header says');
  const fold = new Fold({ shown: header.effect });
  const findings = /** @type {Finding[]} */ ([]);
  /** @type {import('./report.js').Find} */
  const find = (code, index, message) => void findings.push(finding(code, index, message));
  const comparison = new Comparison(fold, find, null);
  for (const leaf of leaves) {
    await apply(leaf, checkpoint, fold, comparison);
    if (leaf.index === 1 && !fold.ticked) throw new ReceiptInvalidError('receipt: leaf 1 is not a tick that counts');
  }
  if (fold.governance.origin !== logKey.name || fold.governance.logKey !== logKey.publicKey)
    throw new ReceiptInvalidError("receipt: the checkpoint's key is not the log key that its own leaves name");
  const error = findings.find(({ severity }) => severity === 'error');
  if (error) throw new ReceiptInvalidError(`receipt: leaf ${error.index}: ${error.code}: ${error.message}`);
  const effect = comparison.effects().find(({ effect_key: key }) => key === `eff_${header.effect}`);
  if (effect === undefined) throw new ReceiptInvalidError('receipt: it shows no event of its effect');
  return {
    v: 1,
    ok: true,
    trusted: trusted !== null,
    origin: header.origin,
    size: header.size,
    effect_key: effect.effect_key,
    resource: effect.resource,
    status: effect.status,
    generation: effect.generation,
    grade: effect.grade,
    relies_on: effect.relies_on,
    events: effect.events,
    findings,
    checked: CHECKED,
    not_checked: NOT_CHECKED,
  };
}

/**
 * The key that the receipt's own genesis names, or the last recovery: self-consistent at best.
 *
 * @param {Shown[]} leaves
 */
async function ownKey(leaves) {
  const opened = await Promise.all(leaves.map(openLeaf));
  const founding = opened.findLast(({ event }) => ['genesis', 'recovery'].includes(event.kind));
  if (founding === undefined) throw new ReceiptInvalidError('receipt: leaf 0 is no genesis');
  const { origin, log_key: key } = founding.event.data;
  return verifierKey(origin, LOG_KEY, key);
}

/**
 * Judge one leaf that is shown; what it rests on beside the effect and governance is taken to be as it says.
 *
 * @param {Shown} leaf
 * @param {import('./checkpoint.js').Checkpoint} checkpoint
 * @param {Fold} fold
 * @param {Comparison} comparison
 */
async function apply(leaf, { size, root }, fold, comparison) {
  const { index, proof } = leaf;
  const { event, hash } = await openLeaf(leaf);
  await ofLeaf(index, () => verifyInclusion({ leaf: hash, index, size, proof, root }));
  if (event.state !== null && event.resource !== null) fold.assume(event.resource, event.state);
  const before = comparison.before(event);
  const admitted = await fold.apply(event, { index, root: null });
  if (admitted instanceof Refused)
    throw new ReceiptInvalidError(`receipt: leaf ${index} does not stand: ${admitted.code}: ${admitted.reason}`);
  comparison.after(event, before, admitted);
}

/**
 * The event of a leaf that is signed by the key it names, and its hash in the tree.
 *
 * @param {Shown} leaf
 * @returns {Promise<{ event: Event, hash: Uint8Array }>}
 */
const openLeaf = ({ index, body, signature }) =>
  ofLeaf(index, async () => {
    const envelope = composeEnvelope(body, signature);
    if (!(await verifyEnvelope(envelope)))
      throw new SignatureInvalidError(`signature does not verify under key_${envelope.by}`);
    return { event: readEvent(envelope.fields, eventId(body)), hash: leafHash(entryOf(envelope)) };
  });

/**
 * What a check says; what is wrong with one leaf is wrong with the receipt.
 *
 * @template T
 * @param {number} index
 * @param {() => T | Promise<T>} check
 */
async function ofLeaf(index, check) {
  try {
    return await check();
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw new ReceiptInvalidError(`receipt: leaf ${index}: ${error.message}`);
  }
}

/** @param {Uint8Array} raw @returns {{ header: Header, leaves: Shown[], note: Uint8Array }} */
function readReceipt(raw) {
  const next = (/** @type {number} */ offset, /** @type {string} */ ended) => {
    const item = il1.decodeItem(raw, offset, { bytesMax: ITEM_BYTES_MAX });
    if (item === null) throw new CutError(ended);
    return item;
  };
  let { value, end } = next(0, 'receipt: it is empty, want a header');
  const header = readHeader(value);
  const leaves = /** @type {Shown[]} */ ([]);
  for (;;) {
    const offset = end;
    ({ value, end } = next(offset, 'receipt: ends before its checkpoint'));
    if (Array.isArray(value) && value.length === 1 && value[0] instanceof Uint8Array) {
      if (end !== raw.length) throw new MalformedError('receipt: found bytes after the checkpoint, want the end');
      return { header, leaves, note: value[0] };
    }
    const leaf = readShown(value, offset);
    const before = leaves.at(-1)?.index ?? -1;
    if (!(before < leaf.index && leaf.index < header.size)) {
      throw new MalformedError(`receipt: leaf ${leaf.index} after leaf ${before}, want ascending below ${header.size}`);
    }
    leaves.push(leaf);
  }
}

/** @param {Value} value @returns {Header} */
function readHeader(value) {
  if (Array.isArray(value) && value.length === 4 && value[0] === MAGIC) {
    const [, origin, effect, size] = value;
    if (typeof origin === 'string' && isHash(effect) && typeof size === 'number' && size > 0)
      return { origin, effect: toHex(effect), size };
  }
  throw new MalformedError(`receipt: the first item is not [${MAGIC}, origin, effect key, size]`);
}

/** @param {Value} value @param {number} offset @returns {Shown} */
function readShown(value, offset) {
  if (Array.isArray(value) && value.length === 4) {
    const [index, body, signature, proof] = value;
    const hashes = Array.isArray(proof) && proof.length <= PROOF_HASHES_MAX && proof.every(isHash);
    if (typeof index === 'number' && body instanceof Uint8Array && signature instanceof Uint8Array && hashes)
      return { index, body, signature, proof };
  }
  throw new MalformedError(`receipt: the item at byte ${offset} is not [leaf index, body, signature, inclusion proof]`);
}
