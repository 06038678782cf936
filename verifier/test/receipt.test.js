import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex } from '../src/bytes.js';
import { isReceipt, verifyReceipt } from '../src/index.js';
import { loadFolder } from './vectors.js';

const cases = loadFolder('receipt');

test('every receipt proves what its vector says, whether or not its key is trusted', async () => {
  const valid = cases.filter(([, { expect }]) => expect === 'ok');
  assert.ok(valid.length > 10);
  for (const [name, { receipt, trust, report }] of valid) {
    const bytes = fromHex(receipt);
    assert.ok(isReceipt(bytes), name);
    // A receipt says of its effect what replay does, but for these three.
    const { effect_class: _class, purpose: _purpose, attempts: _attempts, ...effect } = report.effect;
    const wanted = { v: 1, ok: true, ...report, ...effect };
    delete wanted.effect;
    assert.deepEqual(said(await verifyReceipt(bytes, { trust })), wanted, name);
    assert.deepEqual(said(await verifyReceipt(bytes)), { ...wanted, trusted: false }, name);
  }
});

/** Without words. @param {any} report */
function said({ checked, not_checked: notChecked, findings, ...report }) {
  assert.ok(checked.length > 0 && notChecked.length > 0);
  return { ...report, findings: findings.map(({ code, severity, index }) => ({ code, severity, index })) };
}

test('every broken receipt is refused with the code of its vector, and for its fault', async () => {
  const broken = cases.filter(([, { expect }]) => expect !== 'ok');
  assert.ok(broken.length > 20);
  for (const [name, { receipt, trust, expect, leaf }] of broken) {
    const { findings, ...report } = await verifyReceipt(fromHex(receipt), { trust });
    assert.deepEqual(report, { v: 1, ok: false, trusted: false }, name);
    assert.deepEqual(
      findings.map(({ code, severity }) => [code, severity]),
      [[expect, 'error']],
      name,
    );
    assert.ok(findings[0].message.includes(leaf ?? ''), `${name}: ${findings[0].message}`);
  }
});

test('a key that is no key is not an answer about the receipt', async () => {
  await assert.rejects(verifyReceipt(new Uint8Array(0), { trust: 'example.com/log' }), { code: 'malformed' });
});
