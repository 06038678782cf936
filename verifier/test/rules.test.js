/** Contracts, intents, decisions, policies, what approvers are shown, and snapshots. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../src/bytes.js';
import { expand, readContract } from '../src/contract.js';
import { attachmentDigest, eventId } from '../src/digest.js';
import { readEvent } from '../src/event.js';
import { decode, encode } from '../src/il1.js';
import { decisionKeyOf, factsOf, rederive, retiredEffect } from '../src/intent.js';
import { judge, readPolicy } from '../src/policy.js';
import { renderIntent, renderingDigest } from '../src/render.js';
import { compile } from '../src/schema.js';
import { difference, drifted } from '../src/snapshot.js';
import { loadFolder, typed } from './vectors.js';

/** Runs one case. @typedef {(name: string, each: any) => void} Check */

const MALFORMED = { code: 'malformed' };

test('every contract is accepted or refused as its vector says', () => {
  const cases = loadFolder('contract');
  assert.ok(cases.length > 100);
  for (const [name, each] of cases) {
    const data = decode(fromHex(each.il1));
    if (each.expect !== 'ok') {
      assert.throws(() => readContract(data, '$'), MALFORMED, name);
      continue;
    }
    assert.equal(toHex(encode(typed(each.contract))), each.il1, name);
    const { id, identity, keyed, provesAbsence } = readContract(data, '$');
    assert.deepEqual(
      { id, identity, keyed, provesAbsence },
      { id: each.contract_id, identity: each.identity, keyed: each.key_protects, provesAbsence: each.proves_absence },
      name,
    );
  }
});

test('every recorded intent has the names that its vector says, or is refused, and every template expands', () => {
  runEach('intent', { rederive: checkIntent, bind: checkIntent, expand: checkTemplate });
});

/** Of a case that binds a call, what it records is read: the call itself is a writer's. @type {Check} */
function checkIntent(name, each) {
  const contract = readContract(typed(each.contract), '$');
  const recorded = { purpose: each.purpose, identity: typed(each.identity), content: typed(each.content) };
  if (each.expect !== 'ok') {
    assert.throws(() => rederive(contract, recorded), MALFORMED, name);
    return;
  }
  const bound = rederive(contract, recorded);
  const { resource, effect, request } = bound;
  assert.deepEqual(
    { resource, effect, request },
    { resource: each.resource, effect: each.effect, request: each.request },
    name,
  );
  const predecessor = contract.retires === null ? null : retiredEffect(bound, contract.retires);
  assert.deepEqual(predecessor, each.predecessor ?? null, name);
  const aside = (each.attachments ?? []).map((/** @type {string} */ raw) => attachmentDigest(fromHex(raw)));
  const named = [...recorded.content.values()].flatMap((value) =>
    value instanceof Map ? [value.get('attachment')] : [],
  );
  if (each.attachments !== undefined) assert.deepEqual(named.map(toHex), aside, name);
}

/** @type {Check} */
function checkTemplate(name, { expect, template, values, resource }) {
  if (expect === 'ok') assert.equal(expand(template, typed(values)), resource, name);
  else assert.throws(() => expand(template, typed(values)), MALFORMED, name);
}

test('every decision has the key and the facts that its vector says', () => {
  const cases = loadFolder('decision');
  assert.ok(cases.length > 5);
  for (const [name, { decisions, same }] of cases) {
    const keys = decisions.map((/** @type {any} */ each) => {
      const contract = readContract(typed(each.contract), '$');
      const event = readEvent(typed(each.fields), '00'.repeat(32));
      const key = decisionKeyOf(event, rederive(contract, event.data), each.generation);
      assert.equal(key, each.decision_key, name);
      assert.deepEqual(factsOf(contract, event, each.generation), typed(each.facts), name);
      return key;
    });
    assert.equal(keys[0] === keys[1], same, name);
  }
});

test('every policy judges as its vector says', () => {
  const cases = loadFolder('policy');
  assert.ok(cases.length > 50);
  for (const [name, each] of cases) {
    if (each.expect !== 'ok') {
      assert.throws(() => readPolicy(typed(each.policy), '$'), MALFORMED, name);
      continue;
    }
    const policy = readPolicy(typed(each.policy), '$');
    assert.equal(policy.id, each.policy_id, name);
    const { answer = null, rule = null, approvals = 0 } = judge(policy, typed(each.facts), typed(each.inputs)) ?? {};
    assert.deepEqual(
      { answer, rule, approvals },
      { answer: each.answer, rule: each.rule, approvals: each.approvals },
      name,
    );
  }
});

test('every intent is shown as its vector says', () => {
  const cases = loadFolder('render');
  assert.ok(cases.length > 10);
  for (const [name, each] of cases) {
    const body = fromHex(each.body);
    const event = readEvent(/** @type {any} */ (decode(body)), eventId(body));
    const contract = readContract(typed(each.contract), '$');
    assert.equal(renderIntent(event, contract), each.text, name);
    assert.equal(renderingDigest(event, contract), each.shown, name);
  }
});

test('every snapshot is in its profile or refused, and two differ first where their vector says', () => {
  runEach('snapshot', { normal: checkSnapshot, same: checkSnapshot, differ: checkDifference, drift: checkDrift });
});

/** Of a case whose two spellings are folded into one, what comes of it is read: folding is a writer's. @type {Check} */
function checkSnapshot(name, { expect, profile, il1, normal, snapshot_id: id }) {
  const raw = fromHex(il1);
  const check = () => compile(typed(profile), 'profile')(decode(raw), 'snapshot');
  if (expect !== 'ok') {
    assert.throws(check, MALFORMED, name);
    return;
  }
  assert.doesNotThrow(check, name);
  assert.equal(attachmentDigest(raw), id, name);
  if (normal !== undefined) assert.deepEqual(decode(raw), decode(encode(typed(normal))), name);
}

/** @type {Check} */
function checkDifference(name, { profile, one, other, one_id: oneId, other_id: otherId, path }) {
  const snapshots = [typed(one), typed(other)];
  for (const snapshot of snapshots) compile(typed(profile), 'profile')(snapshot, 'snapshot');
  assert.deepEqual(
    snapshots.map((snapshot) => attachmentDigest(encode(snapshot))),
    [oneId, otherId],
    name,
  );
  assert.equal(difference(snapshots[0], snapshots[1]), path, name);
}

/** @type {Check} */
function checkDrift(name, { before, after, may_drift: mayDrift, path }) {
  assert.equal(drifted(typed(before), typed(after), mayDrift), path, name);
}

/**
 * Run every case of an area by its first flag, every flag at least once.
 *
 * @param {string} area
 * @param {Record<string, Check>} checks
 */
function runEach(area, checks) {
  const found = new Set();
  for (const [name, each] of loadFolder(area)) {
    const [flag] = each.flags;
    assert.ok(Object.hasOwn(checks, flag), `${name}: nothing runs a case of ${flag}`);
    checks[flag](name, each);
    found.add(flag);
  }
  assert.deepEqual([...found].sort(), Object.keys(checks).sort());
}
