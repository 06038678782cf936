/** Judge every event again from the bytes, and compare. One pass in leaf order. */
import { Spending } from './budget.js';
import { BundleReader } from './bundle.js';
import { plain, toHex } from './bytes.js';
import { openCheckpoint } from './checkpoint.js';
import { Comparison } from './comparison.js';
import { eventId } from './digest.js';
import { composeEnvelope, entryOf, verifyEnvelope } from './envelope.js';
import { CutError, MalformedError, VerifyError } from './errors.js';
import { readEvent } from './event.js';
import { Fold } from './fold.js';
import { Refused } from './governance.js';
import { LOG_KEY, parseVerifierKey, selfTest, verifierKey } from './keys.js';
import { EMPTY_FRONTIER, leafHash } from './merkle.js';
import { finding, reportOf } from './report.js';

/** @typedef {import('./bundle.js').Trailer} Trailer */
/** @typedef {import('./checkpoint.js').OpenedCheckpoint} OpenedCheckpoint */
/** @typedef {import('./envelope.js').Envelope} Envelope */
/** @typedef {import('./keys.js').VerifierKey} VerifierKey */
/** @typedef {import('./report.js').Report} Report */
/**
 * One leaf whose bytes compose into an entry, and whether its signature verifies.
 *
 * @typedef {{ index: number, envelope: Envelope, signed: boolean }} Leaf
 */

/** Leaves whose signatures are verified together: WebCrypto works on several at once. */
const CHUNK_LEAVES = 64;

/**
 * What a bundle's bytes prove: findings, and the status of every effect.
 *
 * @param {Uint8Array} bytes  of a bundle that begins at leaf 0
 * @param {{ trust?: string | null }} [options]  the log's verifier key, one C2SP vkey line, as the reader got it from
 *   elsewhere; without it the log is at best self-consistent
 * @returns {Promise<Report>}
 */
export async function replay(bytes, { trust = null } = {}) {
  await selfTest();
  const trusted = trust === null ? null : parseVerifierKey(trust);
  try {
    const reader = new BundleReader(plain(bytes));
    if (reader.header.first !== 0)
      throw new MalformedError(`bundle: begins at leaf ${reader.header.first}, want leaf 0 to replay`);
    return await new Audit(reader, trusted).run();
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return reportOf({
      trusted: false,
      origin: null,
      size: 0,
      root: null,
      state_root: null,
      covered: { size: null, cosignatures: 0, cosignatures_not_checked: 0 },
      effects: [],
      findings: [finding(stopCode(error), null, error.message)],
    });
  }
}

/** @param {unknown} error */
const stopCode = (error) => (error instanceof CutError ? 'cut' : 'malformed');

/** One pass over one bundle. */
class Audit {
  #fold = new Fold();
  #frontier = EMPTY_FRONTIER;
  /** @type {import('./report.js').Finding[]} */
  #findings = [];

  /** @param {BundleReader} reader @param {VerifierKey | null} trusted */
  constructor(reader, trusted) {
    this.reader = reader;
    this.trusted = trusted;
    this.comparison = new Comparison(
      this.#fold,
      (code, index, message) => this.#find(code, index, message),
      new Spending(),
    );
  }

  /** @returns {Promise<Report>} */
  async run() {
    const whole = await this.#read();
    this.comparison.checkMaps();
    if (!whole) return this.#report(null, { replayed: false });
    const ofLeaves = this.#findings.length;
    let trailer;
    try {
      trailer = this.reader.trailer();
      this.comparison.checkAttachments(trailer.attachments);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#findings.length = ofLeaves; // nothing counts of a trailer that cannot be read to its end
      this.#find(stopCode(error), null, error.message);
      return this.#report(null, { replayed: true });
    }
    const covering = await this.#checkCheckpoint(trailer);
    const { origin } = this.#fold.governance;
    if (this.reader.header.origin !== origin) {
      this.#find('origin-mismatch', null, `the header says origin ${this.reader.header.origin}, the log ${origin}`);
    }
    return this.#report(covering, { replayed: true });
  }

