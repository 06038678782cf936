/** Reads the project's vectors: they are shared with every other reader, and nothing else is. */
import { readFileSync, readdirSync } from 'node:fs';
import { fromHex } from '../src/bytes.js';

const ROOT = new URL('../../vectors/', import.meta.url);

/** The JSON of one file, e.g. `cbor/accept.json`. @param {string} path */
export const load = (path) => JSON.parse(readFileSync(new URL(path, ROOT), 'utf8'));

/**
 * What no reader is asked: cases about a writer alone, by area. There is no writer here, and to build one for these would
 * test nothing that reads a log. Every other case is run.
 *
 * @type {Record<string, { cases: number, why: string, is: (each: any) => boolean }>}
 */
export const WRITERS_ALONE = {
  cbor: {
    cases: 3,
    why: 'the encoder refuses a float that is whole: JavaScript has none, its 1.0 is 1',
    is: ({ id, value }) => /^encode-float/.test(id) && !/1\.5|nan|inf|-0/.test(JSON.stringify(value)),
  },
  intent: {
    cases: 8,
    why: "a call's arguments are refused before anything is recorded",
    is: ({ flags: [flag], expect }) => flag === 'bind' && expect !== 'ok',
  },
  snapshot: {
    cases: 33,
    why: 'what was seen is refused before it is folded: intake is not on the wire (SNP-5)',
    is: ({ flags: [flag] }) => flag === 'intake',
  },
};

/** Whether a case of an area is one that readers are asked. @param {string} area @param {any} each */
const isRead = (area, each) => !WRITERS_ALONE[area]?.is(each);

/** Every case of a list that readers are asked. @param {string} path */
export const loadList = (path) => load(path).filter((/** @type {any} */ each) => isRead(path.split('/')[0], each));

/** Every case of a folder that readers are asked, as [file name, JSON]. @param {string} folder @returns {[string, any][]} */
export const loadFolder = (folder) =>
  namesIn(folder)
    .map((name) => /** @type {[string, any]} */ ([name, load(`${folder}/${name}`)]))
    .filter(([, each]) => isRead(folder, each));

/** @param {string} folder */
const namesIn = (folder) =>
  readdirSync(new URL(`${folder}/`, ROOT))
    .filter((name) => name.endsWith('.json'))
    .sort();

/**
 * A vector's value as IL1 has it: an object is a map, and `{"$bytes": hex}` a byte string.
 *
 * @param {any} value
 * @returns {any}
 */
export function typed(value) {
  if (Array.isArray(value)) return value.map(typed);
  if (value === null || typeof value !== 'object') return value;
  if (Object.keys(value).length === 1 && typeof value.$bytes === 'string') return fromHex(value.$bytes);
  return new Map(Object.entries(value).map(([name, item]) => [name, typed(item)]));
}
