/** What the state that governance events leave answers, where no vector can ask it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Governance, govern } from '../src/governance.js';

test('a lineage is looked up class by class, however many contracts there are', () => {
  const retiring = (/** @type {number} */ version) => ({
    effectClass: `a/${version}`,
    retires: version > 1 ? { effect_class: `a/${version - 1}`, resource: 'r', purpose: null, identity: [] } : null,
  });
  const [first, second, third] = [1, 2, 3].map(retiring);
  const classes = new Map([first, second].map((each) => [each.effectClass, each]));
  const governance = new Governance(/** @type {any} */ ({ contracts: new Map(), classes }));
  assert.deepEqual([...governance.lineage(/** @type {any} */ (third))], [third.retires, second.retires]);
});

test('a contract is compared with the first of its class alone, however many there are', async () => {
  const made = (/** @type {number} */ version) => ({
    ...{ id: `${version}`, name: 'a', version, effectClass: 'a/1', retires: null },
    ...{ resource: 'r', purpose: null, identity: [], arguments: new Map(), realm: new Map() },
  });
  const contracts = new Map([1, 2].map((each) => [`${each}`, made(each)]));
  contracts.values = () => assert.fail('walked');
  const classes = new Map([['a/1', made(1)]]);
  const grants = [{ id: '', key: 'admin', role: 'admin', scope: { effect_class: '*', prefix: '' } }];
  const retired = new Map();
  const before = new Governance(
    /** @type {any} */ ({ contracts, classes, grants, retired, latest: new Map([['a', '2']]) }),
  );
  const event = { id: 'e', kind: 'contract', by: 'admin', data: made(3) };
  const after = await govern(before, /** @type {any} */ (event), /** @type {any} */ ({}));
  assert.ok(after instanceof Governance);
  assert.equal(after.contracts.size, 3);
});
