import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, join, toHex } from '../src/bytes.js';
import { CutError, MalformedError } from '../src/errors.js';
import { arrayHead, decode, decodeItem, encode, readArrayHead, readByteString } from '../src/il1.js';
import { assignedRanges, inRepertoire } from '../src/repertoire.js';
import { load, loadList } from './vectors.js';

/** A vector's value as IL1 has it; `shuffled` turns every map's keys round. @param {any} value @returns {any} */
function parsed(value, shuffled = false) {
  if (Array.isArray(value)) return value.map((item) => parsed(item, shuffled));
  if (value === null || typeof value !== 'object') return value;
  const [[name, inner]] = Object.entries(value);
  if (name === '$bytes') return fromHex(inner);
  if (name === '$float') return { nan: NaN, inf: Infinity, '-inf': -Infinity }[String(inner)] ?? Number(inner);
  if (name === '$map') {
    const rows = inner.map(([key, item]) => [parsed(key, shuffled), parsed(item, shuffled)]);
    return new Map(shuffled ? rows.reverse() : rows);
  }
  throw new Error(`vector: ${name} is not known here`);
}

test('every accepted vector decodes to its value and encodes to its bytes, keys in any order', () => {
  const cases = load('cbor/accept.json');
  assert.ok(cases.length > 40);
  for (const { id, hex, value } of cases) {
    const raw = fromHex(hex);
    assert.deepEqual(decode(raw), parsed(value), id);
    assert.equal(toHex(encode(parsed(value))), hex, id);
    assert.equal(toHex(encode(parsed(value, true))), hex, id);
  }
});

test('every rejected vector is refused', () => {
  const cases = load('cbor/reject.json');
  assert.ok(cases.length > 100);
  for (const { id, hex } of cases) assert.throws(() => decode(fromHex(hex)), MalformedError, id);
});

test('every value that IL1 cannot say is refused by the encoder', () => {
  for (const { id, value } of loadList('cbor/encode_reject.json')) {
    assert.throws(() => encode(parsed(value)), MalformedError, id);
  }
});

test('a byte order mark in text is text like any other', () => {
  const raw = fromHex('66efbbbf616263'); // "\ufeffabc"
  assert.equal(decode(raw), '\ufeffabc');
  assert.equal(toHex(encode('\ufeffabc')), toHex(raw));
});

test('bytes that are not UTF-8 are refused, the replacement character is not', () => {
  assert.throws(() => decode(fromHex('61ff')), MalformedError);
  assert.equal(decode(fromHex('63efbfbd')), '\ufffd');
});

test('arrays nested until a stack ends are refused', () => {
  const raw = new Uint8Array(900_000).fill(0x81);
  assert.throws(() => decode(raw), MalformedError);
});

test('a sequence is read item by item, and says where it was cut', () => {
  const raw = join(encode([1, 'a']), encode(new Uint8Array(30)));
  const first = decodeItem(raw, 0);
  assert.deepEqual(first?.value, [1, 'a']);
  const second = decodeItem(raw, first?.end ?? 0);
  assert.equal(second?.end, raw.length);
  assert.equal(decodeItem(raw, raw.length), null);
  for (const cut of [1, 2, 3, 5, 6, raw.length - 1]) {
    const start = cut < 4 ? 0 : 4;
    assert.throws(() => decodeItem(raw.subarray(0, cut), start), CutError, `cut at ${cut}`);
  }
});

test('an item longer than its bound is malformed, not cut', () => {
  const raw = encode(new Uint8Array(1000));
  assert.throws(
    () => decodeItem(raw, 0, { bytesMax: 999 }),
    (error) => !(error instanceof CutError),
  );
  assert.ok(decodeItem(raw, 0, { bytesMax: raw.length }));
});

test('what is too long to be parsed whole is read by its heads, in their shortest form', () => {
  for (const count of [0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32]) {
    const head = arrayHead(count);
    assert.deepEqual(readArrayHead(head, 0), { value: count, end: head.length });
    assert.throws(() => readArrayHead(head.subarray(0, -1), 0), CutError);
    assert.throws(() => readByteString(head, 0, { bytesMax: 2 ** 40 }), malformed);
  }
  for (const wrong of ['9817', '9900ff', '9a0000ffff', '9b00000000ffffffff', '9c', '9f', '40']) {
    assert.throws(() => readArrayHead(fromHex(wrong), 0), malformed, wrong);
  }
  const raw = join(encode('x'), encode(new Uint8Array(300).fill(7)));
  const { value, end } = readByteString(raw, 2, { bytesMax: 300 });
  assert.deepEqual([value.length, value[299], end], [300, 7, raw.length]);
  assert.throws(() => readByteString(raw, 2, { bytesMax: 299 }), malformed);
  assert.throws(() => readByteString(raw.subarray(0, -1), 2, { bytesMax: 300 }), CutError);
});

/** @param {unknown} error */
const malformed = (error) => error instanceof MalformedError && !(error instanceof CutError);

test('an array head is the head of an array', () => {
  for (const count of [0, 23, 24, 300, 70_000]) {
    assert.equal(
      toHex(arrayHead(count)),
      toHex(encode(new Array(count).fill(0), { bytesMax: 1 << 20 }).subarray(0, arrayHead(count).length)),
    );
  }
});

test('the repertoire is that of the vectors', () => {
  assert.deepEqual(assignedRanges(), load('text/unicode13_assigned.json'));
  assert.equal(inRepertoire('naïve 数 \ufeff'), true);
  assert.equal(inRepertoire('\u{10efd}'), false);
  assert.equal(inRepertoire('\ud800'), false);
});
