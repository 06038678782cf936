/** What a tool promises: its effect class and key rule, its limits, and how its outcomes settle. A contract is data. */
import { utf8 } from './bytes.js';
import * as digest from './digest.js';
import { MalformedError } from './errors.js';
import { checkText } from './il1.js';
import { DURATION_MS_MAX, RESOURCE_BYTES_MAX } from './limits.js';
import {
  anything,
  boolean,
  choice,
  compile,
  integer,
  listing,
  mapping,
  nullable,
  record,
  text,
  token,
  unique,
} from './schema.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./il1.js').Value} Value */
/** @typedef {import('./il1.js').ValueMap} ValueMap */
/** @typedef {import('./schema.js').Reader} Reader */
/**
 * @typedef {{
 *   role: 'identity' | 'content' | 'volatile', schema: ValueMap, raw: boolean, private: boolean,
 *   default: Value[] | null,
 *   read: Reader,
 * }} Argument
 */
/** @typedef {{ effect_class: string, resource: string, purpose: string | null, identity: string[] }} Retires */
/**
 * A registered promise, as far as rules read it. Durations in milliseconds. `identity`: the identity arguments
 * without the purpose, sorted.
 * @typedef {{
 *   id: Hex, name: string, version: number, effectClass: string, retires: Retires | null, realm: Map<string, string>,
 *   resource: string, purpose: string | null, arguments: Map<string, Argument>, identity: string[],
 *   observability: string, sendDeadlineMs: number, settleMs: number, claimTtlMs: number,
 *   providerKey: { retention_ms: number, stores: string } | null, keyed: boolean, definiteFailures: string[],
 *   provesAbsence: boolean, positiveMessages: string[], negativeMessages: string[], void: string | null,
 *   profile: Reader | null, mayDrift: string[], approvalsCount: number, approvalsTtlMs: number, reconcilers: number,
 * }} Contract
 */

const EFFECT_CLASS_CHARS_MAX = 48;
const EFFECT_CLASS = /^[a-z0-9]+(?:[._-][a-z0-9]+)*\/[1-9][0-9]{0,8}$/;
const PLACE = /\{([^{}]*)\}/g;
const UNRESERVED = /[A-Za-z0-9\-._~]/;
/** Types whose values have one spelling, so that two callers name one effect once. */
const KEY_TYPES = ['token', 'enum', 'integer', 'decimal', 'time'];
/** Answers that say nothing about the effect: the key's first call may have landed, or nobody has looked yet. */
const NEVER_DEFINITE = [
  'conflict',
  'idempotency_error',
  'idempotency_key_in_use',
  'idempotency_key_reused',
  'key_in_use',
  'key_mismatch',
  'key_used_with_other_parameters',
  'rate_limit',
  'timeout',
  'too_early',
  'too_many_requests',
  'connection_reset',
];
const NEVER_DEFINITE_STATUS = /^(?:http_?)?(?:408|409|425|429|5xx|5[0-9]{2})$/;

const duration = integer(0, DURATION_MS_MAX);
const words = unique(token(128), 64);
const readArgument = record({
  role: choice(['identity', 'content', 'volatile']),
  schema: anything(),
  raw: boolean(),
  private: boolean(),
  default: nullable(listing(anything(), 1)),
});
const readRetires = record({
  effect_class: token(EFFECT_CLASS_CHARS_MAX),
  resource: text(RESOURCE_BYTES_MAX),
  purpose: nullable(token(128)),
  identity: unique(token(128), 64),
});
const readForm = record({
  name: token(128),
  version: integer(1),
  effect_class: token(EFFECT_CLASS_CHARS_MAX),
  retires: nullable(readRetires),
  realm: mapping(token(128), 16),
  resource: text(RESOURCE_BYTES_MAX),
  purpose: nullable(token(128)),
  arguments: mapping(readArgument, 64),
  observability: choice(['transactional', 'queryable', 'webhook-confirmable', 'fire-and-forget']),
  timeout_ms: duration,
  send_deadline_ms: duration,
  quiescence_ms: duration,
  claim_ttl_ms: duration,
  provider_key: nullable(
    record({
      place: text(256),
      retention_ms: duration,
      mismatch: choice(['refused', 'replayed', 'ignored']),
      stores: choice(['all', 'success', 'none']),
    }),
  ),
  definite_failures: words,
  read_back: nullable(record({ operation: token(128), tag: token(128), complete: boolean(), lag_ms: duration })),
  webhook: nullable(record({ scheme: token(128), key_id: token(128), positive: words, negative: words })),
  void: nullable(token(128)),
  handle: nullable(token(128)),
  profile: anything(),
  may_drift: words,
  compensation: nullable(token(128)),
  approvals: record({ count: integer(0, 16), ttl_ms: duration }),
  reconcilers: integer(1, 16),
  level: choice(['durable', 'anchored', 'witnessed']),
  minimum_grade: nullable(choice(['E0', 'E1', 'E2', 'E3', 'E4'])),
  retention_ms: nullable(integer(0, DURATION_MS_MAX)),
});

