/**
 * Who may do what, under which contract and policy, at one position of the log.
 *
 * A governance event is in force from the leaf after its own; genesis's keys from leaf 0. The state is a value: each
 * event makes another one.
 */
import { fromHex, toHex } from './bytes.js';
import { openCheckpoint } from './checkpoint.js';
import { derives, keyRule, retiresTruly } from './contract.js';
import { VerifyError } from './errors.js';
import { LOG_KEY, checkKeyName, checkPublicKey, verifierKey } from './keys.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./contract.js').Contract} Contract */
/** @typedef {import('./contract.js').Retires} Retires */
/** @typedef {import('./policy.js').Policy} Policy */
/** @typedef {import('./event.js').Event} Event */
/** @typedef {import('./event.js').Scope} Scope */
/** @typedef {import('./world.js').Position} Position */
/** `id` is the event that gave it; empty for genesis's admin keys, which only their key can name.
 * @typedef {{ id: Hex, key: Hex, role: string, scope: Scope }} Granted */
/**
 * One recovery with amnesia: its leaf, the classes retired before it, and the scopes that oaths have sworn clean.
 *
 * @typedef {{ id: Hex, index: number, retired: string[], oaths: Scope[] }} Recovered
 */

const EVERYTHING = { effect_class: '*', prefix: '' };
const GENESIS_LOG = '00'.repeat(32);

/** A rule that an event breaks: its stable code, and why in words. */
export class Refused {
  /** @param {string} code @param {string} reason */
  constructor(code, reason) {
    this.code = code;
    this.reason = reason;
  }
}

/** @param {Scope} scope @param {string} effectClass @param {string} resource */
export const covers = (scope, effectClass, resource) =>
  ['*', effectClass].includes(scope.effect_class) && resource.startsWith(scope.prefix);

/**
 * Everything that governance events say, folded. `retired` maps an effect class to the contract that retired it,
 * `classes` a class to its first contract, whose key rule all its contracts share, and `suspects` a key to the leaf
 * that it is suspect from.
 */
export class Governance {
  /**
   * @param {{
   *   head: Hex, logId: Hex, origin: string, origins: string[], logKey: Hex, grants: Granted[],
   *   contracts: Map<Hex, Contract>,
   *   latest: Map<string, Hex>, withdrawn: Hex[], retired: Map<string, Hex>,
   *   classes: Map<string, Contract>, policy: Policy | null,
   *   policies: Map<Hex, Policy>, freezes: Scope[], recoveries: Recovered[],
   *   suspects: Map<Hex, number>,
   * }} state
   */
  constructor(state) {
    this.head = state.head;
    this.logId = state.logId;
    this.origin = state.origin;
    this.origins = state.origins;
    this.logKey = state.logKey;
    this.grants = state.grants;
    this.contracts = state.contracts;
    this.latest = state.latest;
    this.withdrawn = state.withdrawn;
    this.retired = state.retired;
    this.classes = state.classes;
    this.policy = state.policy;
    this.policies = state.policies;
    this.freezes = state.freezes;
    this.recoveries = state.recoveries;
    this.suspects = state.suspects;
  }

  /** @param {Partial<Governance>} changes */
  with(changes) {
    return new Governance({ ...this, ...changes });
  }

  /**
   * Whether a key holds a role over an effect here.
   *
   * @param {Hex} key
   * @param {string} role
   * @param {string} effectClass
   * @param {string} resource
   */
  holds(key, role, effectClass, resource) {
    return this.grants.some(
      (grant) => grant.key === key && grant.role === role && covers(grant.scope, effectClass, resource),
    );
  }

  /** Whether a key holds any grant at all, or is the log key. @param {Hex} key */
  granted(key) {
    return key === this.logKey || this.grants.some((grant) => grant.key === key);
  }

  /** @param {string} effectClass @param {string} resource */
  frozen(effectClass, resource) {
    return this.freezes.some((scope) => covers(scope, effectClass, resource));
  }

  /** Whether this is the last version of its name and its class is not retired. @param {Contract} contract */
  inForce(contract) {
    return this.latest.get(contract.name) === contract.id && !this.retired.has(contract.effectClass);
  }

  /**
   * How the keys of all classes that came before a contract's derive, the last one first.
   *
   * @param {Contract} contract
   * @returns {Generator<Retires>}
   */
  *lineage(contract) {
    let { retires } = contract;
    while (retires !== null) {
      yield retires;
      retires = this.classes.get(retires.effect_class)?.retires ?? null;
    }
  }
}

/**
 * The state after genesis, or why these bytes do not begin a log.
 *
 * @param {Event} event
 * @returns {Governance | Refused}
 */
