/**
 * The closed set of event kinds: what each says, in which fields. `readEvent` is the only way from a body to an
 * event.
 *
 * Ids, keys and every other byte string of an event are hex; arguments and a verdict's inputs stay the IL1 values
 * they are.
 */
import { readContract } from './contract.js';
import { MalformedError } from './errors.js';
import {
  ABOUT_KINDS,
  ABSENT,
  CHAINED_KINDS,
  COMMITTED,
  EVIDENCE_KINDS,
  FORMAT_VERSION,
  NOT_COMMITTED,
  PRESENT,
  ROLES,
  SCOPED_ROLES,
  UNKNOWN,
} from './kind.js';
import { RAW_INLINE_BYTES_MAX, RESOURCE_BYTES_MAX, TIME_MS_MAX } from './limits.js';
import { readPolicy, readVerdict } from './policy.js';
import { anything, blob, boolean, choice, integer, mapping, nullable, record, text, token, unique } from './schema.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./il1.js').ValueMap} ValueMap */
/** @typedef {import('./schema.js').Reader} Reader */
/**
 * Which effects something is about: a class or `*`, and a resource prefix.
 *
 * @typedef {{ effect_class: string, prefix: string }} Scope
 */
/** @typedef {{ attachment: Hex, size: number }} Reference */
/**
 * @typedef {{
 *   kind: string, reference: string | null, failure: string | null, tick: Hex | null, observations: Hex[],
 *   attachment: Reference | null,
 * }} Evidence
 */
/**
 * What an issuer says, once. `effect` and `resource` are null outside an effect, `state` outside an intent. `data`
 * has the fields of its kind, as below.
 * @typedef {{
 *   id: Hex, kind: string, log: Hex, by: Hex, prev: Hex | null, effect: Hex | null, resource: string | null,
 *   state: Hex | null, data: any,
 * }} Event
 */

const id = blob(32, 32);
const idOrNull = nullable(id);
const ids = unique(id, 16);
const reason = text(4096);
const time = integer(0, TIME_MS_MAX);
const reference = nullable(record({ attachment: id, size: integer(0) }));
const scope = record({ effect_class: text(48), prefix: text(RESOURCE_BYTES_MAX) });
const evidence = record({
  kind: choice(EVIDENCE_KINDS),
  reference: nullable(text(512)),
  failure: nullable(token(128)),
  tick: idOrNull,
  observations: ids,
  attachment: reference,
});

/** @type {Record<string, Reader>} */
const DATA = {
  genesis: record({
    format: integer(FORMAT_VERSION, FORMAT_VERSION),
    origin: text(256),
    log_key: id,
    admin_keys: unique(id, 64),
  }),
  grant: record({ subject: text(256), key: id, role: choice(ROLES), scope }),
  revoke: record({ key: idOrNull, grant: idOrNull, suspect_from: nullable(integer(0)) }),
  contract: readContract,
  withdraw: record({ contract_id: id, reason }),
  policy: readPolicy,
  freeze: record({ scope, reason }),
  unfreeze: record({ scope, reason }),
  recovery: record({
    old_origin: text(256),
    origin: text(256),
    size: integer(1),
    root: id,
    checkpoint: nullable(blob(1, 16_384)),
    log_key: id,
    amnesia: boolean(),
  }),
  oath: record({ scope, recovery: id, reason }),
  tick: record({ time_ms: time, covers: integer(0), map: idOrNull }),
  intent: record({
    contract_id: id,
    purpose: text(512),
    identity: mapping(anything(), 64),
    content: mapping(anything(), 64),
    snapshot_id: idOrNull,
    after: idOrNull,
    again: idOrNull,
    verdict: readVerdict,
  }),
  approval: record({ intent: id, shown: id }),
  denial: record({ intent: id, shown: id, reason }),
  release: record({ intent: id, reason }),
  start: record({
    intent: id,
    approvals: ids,
    verdict: readVerdict,
    snapshot_id: idOrNull,
    nonce_hash: id,
    provider_key: id,
    tag: id,
  }),
  outcome: record({
    start: id,
    nonce: nullable(blob(16, 16)),
    status: choice([COMMITTED, NOT_COMMITTED, UNKNOWN]),
    evidence,
    result: nullable(blob(0, RAW_INLINE_BYTES_MAX)),
  }),
  suspect: record({ start: id }),
  redrive: record({ start: id, nonce_hash: id, provider_key: id }),
  resolution: record({
    presence: choice([PRESENT, ABSENT]),
    contract_id: id,
    generation: integer(1),
    evidence,
    of: nullable(record({ purpose: text(512), identity: mapping(anything(), 64) })),
  }),
  attestation: record({ status: choice([COMMITTED, NOT_COMMITTED]), reason, attachment: reference }),
  note: record({ about: id, text: text(16_384) }),
  observation: record({ about: id, presence: choice([PRESENT, ABSENT, 'unclear']), evidence }),
  handle: record({ about: id, handle: text(512) }),
  refusal: record({
    issuer: id,
    effect: id,
    resource: text(RESOURCE_BYTES_MAX),
    blocker: idOrNull,
    reason: token(64),
    count: integer(1),
    first_ms: time,
    last_ms: time,
  }),
};
const KINDS = Object.keys(DATA);