/**
 * A checked contract; throws for another form and for a promise that cannot work.
 *
 * @param {Value} data
 * @param {string} at
 * @returns {Contract}
 */
export function readContract(data, at) {
  const form = readForm(data, at);
  for (const [name, argument] of form.arguments)
    argument.read = compile(argument.schema, `${at}.arguments.${name}.schema`);
  const profile = form.profile === null ? null : compile(form.profile, `${at}.profile`);
  checkArguments(form, at);
  checkNames(form, at);
  checkPromises(form, at);
  const settleMs = form.send_deadline_ms + form.quiescence_ms;
  const key = form.provider_key;
  return {
    id: digest.contractId(/** @type {ValueMap} */ (data)),
    name: form.name,
    version: form.version,
    effectClass: form.effect_class,
    retires: form.retires,
    realm: form.realm,
    resource: form.resource,
    purpose: form.purpose,
    arguments: form.arguments,
    identity: identityOf(form),
    observability: form.observability,
    sendDeadlineMs: form.send_deadline_ms,
    settleMs,
    claimTtlMs: form.claim_ttl_ms,
    providerKey: key,
    keyed: key !== null && key.stores !== 'none' && key.retention_ms >= settleMs,
    definiteFailures: form.definite_failures,
    provesAbsence: form.read_back !== null && form.read_back.complete && form.read_back.lag_ms === 0,
    positiveMessages: form.webhook?.positive ?? [],
    negativeMessages: form.webhook?.negative ?? [],
    void: form.void,
    profile,
    mayDrift: form.may_drift,
    approvalsCount: form.approvals.count,
    approvalsTtlMs: form.approvals.ttl_ms,
    reconcilers: form.reconcilers,
  };
}

/** What all contracts of an effect class share, as one text to compare. @param {Contract} contract */
export const keyRule = (contract) => {
  const { retires } = contract;
  return JSON.stringify([
    contract.resource,
    contract.purpose !== null,
    keyParts(contract, contract.identity),
    retires && [retires.effect_class, retires.resource, retires.purpose, retires.identity],
  ]);
};

/**
 * Whether a contract says of the class that it retires what a contract of that class said itself.
 *
 * @param {Contract} contract
 * @param {Contract} old
 */
export const retiresTruly = (contract, old) =>
  contract.retires !== null &&
  contract.retires.resource === old.resource &&
  (contract.retires.purpose === null) === (old.purpose === null) &&
  JSON.stringify(keyParts(contract, contract.retires.identity)) === JSON.stringify(keyParts(old, old.identity));

/**
 * What an effect key holds of these arguments: name, and integer or text. 1 and "1" make two keys.
 *
 * @param {Contract} contract
 * @param {string[]} names
 */
const keyParts = (contract, names) =>
  [...names].sort().map((name) => {
    const type = contract.arguments.get(name)?.schema.get('type');
    return [name, type === 'integer' || type === 'time' ? 'integer' : 'text'];
  });

/**
 * Whether the key of a retired class can be made from every call under a contract.
 *
 * @param {{ realm: Map<string, string>, arguments: Map<string, Argument> }} contract
 * @param {Retires} retires
 */
export function derives(contract, { resource, purpose, identity }) {
  const places = [...resource.matchAll(PLACE)].map(([, place]) => place).filter((place) => !contract.realm.has(place));
  return [...places, ...identity, ...(purpose === null ? [] : [purpose])].every((name) => {
    const argument = contract.arguments.get(name);
    return argument !== undefined && argument.role !== 'volatile' && hasOneSpelling(argument);
  });
}

/**
 * Whether a value can stand in an effect key: never null, never free text, nothing with parts.
 *
 * @param {Argument} argument
 */
const hasOneSpelling = ({ raw, schema }) => !raw && KEY_TYPES.includes(schema.get('type')) && !schema.get('nullable');

/**
 * A resource: the template with each value percent-encoded (RFC 3986 §2.1, unreserved kept). An accent that the
 * template has behind a place may join the value's last letter: that is no text of IL1.
 *
 * @param {string} template
 * @param {Map<string, Value>} values
 */
