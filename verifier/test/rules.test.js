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
import { loadFolder, typed } from './vectors.js';

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

test('every recorded intent has the names that its vector says, or is refused', () => {
  const cases = loadFolder('intent').filter(
    ([, { identity, arguments: args }]) => identity !== undefined && args === undefined,
  );
  assert.ok(cases.length > 10);
  for (const [name, each] of cases) {
    const contract = readContract(typed(each.contract), '$');
    const recorded = { purpose: each.purpose, identity: typed(each.identity), content: typed(each.content) };
    if (each.expect !== 'ok') {
      assert.throws(() => rederive(contract, recorded), MALFORMED, name);
      continue;
    }
    const bound = rederive(contract, recorded);
    const { resource, effect, request } = bound;
    const predecessor = contract.retires === null ? null : retiredEffect(bound, contract.retires);
    assert.deepEqual(
      { resource, effect, request, predecessor },
      { resource: each.resource, effect: each.effect, request: each.request, predecessor: each.predecessor },
      name,
    );
  }
});

test('every template expands as its vector says', () => {
  const cases = loadFolder('intent').filter(([, { template }]) => template !== undefined);
  assert.ok(cases.length > 3);
  for (const [name, { expect, template, values, resource }] of cases) {
    if (expect === 'ok') assert.equal(expand(template, typed(values)), resource, name);
    else assert.throws(() => expand(template, typed(values)), MALFORMED, name);
  }
});

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

test('every snapshot on the wire is in its profile or refused, as its vector says', () => {
  const cases = loadFolder('snapshot').filter(([, { il1, one }]) => il1 !== undefined && one === undefined);
  assert.ok(cases.length > 20);
  for (const [name, { expect, profile, il1, snapshot_id: id }] of cases) {
    const raw = fromHex(il1);
    const check = () => compile(typed(profile), 'profile')(decode(raw), 'snapshot');
    if (expect !== 'ok') {
      assert.throws(check, MALFORMED, name);
      continue;
    }
    assert.doesNotThrow(check, name);
    assert.equal(attachmentDigest(raw), id, name);
  }
});
