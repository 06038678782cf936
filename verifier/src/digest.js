/**
 * Domain-separated hashes, and the 32-byte names made with them: `BLAKE3-derive_key("invoke-log 2026 v1 <name>",
 * bytes)`.
 *
 * Event ids hash the body's own bytes; every other name hashes one IL1 array. Attachments alone use plain BLAKE3, so
 * that `b3sum FILE` checks them. Ids come and go as hex.
 */
import { blake3 } from '@noble/hashes/blake3.js';
import { fromHex, toHex, utf8 } from './bytes.js';
import { MalformedError } from './errors.js';
import * as il1 from './il1.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./il1.js').Value} Value */
/** @typedef {import('./il1.js').ValueMap} ValueMap */

const CONTEXT_NAMES = /** @type {const} */ ([
  'event',
  'zero',
  'state',
  'contract',
  'policy',
  'effect',
  'request',
  'decision',
  'tag',
  'provider',
  'nonce',
  'root',
  'effects',
  'resources',
  'map leaf',
  'map node',
  'map value',
]);
/** @typedef {typeof CONTEXT_NAMES[number]} ContextName */

const HASHERS = new Map(
  CONTEXT_NAMES.map((name) => [name, blake3.create({ context: utf8(`invoke-log 2026 v1 ${name}`) })]),
);

/** @param {ContextName} context */
const hasherOf = (context) => /** @type {ReturnType<typeof blake3.create>} */ (HASHERS.get(context)).clone();

/**
 * The 32-byte hash of `raw` under one context.
 *
 * @param {ContextName} context
 * @param {Uint8Array} raw
 * @returns {Uint8Array}
 */
export const derive = (context, raw) => hasherOf(context).update(raw).digest();

/**
 * The name of one IL1 array under a context.
 *
 * @param {ContextName} context
 * @param {Value[]} item
 * @returns {Hex}
 */
const nameOf = (context, item) => toHex(derive(context, il1.encode(item)));

/**
 * The hash of an IL1 array that may be larger than any item: its head, then its rows, fed one by one.
 *
 * @param {ContextName} context
 * @param {Value[]} rows
 */
function deriveList(context, rows) {
  const hasher = hasherOf(context).update(il1.arrayHead(rows.length));
  for (const row of rows) hasher.update(il1.encode(row));
  return hasher.digest();
}

/** @param {Hex | null} id */
const bytesOrNull = (id) => (id === null ? null : fromHex(id));

/** @param {Uint8Array} body @returns {Hex} */
export const eventId = (body) => toHex(derive('event', body));

/** S_0: the state hash of a resource that no event has moved yet. @param {Hex} logId @param {string} resource */
export const stateZero = (logId, resource) => nameOf('zero', [fromHex(logId), resource]);

/** The state hash after an event that advances it. @param {Hex} state @param {Hex} movedBy */
export const stateNext = (state, movedBy) => nameOf('state', [fromHex(state), fromHex(movedBy)]);

/** @param {ValueMap} data */
export const contractId = (data) => nameOf('contract', [data]);

/** @param {ValueMap} data */
export const policyId = (data) => nameOf('policy', [data]);

/** @param {string} effectClass @param {string} resource @param {string} purpose @param {ValueMap} identity */
export const effectKey = (effectClass, resource, purpose, identity) =>
  nameOf('effect', [effectClass, resource, purpose, identity]);

/** @param {ValueMap} args */
export const requestDigest = (args) => nameOf('request', [args]);

/**
 * @param {{ contract: Hex, effect: Hex, generation: number, request: Hex, snapshot: Hex | null, state: Hex }} decision
 */
export const decisionKey = ({ contract, effect, generation, request, snapshot, state }) =>
  nameOf('decision', [
    fromHex(contract),
    fromHex(effect),
    generation,
    fromHex(request),
    bytesOrNull(snapshot),
    fromHex(state),
  ]);

/** @param {Hex} effect @param {number} generation */
export const tag = (effect, generation) => nameOf('tag', [fromHex(effect), generation]);

/** @param {Hex} effect @param {number} generation @param {number} turn */
export const providerKey = (effect, generation, turn) => nameOf('provider', [fromHex(effect), generation, turn]);

/** @param {Hex} nonce */
export const nonceHash = (nonce) => nameOf('nonce', [fromHex(nonce)]);

/**
 * The value under a key of the map.
 *
 * @param {string} status
 * @param {number} generation
 * @param {number[]} committed  generations, ascending
 * @param {Hex} last
 * @param {number} leafIndex
 */
export const mapValue = (status, generation, committed, last, leafIndex) =>
  derive('map value', il1.encode([status, generation, committed, fromHex(last), leafIndex]));

/**
 * The hash of what a replay derived from `size` leaves, void ones included; rows come in order.
 *
 * @param {number} size
 * @param {Hex} governanceHead
 * @param {Value[]} effects
 * @param {Value[]} resources
 */
export const stateRoot = (size, governanceHead, effects, resources) =>
  nameOf('root', [size, fromHex(governanceHead), deriveList('effects', effects), deriveList('resources', resources)]);

/**
 * The id that people write with its prefix, which may be left out, as in `evt_` and 64 hex digits.
 *
 * @param {string} text
 * @param {string} prefix
 * @returns {Hex}
 */
export function parseId(text, prefix) {
  const digits = text.startsWith(`${prefix}_`) ? text.slice(prefix.length + 1) : text;
  if (!/^[0-9a-f]{64}$/.test(digits))
    throw new MalformedError(`id is ${text.slice(0, 80)}, want ${prefix}_ and 64 lower-case hex digits`);
  return digits;
}

/** Plain BLAKE3, as `b3sum` prints it. @param {Uint8Array} raw */
export const attachmentDigest = (raw) => toHex(blake3(raw));
