/** That nothing in ../vectors is passed over in silence. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { WRITERS_ALONE, load, loadFolder, loadList } from './vectors.js';

const { areas, files } = load('manifest.json');
const AREAS_OF_LISTS = ['cbor', 'ed25519', 'text'];

test('every file of the vectors is loaded by a test', () => {
  const tests = readdirSync(new URL('.', import.meta.url)).filter((name) => name.endsWith('.test.js'));
  const text = tests.map((name) => readFileSync(new URL(name, import.meta.url), 'utf8')).join('\n');
  for (const file of Object.keys(files)) {
    const [area] = file.split('/');
    const call = AREAS_OF_LISTS.includes(area) ? `('${file}')` : `('${area}'`;
    const loaded = ['load', 'loadList', 'loadFolder', 'runEach'].some((name) => text.includes(`${name}${call}`));
    assert.ok(loaded, `no test runs ${file}`);
  }
});

test('what is left to writers is as much as is said here and in the README, and the rest is everything', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const left = [];
  for (const [area, cases] of Object.entries(areas)) {
    const lists = Object.keys(files).filter((file) => file.startsWith(`${area}/`));
    const run = AREAS_OF_LISTS.includes(area) ? lists.flatMap(loadedOf) : loadFolder(area);
    const { cases: alone = 0, why = '' } = WRITERS_ALONE[area] ?? {};
    assert.equal(run.length, cases - alone, area);
    if (alone > 0) left.push(`| \`${area}\` | ${alone} | ${why} |`);
  }
  assert.equal(left.length, Object.keys(WRITERS_ALONE).length);
  for (const row of left) assert.ok(readme.includes(row), `README.md has no row ${row}`);
});

/** The text area is one list of ranges, and one case. @param {string} file */
const loadedOf = (file) => (files[file].cases === 1 ? [load(file)] : loadList(file));
