/**
 * One event as it is signed, stored and hashed into the tree: byte for byte a tagged COSE_Sign1 (RFC 9052) whose
 * protected header is a pure function of the body, {1: -8, 3: content type, 4: kid, 15: {1: issuer, 2: subject}}.
 */
import { fromHex, join, toBase64, toHex, utf8 } from './bytes.js';
import { MalformedError } from './errors.js';
import * as il1 from './il1.js';
import { SIGNATURE_BYTES, thumbprint, verify } from './keys.js';
import { BODY_BYTES_MAX } from './limits.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./il1.js').ValueMap} ValueMap */
/**
 * @typedef {{ body: Uint8Array, signature: Uint8Array, fields: ValueMap, by: Hex, protectedHeader: Uint8Array
 * }} Envelope
 */

// Every part of the header has one fixed length, so it is a constant with three holes.
const HEADER_ALG_AND_TYPE = join(fromHex('a40127037825'), utf8('application/vnd.invoke-log.event+cbor'));
const HEADER_KID = fromHex('045820');
const HEADER_CLAIMS_ISSUER = join(fromHex('0fa201784d'), utf8('urn:ietf:params:oauth:ckt:sha-256:'));
const HEADER_SUBJECT = fromHex('027844');

const SIG_STRUCTURE = join(fromHex('846a'), utf8('Signature1'));
const NO_EXTERNAL_DATA = fromHex('40');
const SIGN1 = fromHex('d284');
const NO_UNPROTECTED_HEADER = fromHex('a0');
const SIGNATURE_HEAD = fromHex('5840');

/** @type {Map<Hex, Uint8Array>} */
const headersOfIssuers = new Map();

/**
 * The envelope of stored bytes, its signature not checked.
 *
 * @param {Uint8Array} body
 * @param {Uint8Array} signature
 * @returns {Envelope}
 */
export function composeEnvelope(body, signature) {
  if (signature.length !== SIGNATURE_BYTES) {
    throw new MalformedError(`signature has ${signature.length} bytes, want ${SIGNATURE_BYTES}`);
  }
  const fields = il1.decode(body, { bytesMax: BODY_BYTES_MAX });
  if (!(fields instanceof Map)) throw new MalformedError('body: want a map');
  const by = idIn(fields, 'by');
  const log = idIn(fields, 'log');
  const subject = fields.has('effect') ? `eff_${idIn(fields, 'effect')}` : `log_${log}`;
  return { body, signature, fields, by, protectedHeader: join(headerOfIssuer(by), utf8(subject)) };
}

/** The COSE Sig_structure that the issuer signs. @param {Envelope} envelope */
export const signedBytes = ({ body, protectedHeader }) =>
  join(SIG_STRUCTURE, il1.encode(protectedHeader), NO_EXTERNAL_DATA, il1.encode(body));

/** The COSE_Sign1 bytes that the tree hashes. @param {Envelope} envelope */
export const entryOf = ({ body, signature, protectedHeader }) =>
  join(SIGN1, il1.encode(protectedHeader), NO_UNPROTECTED_HEADER, il1.encode(body), SIGNATURE_HEAD, signature);

/** Whether the signature verifies under the body's `by`. @param {Envelope} envelope */
export const verifyEnvelope = (envelope) => verify(envelope.by, signedBytes(envelope), envelope.signature);

/** @param {ValueMap} fields @param {string} name */
function idIn(fields, name) {
  const value = fields.get(name);
  if (!(value instanceof Uint8Array) || value.length !== 32) {
    throw new MalformedError(`body: $.${name} is not a 32-byte string`);
  }
  return toHex(value);
}

/** @param {Hex} by */
function headerOfIssuer(by) {
  const known = headersOfIssuers.get(by);
  if (known !== undefined) return known;
  const kid = thumbprint(by);
  const inUrl = toBase64(kid).replaceAll('+', '-').replaceAll('/', '_').replace('=', '');
  const header = join(HEADER_ALG_AND_TYPE, HEADER_KID, kid, HEADER_CLAIMS_ISSUER, utf8(inUrl), HEADER_SUBJECT);
  headersOfIssuers.set(by, header);
  return header;
}
