/**
 * Ed25519 public keys: which ones count, which signatures verify, and what a key is called.
 *
 * KEY: canonical, on the curve, not of small order, in the subgroup of prime order: @noble/ed25519 answers. SIG: S < L,
 * R canonical and not the identity, and R equal as bytes to [S]B - [k]A (cofactorless): the first three here, the
 * equation in WebCrypto, which Node and browsers share.
 */
import { Point } from '@noble/ed25519';
import { sha256 } from '@noble/hashes/sha2.js';
import { fromBase64, fromHex, join, toBase64, toHex, utf8 } from './bytes.js';
import { KeyInvalidError, MalformedError, SignatureInvalidError } from './errors.js';
import { KEY_NAME_BYTES_MAX, VERIFIER_KEY_CHARS_MAX } from './limits.js';
import { SELF_TEST } from './self-test-cases.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/**
 * A public key with the name and type under which it signs notes.
 * @typedef {{ name: string, keyType: number, publicKey: Hex, keyId: Hex }} VerifierKey
 */

export const SIGNATURE_BYTES = 64;
/** C2SP signed-note type of a log's key: Ed25519 over the note's text. */
export const LOG_KEY = 0x01;
/** C2SP signed-note type of a witness's key: a timestamped Ed25519 cosignature. */
export const WITNESS_KEY = 0x04;

const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const IDENTITY = `01${'00'.repeat(31)}`;
const COSE_KEY_HEAD = fromHex('a301012006215820'); // {1: 1 (OKP), -1: 6 (Ed25519), -2: the key}, up to the key
// Controls, Unicode's White_Space, plus, lone surrogates: \s would match more.
const NAME_REFUSED = /[\x00-\x20+\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ud800-\udfff]/u;

/** @type {Map<Hex, boolean>} */
const keyRuleAnswers = new Map();
/** @type {Map<Hex, Promise<CryptoKey>>} */
const importedKeys = new Map();

/**
 * Whether a key passes the KEY rule. Two milliseconds, so the answer is kept.
 *
 * @param {Hex} key
 */
export function passesKeyRule(key) {
  const known = keyRuleAnswers.get(key);
  if (known !== undefined) return known;
  const answer = computeKeyRule(key);
  keyRuleAnswers.set(key, answer);
  return answer;
}

/** @param {Hex} key */
function computeKeyRule(key) {
  try {
    const point = Point.fromBytes(fromHex(key), false);
    return !point.isSmallOrder() && point.isTorsionFree();
  } catch {
    return false; // not 32 bytes, not canonical, or not on the curve
  }
}

/**
 * Throw unless the key passes the KEY rule.
 *
 * @param {Hex} key
 */
export function checkPublicKey(key) {
  if (!passesKeyRule(key)) throw new KeyInvalidError(`public key ${key}: want an Ed25519 point of prime order`);
}

/**
 * Whether `signature` of `message` verifies under a key that passes the KEY rule; never rejects.
 *
 * @param {Hex} publicKey
 * @param {Uint8Array} message
 * @param {Uint8Array} signature
 * @returns {Promise<boolean>}
 */
export async function verify(publicKey, message, signature) {
  if (signature.length !== SIGNATURE_BYTES || !passesKeyRule(publicKey)) return false;
  const r = signature.slice(0, 32);
  const s = littleEndian(signature.slice(32));
  if (s >= L || toHex(r) === IDENTITY || (littleEndian(r) & (2n ** 255n - 1n)) >= P) return false;
  return crypto.subtle.verify('Ed25519', await imported(publicKey), ownBuffer(signature), ownBuffer(message));
}

/** @type {Promise<void> | undefined} */
let tested;

/**
 * Throw unless this machine's libraries keep both rules: verifiers disagree about most signatures at the edges. Asked
 * once.
 */
export const selfTest = () => (tested ??= runSelfTest());

async function runSelfTest() {
  for (const { what, key, message, signature, verifies } of SELF_TEST) {
    if ((await verify(key, fromHex(message), fromHex(signature))) !== verifies) {
      throw new SignatureInvalidError(
        `self-test: Ed25519 here ${verifies ? 'refuses' : 'accepts'} ${what}, want the opposite`,
      );
    }
  }
}

/** @param {Hex} key */
function imported(key) {
  const known = importedKeys.get(key);
  if (known !== undefined) return known;
  const importing = crypto.subtle.importKey('raw', ownBuffer(fromHex(key)), 'Ed25519', false, ['verify']);
  importedKeys.set(key, importing);
  return importing;
}

/** WebCrypto's types refuse bytes that may be shared memory; these never are. @param {Uint8Array} bytes */
const ownBuffer = (bytes) => /** @type {Uint8Array<ArrayBuffer>} */ (bytes);

/** @param {Uint8Array} bytes */
const littleEndian = (bytes) => BigInt(`0x${toHex(Uint8Array.from(bytes).reverse())}`);

/** The key's COSE thumbprint (RFC 9679). @param {Hex} key */
export const thumbprint = (key) => sha256(join(COSE_KEY_HEAD, fromHex(key)));

/**
 * Throw unless a key, and so an origin, may have this name: 1 to 255 bytes, no space, control or plus.
 *
 * @param {string} name
 */
export function checkKeyName(name) {
  const size = utf8(name).length;
  if (NAME_REFUSED.test(name) || size < 1 || size > KEY_NAME_BYTES_MAX) {
    throw new MalformedError(
      `key name is ${JSON.stringify(name).slice(0, 80)}, want 1 to 255 bytes, no space, control or plus`,
    );
  }
}

/**
 * A key's id in notes, 4 bytes.
 *
 * @param {string} name
 * @param {number} keyType
 * @param {Hex} publicKey
 * @returns {Hex}
 */
export const noteKeyId = (name, keyType, publicKey) =>
  toHex(sha256(join(utf8(`${name}\n`), Uint8Array.of(keyType), fromHex(publicKey))).slice(0, 4));

/**
 * @param {string} name
 * @param {number} keyType
 * @param {Hex} publicKey
 * @returns {VerifierKey}
 */
export function verifierKey(name, keyType, publicKey) {
  checkKeyName(name);
  if (keyType !== LOG_KEY && keyType !== WITNESS_KEY) {
    throw new MalformedError(`verifier key ${name}: type is ${keyType}, want 1 or 4`);
  }
  checkPublicKey(publicKey);
  return { name, keyType, publicKey, keyId: noteKeyId(name, keyType, publicKey) };
}

/** The key as one line: name, key id in hex, type and key in base64. @param {VerifierKey} key */
export const formatVerifierKey = (key) =>
  `${key.name}+${key.keyId}+${toBase64(join(Uint8Array.of(key.keyType), fromHex(key.publicKey)))}`;

/**
 * The key that one C2SP vkey line spells.
 *
 * @param {string} text
 * @returns {VerifierKey}
 */
export function parseVerifierKey(text) {
  const wanted = () =>
    new MalformedError(`verifier key ${text.slice(0, 80)}: want name, key id in hex, base64, joined by plus`);
  if (text.length > VERIFIER_KEY_CHARS_MAX) throw wanted();
  const [name, , ...encoded] = text.split('+');
  const raw = fromBase64(encoded.join('+'));
  if (raw === null || raw.length !== 33) throw wanted();
  const key = verifierKey(name, raw[0], toHex(raw.slice(1)));
  // Upper-case hex and another key's id come this far. Write it again and compare.
  if (formatVerifierKey(key) !== text) throw wanted();
  return key;
}
