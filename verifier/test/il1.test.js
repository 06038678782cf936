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

/** Whether the model has a text. @param {string} text */
function isText(text) {
  try {
    encode(text);
    return true;
  } catch (error) {
    assert.ok(error instanceof MalformedError);
    return false;
  }
}

/** What normalization moves, joins or takes apart, but for Hangul: marks, jamo, and what decomposes. */
function movable() {
  const points = assignedRanges().flatMap(([first, last]) =>
    last - first > 10_000 ? [] : Array.from({ length: last - first + 1 }, (_, at) => String.fromCodePoint(first + at)),
  );
  return points.filter((point) => /\p{M}|[\u1100-\u11ff]/u.test(point) || point.normalize('NFD') !== point);
}

test('text is in NFC where the engine says so, whatever its marks are and wherever a part ends', () => {
  const points = movable();
  assert.ok(points.length > 3000);
  // Few of many at a time, so that they meet each other often; numbers as of Park and Miller, the same at each run.
  let seed = 1;
  const below = (/** @type {number} */ end) => (seed = (seed * 48_271) % 0x7fff_ffff) % end;
  const counts = { true: 0, false: 0 };
  for (let round = 0; round < 4000; round += 1) {
    const near = below(points.length - 60);
    const some = [near + below(60), near + below(60), below(points.length)].map((at) => points[at]);
    const few = [...some, ...(round % 2 ? 'qe\u0323\u0301' : '\u1100\u1161\u11a8\uac00')];
    const drawn = Array.from({ length: 1 + below(200) }, () => few[below(few.length)]).join('');
    for (const text of [drawn, drawn.normalize('NFC'), drawn.slice(0, 1 + below(3)) + 'q'.repeat(below(70))]) {
      if (!inRepertoire(text)) continue;
      const is = text.normalize('NFC') === text;
      assert.equal(isText(text), is, JSON.stringify(text));
      counts[`${is}`] += 1;
    }
  }
  assert.ok(Math.min(counts.true, counts.false) > 2000, JSON.stringify(counts));
});

test('marks out of order are found in a part of the text, before an engine sorts all of them', (t) => {
  const { mock } = t.mock.method(String.prototype, 'normalize');
  for (const [one, other] of ['\u0301\u0323', '\u{1e8d0}\u{1d16e}', '\u0f72\u0f71', '\u0f73\u0f73']) {
    for (let count = 500; count < 564; count += 1) {
      assert.equal(isText(`q${one.repeat(count)}${other.repeat(count)}`), false);
    }
  }
  assert.ok(Math.max(...mock.calls.map((call) => String(call.this).length)) <= 64);
  assert.ok(isText(`q${'\u0323'.repeat(50_000)}${'\u0301'.repeat(50_000)}`));
  assert.ok(isText(`\u00e1${'\u0331'.repeat(500)}`));
  assert.ok(!isText(`a${'\u0331'.repeat(500)}\u0301`), 'in NFC part by part, and not as a whole: it is the text above');
});