export function found(event) {
  const { data } = event;
  if (event.kind !== 'genesis' || event.log !== GENESIS_LOG || event.prev !== null) {
    return new Refused('genesis-invalid', 'leaf 0 is not a genesis event with an empty log and prev');
  }
  const fault = faultOf(() => {
    checkKeyName(data.origin);
    [data.log_key, ...data.admin_keys].forEach(checkPublicKey);
  });
  if (fault !== null) return new Refused('genesis-invalid', fault);
  if (!data.admin_keys.includes(event.by))
    return new Refused('genesis-invalid', 'genesis is not signed by one of its admin keys');
  return new Governance({
    head: event.id,
    logId: event.id,
    origin: data.origin,
    origins: [data.origin],
    logKey: data.log_key,
    grants: data.admin_keys.map((/** @type {Hex} */ key) => ({ id: '', key, role: 'admin', scope: EVERYTHING })),
    contracts: new Map(),
    latest: new Map(),
    withdrawn: [],
    retired: new Map(),
    classes: new Map(),
    policy: null,
    policies: new Map(),
    freezes: [],
    recoveries: [],
    suspects: new Map(),
  });
}

/**
 * The state after a governance event, or the rule that it breaks; whether it names the chain's head is the caller's
 * to ask.
 *
 * @param {Governance} before
 * @param {Event} event
 * @param {Position} position
 * @returns {Promise<Governance | Refused>}
 */
export async function govern(before, event, position) {
  const role = event.kind === 'oath' ? 'attestor' : 'admin';
  const allowed =
    event.kind === 'oath'
      ? before.grants.some(
          ({ key, role: held, scope }) => key === event.by && held === role && contains(scope, event.data.scope),
        )
      : before.holds(event.by, role, '*', '');
  if (!allowed) return new Refused('grant-missing', `key_${event.by} holds no grant as ${role} at this position`);
  const after = await apply(before, event, position);
  return after instanceof Refused ? after : after.with({ head: event.id });
}

/** @param {Governance} before @param {Event} event @param {Position} position */
async function apply(before, event, position) {
  const { data } = event;
  switch (event.kind) {
    case 'grant':
      return grant(before, event);
    case 'revoke':
      return revoke(before, data);
    case 'contract':
      return register(before, data);
    case 'withdraw':
      if (!before.contracts.has(data.contract_id))
        return new Refused('contract-unknown', `no contract ctr_${data.contract_id} is registered`);
      return before.with({ withdrawn: [...before.withdrawn, data.contract_id] });
    case 'policy':
      return before.with({ policy: data, policies: new Map([...before.policies, [data.id, data]]) });
    case 'freeze':
      return before.with({ freezes: [...before.freezes, data.scope] });
    case 'unfreeze':
      return unfreeze(before, data.scope);
    case 'recovery':
      return recover(before, event, position);
    case 'oath':
      return swear(before, data);
    default:
      return new Refused('transition-invalid', `a second ${event.kind} event, want it at leaf 0 only`);
  }
}

/** @param {Governance} before @param {Event} event */
function grant(before, { id, data }) {
  const fault = faultOf(() => checkPublicKey(data.key));
  if (fault !== null) return new Refused('key-invalid', fault);
  return before.with({ grants: [...before.grants, { id, key: data.key, role: data.role, scope: data.scope }] });
}

/** @param {Governance} before @param {{ key: Hex | null, grant: Hex | null, suspect_from: number | null }} data */
function revoke(before, data) {
  const ends = (/** @type {Granted} */ { key, id }) => (data.key !== null ? key === data.key : id === data.grant);
  const left = before.grants.filter((each) => !ends(each));
  if (left.length === before.grants.length)
    return new Refused('grant-unknown', 'no grant in force has this key or event id');
  if (!left.some(({ role }) => role === 'admin'))
    return new Refused('last-admin', 'this would leave the log without an admin');
  if (data.suspect_from === null) return before.with({ grants: left });
  const suspects = new Map(before.suspects);
  for (const { key } of before.grants.filter(ends)) {
    suspects.set(key, Math.min(data.suspect_from, suspects.get(key) ?? Infinity));
  }
  return before.with({ grants: left, suspects });
}

/** @param {Governance} before @param {Contract} contract */
function register(before, contract) {
  const { contracts, latest, retired } = before;
  const { effectClass, name, retires } = contract;
  if (retired.has(effectClass)) return new Refused('class-retired', `effect class ${effectClass} is retired`);
  const last = contracts.get(latest.get(name) ?? '');
  if (last !== undefined && last.version >= contract.version) {
    return new Refused('contract-version', `version ${contract.version} of ${name}, want more than ${last.version}`);
  }
  const refusal = checkKeyRule(before, contract);
  if (refusal !== null) return refusal;
  // The first contract of the class retires the old one; its later versions and its siblings say so again.
  const retiresMore = retires !== null && !retired.has(retires.effect_class);
  return before.with({
    contracts: new Map([...contracts, [contract.id, contract]]),
    latest: new Map([...latest, [name, contract.id]]),
    retired: retiresMore ? new Map([...retired, [retires.effect_class, contract.id]]) : retired,
    classes: new Map([[effectClass, contract], ...before.classes]),
  });
}

/**
 * Two tools that do one thing must get one key, in every version of the class that is or was in force.
 *
 * @param {Governance} before
 * @param {Contract} contract
 */
