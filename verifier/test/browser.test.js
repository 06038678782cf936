/** What runs here runs in a browser. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fromHex } from '../src/bytes.js';
import { replay, verifyReceipt } from '../src/index.js';
import { load } from './vectors.js';

const SOURCES = new URL('../src/', import.meta.url);
const OF_NODE =
  /\b(?:Buffer|__dirname|__filename|global|module|process|require|setImmediate)\b|\bnode:|\bimport\.meta\b|\bimport\(/;

test('no source names what only Node has', () => {
  const names = readdirSync(SOURCES);
  assert.ok(names.length > 30);
  for (const name of names) {
    const code = readFileSync(new URL(name, SOURCES), 'utf8').replaceAll(/import\('\.[^']*'\)/g, ''); // types
    assert.equal(OF_NODE.exec(code)?.[0], undefined, name);
  }
});

test('a page with an import map says of a bundle and a receipt what Node does', async () => {
  const { bundle, trust } = load('fork/same.json');
  const { receipt } = load('receipt/committed.json');
  const child = spawnSync(
    process.execPath,
    ['--experimental-vm-modules', '--no-warnings', fileURLToPath(new URL('page.js', import.meta.url))],
    { input: JSON.stringify({ bundle, receipt, trust }), encoding: 'utf8' },
  );
  assert.equal(child.stderr, '');
  const { report, proved } = JSON.parse(child.stdout);
  assert.deepEqual(report, await replay(fromHex(bundle), { trust }));
  assert.deepEqual(proved, await verifyReceipt(fromHex(receipt), { trust }));
  assert.deepEqual([report.trusted, report.effects.length, proved.trusted], [true, 1, true]);
});
