/**
 * Which decisions are allowed: `judge(policy, facts, inputs)` gives a verdict, and the same one in every replay.
 *
 * Rules are read in order and the first that matches answers; no match is a deny, and so is any error while a rule is
 * evaluated: a rule that cannot be read must not be skipped. What a budget counts is `budget`'s.
 */
import { sameBytes } from './bytes.js';
import * as digest from './digest.js';
import { MalformedError } from './errors.js';
import { DURATION_MS_MAX, RESOURCE_BYTES_MAX, TIME_MS_MAX } from './limits.js';
import { anything, blob, choice, integer, listing, mapping, nullable, record, text, token } from './schema.js';

/** @typedef {import('./bytes.js').Hex} Hex */
/** @typedef {import('./il1.js').Value} Value */
/** @typedef {import('./il1.js').ValueMap} ValueMap */
/** @typedef {{ field: string[], test: string, value: Value }} Condition */
/** @typedef {{ name: string, then: string, approvals: number, when: Condition[] }} Rule */
/** What is counted, how, and over which time. `sum`: the argument that is added up, null where intents are counted.
 * @typedef {{ effect_class: string, prefix: string, each: string, sum: string | null, window_ms: number | null }} Budget */
/** `rules` is null for an engine that this program does not have: its verdicts are not checked.
 * @typedef {{ id: Hex, engine: string, rules: Rule[] | null, budgets: Map<string, Budget>,
 *   snapshotFields: Set<string> }} Policy */
/** @typedef {{ answer: string, rule: string | null, approvals: number }} Judgement */
/**
 * `inputs` is the IL1 map as it was recorded.
 *
 * @typedef {{ policy_id: Hex, inputs: ValueMap, answer: string, rule: string | null, approvals: number }} Verdict
 */

const ENGINE = 'rules/1';
const ANSWERS = ['allow', 'deny', 'ask'];

const readForm = record({ name: token(128), engine: token(64), source: anything() });
const readCondition = record({
  field: listing(token(128), 4),
  test: choice(['equals', 'one_of', 'at_most', 'at_least', 'prefix']),
  value: anything(),
});
const readRule = record({
  name: token(128),
  then: choice(ANSWERS),
  approvals: integer(0, 16),
  when: listing(readCondition, 32),
});
const readRules = record({ rules: listing(readRule, 256) });
const readBudget = record({
  effect_class: text(48),
  prefix: text(RESOURCE_BYTES_MAX),
  each: choice(['log', 'resource']),
  sum: nullable(token(128)),
  window_ms: nullable(integer(1, DURATION_MS_MAX)),
});
const readBudgeted = record({ budgets: mapping(readBudget, 16), rules: listing(readRule, 256) });
const checkInputs = record({
  now_ms: integer(0, TIME_MS_MAX),
  snapshot: mapping(anything(), 64),
  budgets: mapping(record({ value: integer(), as_of: integer(0) }), 64),
});

/** Reads a recorded verdict; `inputs` stay the IL1 map that they are, since policies may read any of it. */
export const readVerdict = record({
  policy_id: blob(32, 32),
  inputs: (/** @type {Value} */ value, /** @type {string} */ at) => {
    checkInputs(value, at);
    return value;
  },
  answer: choice(ANSWERS),
  rule: nullable(token(128)),
  approvals: integer(0, 16),
});

/**
 * A checked policy; throws for another form, or a rule name used twice.
 *
 * @param {Value} data
 * @param {string} at
 * @returns {Policy}
 */
export function readPolicy(data, at) {
  const form = readForm(data, at);
  const budgeted = form.source instanceof Map && form.source.has('budgets');
  const source = form.engine === ENGINE ? (budgeted ? readBudgeted : readRules)(form.source, `${at}.source`) : {};
  const rules = /** @type {Rule[] | null} */ (source.rules ?? null);
  const budgets = /** @type {Map<string, Budget>} */ (source.budgets ?? new Map());
  if (rules !== null && new Set(rules.map(({ name }) => name)).size !== rules.length) {
    throw new MalformedError(`${at}.source.rules: found one name twice, want a name of its own for every rule`);
  }
  if (source.budgets?.size === 0) throw new MalformedError(`${at}.source.budgets: want it left out where there are none`);
  for (const [name, { prefix }] of budgets) {
    if (prefix !== '' && !prefix.endsWith('/'))
      throw new MalformedError(`${at}.source.budgets.${name}.prefix: want one that ends at / or is empty`);
  }
  const fields = (rules ?? []).flatMap(({ when }) => when.map(({ field }) => field));
  /** @param {string} outermost */
  const read = (outermost) =>
    fields.filter((field) => field.length > 1 && field[0] === outermost).map(([, name]) => name);
  const undeclared = read('budgets').find((name) => !budgets.has(name));
  if (undeclared !== undefined) throw new MalformedError(`${at}.source.rules: budget ${undeclared} is not declared`);
  return {
    id: digest.policyId(/** @type {ValueMap} */ (data)),
    engine: form.engine,
    rules,
    budgets,
    snapshotFields: new Set(read('snapshot')),
  };
}

/**
 * The policy's answer for a decision; null where this program lacks its engine.
 *
 * @param {Policy} policy
 * @param {ValueMap} facts  what the decision itself says
 * @param {ValueMap} inputs  what was read elsewhere and recorded
 * @returns {Judgement | null}
 */
export function judge(policy, facts, inputs) {
  if (policy.rules === null) return null;
  const world = new Map([...facts, ...inputs]);
  for (const rule of policy.rules) {
    const matched = matches(rule, world);
    if (matched === null) return { answer: 'deny', rule: rule.name, approvals: 0 };
    if (matched) return { answer: rule.then, rule: rule.name, approvals: rule.then === 'ask' ? rule.approvals : 0 };
  }
  return { answer: 'deny', rule: null, approvals: 0 };
}

/**
 * Conditions in order to the first that does not hold; null where one cannot be evaluated.
 *
 * @param {Rule} rule
 * @param {ValueMap} world
 */
function matches(rule, world) {
  for (const condition of rule.when) {
    const held = holds(condition, world);
    if (!held) return held;
  }
  return true;
}

/** @param {Condition} condition @param {ValueMap} world @returns {boolean | null} */
function holds({ field, test, value: wanted }, world) {
  let found = /** @type {Value} */ (world);
  for (const name of field) {
    if (!(found instanceof Map) || !found.has(name)) return null;
    found = found.get(name);
  }
  switch (test) {
    case 'equals':
      return equals(found, wanted);
    case 'one_of':
      return isOneOf(found, wanted);
    case 'prefix':
      return typeof found === 'string' && typeof wanted === 'string' ? found.startsWith(wanted) : null;
    default:
      if (typeof found !== 'number' || typeof wanted !== 'number') return null;
      return test === 'at_most' ? found <= wanted : found >= wanted;
  }
}

/** @param {Value} found @param {Value} wanted */
function equals(found, wanted) {
  if (found instanceof Uint8Array && wanted instanceof Uint8Array) return sameBytes(found, wanted);
  const comparable = typeof found === typeof wanted && ['string', 'number', 'boolean'].includes(typeof found);
  return comparable ? found === wanted : null;
}

/** @param {Value} found @param {Value} wanted */
function isOneOf(found, wanted) {
  const comparable = typeof found === 'string' || typeof found === 'number';
  if (!comparable || !Array.isArray(wanted) || wanted.some((each) => typeof each !== typeof found)) return null;
  return wanted.includes(found);
}