export function expand(template, values) {
  const resource = template.replace(PLACE, (_, name) => {
    const value = values.get(name);
    if (typeof value !== 'string' && typeof value !== 'number') {
      throw new MalformedError(`resource ${template}: no text or integer for {${name}}`);
    }
    return percentEncode(String(value));
  });
  checkText(resource, 'resource');
  const size = utf8(resource).length;
  if (size < 1 || size > RESOURCE_BYTES_MAX)
    throw new MalformedError(`resource has ${size} bytes, want 1 to ${RESOURCE_BYTES_MAX}`);
  return resource;
}

/** @param {string} value */
const percentEncode = (value) =>
  Array.from(utf8(value), (byte) => {
    const character = String.fromCharCode(byte);
    return UNRESERVED.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }).join('');

/** @param {any} form @param {string} name */
const isIdentity = (form, name) => form.arguments.get(name)?.role === 'identity';

/** The names of the identity arguments without the purpose, sorted. @param {any} form @returns {string[]} */
const identityOf = (form) =>
  [...form.arguments.keys()].filter((name) => isIdentity(form, name) && name !== form.purpose).sort();

/** @param {boolean} accepted @param {string} at @param {string} reason */
function demand(accepted, at, reason) {
  if (!accepted) throw new MalformedError(`${at}: ${reason}`);
}

/** @param {any} form @param {string} at */
function checkArguments(form, at) {
  demand(
    form.effect_class === 'none' || EFFECT_CLASS.test(form.effect_class),
    at,
    'effect class is neither "none" nor words and a version',
  );
  for (const [name, argument] of form.arguments) {
    demand(
      argument.role !== 'identity' || hasOneSpelling(argument),
      at,
      `identity argument ${name} has no one spelling`,
    );
    demand(!argument.raw || argument.schema.get('type') === 'bytes', at, `raw argument ${name} is not bytes`);
    if (argument.default === null) continue;
    demand(argument.default.length === 1, at, `argument ${name} has a default without a value`);
    argument.read(argument.default[0], `${at}.arguments.${name}.default`);
  }
}

/** @param {any} form @param {string} at */
function checkNames(form, at) {
  demand(
    form.purpose === null || isIdentity(form, form.purpose),
    at,
    'the purpose is not one of its identity arguments',
  );
  for (const [, place] of form.resource.matchAll(PLACE)) {
    demand(
      form.realm.has(place) || isIdentity(form, place),
      at,
      `{${place}} is neither in the realm nor an identity argument`,
    );
  }
  demand(
    [...form.realm.keys()].every((name) => !form.arguments.has(name)),
    at,
    'a name is both realm and argument',
  );
  demand(
    form.retires === null || derives(form, form.retires),
    at,
    "the retired class's key cannot be made in this contract",
  );
  demand(form.profile !== null || form.may_drift.length === 0, at, 'may_drift without a profile');
  if (form.profile !== null) {
    demand(form.profile.get('type') === 'record' && !form.profile.get('nullable'), at, 'the profile is no record');
    const fields = form.profile.get('fields');
    demand(
      form.may_drift.every((/** @type {string} */ name) => fields.has(name)),
      at,
      'may_drift names no field of the profile',
    );
  }
}

/** Refuse what cannot work. @param {any} form @param {string} at */
function checkPromises(form, at) {
  const { observability: kind, read_back: readBack, webhook } = form;
  demand(kind !== 'queryable' || readBack !== null, at, 'queryable without a read-back');
  demand(
    kind !== 'transactional' || readBack !== null || form.handle !== null,
    at,
    'transactional without read-back or handle',
  );
  demand(
    kind !== 'webhook-confirmable' || (webhook !== null && webhook.positive.length + webhook.negative.length > 0),
    at,
    'webhook-confirmable without a webhook that lists a message',
  );
  demand(
    webhook === null || webhook.positive.every((/** @type {string} */ word) => !webhook.negative.includes(word)),
    at,
    'its webhook lists one message as positive and as negative',
  );
  demand(
    kind !== 'fire-and-forget' || (readBack === null && webhook === null && !form.void),
    at,
    'fire-and-forget with a way to ask',
  );
  demand(
    form.send_deadline_ms + form.quiescence_ms >= form.timeout_ms,
    at,
    'D + Q would pass while its answer is still waited for',
  );
  demand(form.reconcilers === 1 || readBack !== null, at, 'several reconcilers and nothing to read back');
  for (const failure of form.definite_failures) {
    const word = failure.toLowerCase();
    demand(
      !NEVER_DEFINITE.includes(word) && !NEVER_DEFINITE_STATUS.test(word),
      at,
      `${failure} proves nothing about the effect`,
    );
  }
}