const COMMON = {
  v: integer(FORMAT_VERSION, FORMAT_VERSION),
  log: id,
  kind: choice(KINDS),
  by: id,
  at_ms: time,
  prev: idOrNull,
  data: anything(),
};
const OF_EFFECT = { ...COMMON, effect: id, resource: text(RESOURCE_BYTES_MAX) };
const readOther = record(COMMON);
const readOfEffect = record(OF_EFFECT);
const readIntent = record({ ...OF_EFFECT, state: id });

/**
 * The event that a decoded body says.
 *
 * @param {ValueMap} fields
 * @param {Hex} eventId
 * @returns {Event}
 */
export function readEvent(fields, eventId) {
  const kind = choice(KINDS)(fields.get('kind'), '$.kind');
  const ofEffect = CHAINED_KINDS.includes(kind) || ABOUT_KINDS.includes(kind);
  const readBody = kind === 'intent' ? readIntent : ofEffect ? readOfEffect : readOther;
  const body = readBody(fields, '$');
  const data = DATA[kind](body.data, '$.data');
  checkShape(kind, data);
  return {
    id: eventId,
    kind,
    log: body.log,
    by: body.by,
    prev: body.prev,
    effect: body.effect ?? null,
    resource: body.resource ?? null,
    state: body.state ?? null,
    data,
  };
}

/**
 * Check what a closed schema cannot say: relations between fields of one event.
 *
 * @param {string} kind
 * @param {any} data
 */
function checkShape(kind, data) {
  if (kind === 'genesis' && data.admin_keys.length === 0) {
    throw new MalformedError('$.data.admin_keys: found no key, want at least one');
  }
  if (
    kind === 'grant' &&
    !SCOPED_ROLES.includes(data.role) &&
    (data.scope.effect_class !== '*' || data.scope.prefix !== '')
  ) {
    throw new MalformedError(
      `$.data.scope: a scope does not bind the role ${data.role}, want class * and an empty prefix`,
    );
  }
  if (
    ['grant', 'freeze', 'unfreeze', 'oath'].includes(kind) &&
    data.scope.prefix !== '' &&
    !data.scope.prefix.endsWith('/')
  ) {
    throw new MalformedError('$.data.scope.prefix: want one that ends at / or is empty');
  }
  if (kind === 'revoke' && (data.key === null) === (data.grant === null)) {
    throw new MalformedError('$.data: want exactly one of key and grant, the other null');
  }
  if (kind === 'resolution' && data.presence === ABSENT && data.of !== null) {
    throw new MalformedError('$.data.of: found the parts of a key, want null where an effect is absent');
  }
  if (kind === 'attestation' && data.reason === '') {
    throw new MalformedError('$.data.reason: found no text, want what the attestor knows and how');
  }
}