  /** @param {string} code @param {number | null} index @param {string} message */
  #find(code, index, message) {
    this.#findings.push(finding(code, index, message));
  }

  /** Apply every leaf; false where the bytes do not make a log that could be replayed. */
  async #read() {
    try {
      for await (const leaf of leavesOf(this.reader)) {
        if (!(await this.#apply(leaf))) return false;
      }
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#find(stopCode(error), this.#frontier.size, error.message);
      return false;
    }
    return true;
  }

  /** @param {Leaf} leaf */
  async #apply(leaf) {
    const root = this.#frontier.root();
    this.#frontier = this.#frontier.append(leafHash(entryOf(leaf.envelope)));
    const refusal = await this.#judge(leaf, root);
    const begins = leaf.index === 0;
    if (refusal !== null) this.#find(begins ? 'genesis-invalid' : refusal.code, leaf.index, refusal.reason);
    if (leaf.index === 1 && !this.#fold.ticked) this.#find('tick-missing', 1, 'leaf 1 is not a tick that counts');
    return refusal === null || !begins;
  }

  /** Why a leaf is void, or null. @param {Leaf} leaf @param {Uint8Array} root  of the tree before it */
  async #judge({ index, envelope, signed }, root) {
    if (!signed) return new Refused('signature-invalid', `signature does not verify under key_${envelope.by}`);
    let event;
    try {
      event = readEvent(envelope.fields, eventId(envelope.body));
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      return new Refused('form-invalid', error.message);
    }
    const before = this.comparison.before(event);
    const admitted = await this.#fold.apply(event, { index, root });
    if (admitted instanceof Refused) return admitted;
    this.comparison.after(event, before, admitted);
    return null;
  }

  /**
   * The checkpoint if it is the log's own and true of these leaves.
   *
   * @param {Trailer} trailer
   * @returns {Promise<OpenedCheckpoint | null>}
   */
  async #checkCheckpoint({ note }) {
    const { origin, logKey } = this.#fold.governance;
    let opened;
    try {
      opened = await openCheckpoint(note, verifierKey(origin, LOG_KEY, logKey));
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      this.#find('checkpoint-invalid', null, error.message);
      return null;
    }
    const { size, root } = opened;
    if (size !== this.#frontier.size) {
      this.#find('size-mismatch', null, `the checkpoint covers ${size} leaves, the bundle ${this.#frontier.size}`);
      return null;
    }
    if (toHex(root) !== toHex(this.#frontier.root())) {
      this.#find('root-mismatch', null, "the checkpoint's root is not the root of these leaves");
      return null;
    }
    return opened;
  }

  /** @param {OpenedCheckpoint | null} covering @param {{ replayed: boolean }} how @returns {Report} */
  #report(covering, { replayed }) {
    const { size } = this.#frontier;
    return reportOf({
      trusted: replayed && this.#isTrusted(covering),
      origin: replayed ? this.#fold.governance.origin : null,
      size,
      root: size > 0 ? toHex(this.#frontier.root()) : null,
      state_root: replayed ? this.#fold.stateRoot(size) : null,
      covered: {
        size: covering?.size ?? null,
        cosignatures: covering?.cosignatures.length ?? 0,
        cosignatures_not_checked: covering?.unchecked.length ?? 0,
      },
      effects: replayed ? this.comparison.effects() : [],
      findings: this.#findings,
    });
  }

  /** Whether a checkpoint of the trusted key covers every leaf. @param {OpenedCheckpoint | null} covering */
  #isTrusted(covering) {
    const { origin, logKey } = this.#fold.governance;
    if (this.trusted === null) return false;
    const { name, keyType, publicKey } = this.trusted;
    if (name === origin && keyType === LOG_KEY && publicKey === logKey) return covering !== null;
    this.#find('trust-mismatch', null, `the log is ${origin} under another key than the trusted one`);
    return false;
  }
}

/**
 * Every leaf in order; an error comes after the leaves before it.
 *
 * @param {BundleReader} reader
 * @returns {AsyncGenerator<Leaf>}
 */
async function* leavesOf(reader) {
  const entries = reader.entries();
  let index = reader.header.first;
  let stopped = null;
  for (let more = true; more;) {
    const envelopes = [];
    try {
      while (envelopes.length < CHUNK_LEAVES) {
        const next = entries.next();
        if (next.done) break;
        envelopes.push(composeEnvelope(next.value.body, next.value.signature));
      }
    } catch (error) {
      stopped = error;
    }
    const signed = await Promise.all(envelopes.map(verifyEnvelope));
    for (const [at, envelope] of envelopes.entries()) {
      yield { index, envelope, signed: signed[at] };
      index += 1;
    }
    if (stopped !== null) throw stopped;
    more = envelopes.length === CHUNK_LEAVES;
  }
}
