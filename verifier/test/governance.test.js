/** What the state that governance events leave answers, where no vector can ask it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Governance } from '../src/governance.js';

test('a lineage is looked up class by class, however many contracts there are', () => {
  const retiring = (/** @type {number} */ version) => ({
    effectClass: `a/${version}`,
    retires: version > 1 ? { effect_class: `a/${version - 1}`, resource: 'r', purpose: null, identity: [] } : null,
  });
  const [first, second, third] = [1, 2, 3].map(retiring);
  const retires = new Map([first, second].map((each) => [each.effectClass, each.retires]));
  const governance = new Governance(/** @type {any} */ ({ contracts: new Map(), retires }));
  assert.deepEqual([...governance.lineage(/** @type {any} */ (third))], [third.retires, second.retires]);
});
