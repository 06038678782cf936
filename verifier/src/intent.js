/** What an issuer means to do: the names that a recorded intent's arguments have under its contract. */
import { expand } from './contract.js';
import * as digest from './digest.js';
import { MalformedError } from './errors.js';
import { RAW_INLINE_BYTES_MAX } from './limits.js';
import { blob, integer, record } from './schema.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./il1.js').Value} Value */
/** @typedef {import('./il1.js').ValueMap} ValueMap */
/** @typedef {import('./contract.js').Contract} Contract */
/** @typedef {import('./event.js').Event} Event */
/** @typedef {import('./contract.js').Retires} Retires */
/**
 * The names of a call; `values`: its recorded arguments, and the realm.
 *
 * @typedef {{ resource: string, effect: Hex, request: Hex, values: Map<string, Value> }} Bound
 */

const checkReference = record({ attachment: blob(32, 32), size: integer(RAW_INLINE_BYTES_MAX + 1) });

/**
 * What a recorded intent's maps bind to under its contract; throws where the contract does not accept them.
 *
 * @param {Contract} contract
 * @param {{ purpose: string, identity: ValueMap, content: ValueMap }} intent
 * @returns {Bound}
 */
export function rederive(contract, { purpose, identity, content }) {
  const { effect, resource, values } = rederiveKey(contract, { purpose, identity });
  const contentNames = [...contract.arguments].filter(([, { role }]) => role === 'content').map(([name]) => name);
  if (!hasExactly(content, contentNames)) {
    throw new MalformedError("$.data.content: not exactly the contract's content arguments");
  }
  for (const [name, value] of content) checkArgument(contract, name, value);
  return {
    resource,
    effect,
    request: digest.requestDigest(new Map([...identity, ...content])),
    values: new Map([...values, ...content]),
  };
}

/**
 * The effect key and the resource that purpose and identity have under a contract; throws where it does not accept
 * them.
 *
 * @param {Contract} contract
 * @param {{ purpose: string, identity: ValueMap }} parts
 * @returns {{ resource: string, effect: Hex, values: Map<string, Value> }}
 */
export function rederiveKey(contract, { purpose, identity }) {
  if (!hasExactly(identity, contract.identity)) {
    throw new MalformedError("$.data.identity: not exactly the contract's identity arguments");
  }
  for (const [name, value] of identity) checkArgument(contract, name, value);
  const typed = checkPurpose(contract, purpose);
  const values = new Map([...contract.realm, ...identity]);
  if (contract.purpose !== null) values.set(contract.purpose, typed);
  const resource = expand(contract.resource, values);
  return { resource, effect: digest.effectKey(contract.effectClass, resource, purpose, identity), values };
}

/**
 * The key and resource that a retired class gave the effect of this call; null: it had none.
 *
 * @param {Bound} bound
 * @param {Retires} retires
 */
export function retiredEffect({ values }, retires) {
  let resource;
  try {
    resource = expand(retires.resource, values);
  } catch (error) {
    if (error instanceof MalformedError) return null;
    throw error;
  }
  const purpose = retires.purpose === null ? '' : String(values.get(retires.purpose));
  const identity = new Map(retires.identity.map((name) => [name, values.get(name)]));
  return { effect: digest.effectKey(retires.effect_class, resource, purpose, identity), resource };
}

/**
 * What a decision itself tells the policy.
 *
 * @param {Contract} contract
 * @param {Event} intent
 * @param {number} generation
 * @returns {ValueMap}
 */
export function factsOf(contract, intent, generation) {
  const { purpose, identity, content } = intent.data;
  const args = new Map([...identity, ...content]);
  if (contract.purpose !== null) args.set(contract.purpose, purpose);
  return new Map(
    /** @type {[string, Value][]} */ ([
      ['effect_class', contract.effectClass],
      ['resource', intent.resource],
      ['purpose', purpose],
      ['contract', contract.name],
      ['generation', generation],
      ['issuer', intent.by],
      ['arguments', args],
    ]),
  );
}

/**
 * The decision key of an intent at a generation.
 *
 * @param {Event} event
 * @param {Bound} bound
 * @param {number} generation
 */
export const decisionKeyOf = (event, bound, generation) =>
  digest.decisionKey({
    contract: event.data.contract_id,
    effect: bound.effect,
    generation,
    request: bound.request,
    snapshot: event.data.snapshot_id,
    state: /** @type {Hex} */ (event.state),
  });

/** @param {ValueMap} map @param {string[]} wanted */
const hasExactly = (map, wanted) => map.size === wanted.length && wanted.every((name) => map.has(name));

/** @param {Contract} contract @param {string} name @param {Value} value */
function checkArgument(contract, name, value) {
  const argument = contract.arguments.get(name);
  if (argument === undefined) throw new MalformedError(`$.data: ${name} is no argument of the contract`);
  const at = `$.data.${argument.role}.${name}`;
  if (argument.raw && value instanceof Map) {
    const { size } = checkReference(value, at);
    const max = argument.schema.get('max');
    if (size > max) throw new MalformedError(`${at}: an attachment of ${size} bytes, want at most ${max}`);
    return;
  }
  argument.read(value, at);
  if (argument.raw && value instanceof Uint8Array && value.length > RAW_INLINE_BYTES_MAX) {
    throw new MalformedError(`${at}: ${value.length} bytes inline, want an attachment over ${RAW_INLINE_BYTES_MAX}`);
  }
}

/**
 * The purpose as its argument's schema wants it: an intent records it as text.
 *
 * @param {Contract} contract
 * @param {string} purpose
 */
function checkPurpose(contract, purpose) {
  const argument = contract.arguments.get(contract.purpose ?? '');
  if (argument === undefined) {
    if (purpose !== '') throw new MalformedError('$.data.purpose: the contract has none, want an empty text');
    return purpose;
  }
  const isNumber = ['integer', 'time'].includes(argument.schema.get('type')) && /^(?:0|-?[1-9][0-9]*)$/.test(purpose);
  const typed = isNumber ? Number(purpose) : purpose;
  argument.read(typed, '$.data.purpose');
  return typed;
}