function checkKeyRule(before, contract) {
  const { classes, contracts, retired } = before;
  const { effectClass, retires } = contract;
  if (retires !== null) {
    const successor = contracts.get(retired.get(retires.effect_class) ?? '');
    if (retires.effect_class === effectClass || (successor !== undefined && successor.effectClass !== effectClass)) {
      return new Refused('class-retired', `effect class ${retires.effect_class} cannot be retired by this contract`);
    }
  }
  if (![...before.lineage(contract)].every((older) => derives(contract, older))) {
    return new Refused('key-rule-differs', 'from this contract, the key of a class retired earlier does not derive');
  }
  // The first contract of a class speaks for all of them. Those of `none` may differ, until a class retires it.
  const differing = retires?.effect_class === 'none' && !retired.has('none');
  for (const other of (differing ? contracts : classes).values()) {
    const reason = differenceOf(contract, other, retired);
    if (reason !== null)
      return new Refused('key-rule-differs', `contract ${other.name}, effect class ${other.effectClass}: ${reason}`);
  }
  return null;
}

/**
 * Why two contracts may give one call two keys, or null.
 *
 * @param {Contract} contract
 * @param {Contract} other
 * @param {Map<string, Hex>} retired
 */
function differenceOf(contract, other, retired) {
  const { effectClass, retires } = contract;
  const known = other.effectClass;
  if (known === effectClass && known !== 'none' && keyRule(other) !== keyRule(contract)) {
    return 'the key rule of the class is another one';
  }
  if (known === retires?.effect_class && !retiresTruly(contract, other))
    return 'the retired key is made of other arguments';
  const isOtherVersion = known !== effectClass && known !== retires?.effect_class && !retired.has(known);
  return isOtherVersion && wordsOf(known) === wordsOf(effectClass)
    ? 'is in force: another version has to retire it'
    : null;
}

/** An effect class without its version. @param {string} effectClass */
const wordsOf = (effectClass) => effectClass.split('/')[0];

/** @param {Governance} before @param {Scope} scope */
function unfreeze(before, scope) {
  const same = (/** @type {Scope} */ other) =>
    other.effect_class === scope.effect_class && other.prefix === scope.prefix;
  if (!before.freezes.some(same)) return new Refused('freeze-unknown', 'no freeze has exactly this scope');
  return before.with({ freezes: before.freezes.filter((other) => !same(other)) });
}

/** @param {Governance} before @param {Event} event @param {Position} position */
async function recover(before, { id, data }, { index, root }) {
  const fault = faultOf(() => {
    checkKeyName(data.origin);
    checkPublicKey(data.log_key);
  });
  if (fault !== null) return new Refused('recovery-invalid', fault);
  if (data.old_origin !== before.origin || before.origins.includes(data.origin)) {
    return new Refused(
      'recovery-invalid',
      `a recovery names the origin ${before.origin} as its old one and takes one that the log never had`,
    );
  }
  if (data.size !== index || (root !== null && data.root !== toHex(root))) {
    return new Refused('recovery-invalid', 'size and root are not those of the leaves before it');
  }
  if (!data.amnesia && !(await endsAtCheckpoint(before, data))) {
    return new Refused('recovery-invalid', "without amnesia, the old key's last checkpoint over this prefix is wanted");
  }
  const recovered = { id, index, retired: [...before.retired.keys()], oaths: [] };
  return before.with({
    logId: id,
    origin: data.origin,
    origins: [...before.origins, data.origin],
    logKey: data.log_key,
    recoveries: data.amnesia ? [...before.recoveries, recovered] : before.recoveries,
  });
}

/**
 * Whether the old key signed a checkpoint over exactly the leaves before a planned change.
 *
 * @param {Governance} before
 * @param {any} data
 */
async function endsAtCheckpoint(before, data) {
  try {
    const last = await openCheckpoint(
      fromHex(data.checkpoint ?? ''),
      verifierKey(before.origin, LOG_KEY, before.logKey),
    );
    return last.size === data.size && toHex(last.root) === data.root;
  } catch (error) {
    if (error instanceof VerifyError) return false;
    throw error;
  }
}

/** @param {Governance} before @param {{ scope: Scope, recovery: Hex }} data */
function swear(before, data) {
  if (!before.recoveries.some(({ id }) => id === data.recovery)) {
    return new Refused('recovery-unknown', 'an oath is about a recovery of this log');
  }
  return before.with({
    recoveries: before.recoveries.map((each) =>
      each.id === data.recovery ? { ...each, oaths: [...each.oaths, data.scope] } : each,
    ),
  });
}

/** @param {Scope} outer @param {Scope} inner */
const contains = (outer, inner) =>
  ['*', inner.effect_class].includes(outer.effect_class) && inner.prefix.startsWith(outer.prefix);

/** The message of what a check throws, or null. @param {() => void} check */
function faultOf(check) {
  try {
    check();
    return null;
  } catch (error) {
    if (error instanceof VerifyError) return error.message;
    throw error;
  }
}
