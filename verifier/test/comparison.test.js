/** How often a comparison reads what it compares, which no report says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Comparison } from '../src/comparison.js';
import { encode } from '../src/il1.js';

/**
 * A comparison that has seen a START for each contract named, all of one intent's snapshot and of one other.
 *
 * @param {Map<string, any>} contracts
 * @param {string[]} named
 */
function started(contracts, named) {
  const inputs = new Map([
    ['now_ms', 0],
    ['snapshot', new Map()],
    ['budgets', new Map()],
  ]);
  const policy = { engine: 'none', budgets: new Map(), snapshotFields: new Set() };
  const governance = { contracts, policies: new Map([['p', policy]]), suspects: new Map(), recoveries: [] };
  const fold = { index: 0, governance };
  const comparison = new Comparison(/** @type {any} */ (fold), () => {}, null);
  for (const [at, id] of named.entries()) {
    const state = { effect: `${at}`, status: 'claimed', claim: { contractId: id }, absorbed: 0 };
    const verdict = { policy_id: 'p', inputs };
    const data = { purpose: '', identity: new Map(), content: new Map(), contract_id: id, again: null, verdict };
    const say = (/** @type {string} */ kind, /** @type {string} */ snapshot_id) => {
      const event = { id: `${at}`, kind, by: 'k', effect: state.effect, data: { ...data, snapshot_id } };
      const before = { state, now: 0, own: null };
      comparison.after(/** @type {any} */ (event), /** @type {any} */ (before), /** @type {any} */ ({ effect: state }));
      fold.index += 1;
    };
    say('intent', 'decided');
    say('start', 'seen');
  }
  return comparison;
}

test('a snapshot is decoded once, checked and compared once under each contract, however many leaves name it', () => {
  /** @type {any[]} */
  const checked = [];
  let compared = 0;
  const mayDrift = /** @type {any} */ ({
    includes() {
      compared += 1;
      return true;
    },
  });
  const profile = (/** @type {any} */ value) => checked.push(value);
  const contracts = new Map(['one', 'two'].map((id) => [id, { id, profile, mayDrift }]));
  const comparison = started(contracts, ['one', 'two', 'one', 'two', 'one']);
  const attachments = ['decided', 'seen'].map((id) => ({ id, raw: encode(new Map([['id', id]])) }));
  comparison.checkAttachments(attachments);
  assert.deepEqual(checked.map((value) => value.get('id')), ['decided', 'decided', 'seen', 'seen']);
  assert.equal(new Set(checked).size, 2);
  assert.equal(compared, 4); // the one field of both, under each contract
});
