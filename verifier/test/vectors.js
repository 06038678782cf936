/** Reads the project's vectors: they are shared with every other reader, and nothing else is. */
import { readFileSync, readdirSync } from 'node:fs';
import { fromHex } from '../src/bytes.js';

const ROOT = new URL('../../vectors/', import.meta.url);

/** The JSON of one file, e.g. `cbor/accept.json`. @param {string} path */
export const load = (path) => JSON.parse(readFileSync(new URL(path, ROOT), 'utf8'));

/** Every case of a folder as [file name, JSON]. @param {string} folder @returns {[string, any][]} */
export const loadFolder = (folder) =>
  readdirSync(new URL(`${folder}/`, ROOT))
    .sort()
    .filter((name) => name.endsWith('.json'))
    .map((name) => [name, load(`${folder}/${name}`)]);

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
