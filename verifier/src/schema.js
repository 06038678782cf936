/**
 * Closed schemas: which values a field may hold. There are no optional fields, no unions but null, no patterns, no
 * floats.
 *
 * A `Reader` takes a decoded value and its path and returns what the program works with, or throws `MalformedError`.
 * The functions below make readers for the bodies of events; `compile` makes one of a schema that is itself an IL1
 * map, as contracts carry them.
 */
import { compareBytes, toHex, utf8 } from './bytes.js';
import { MalformedError } from './errors.js';
import * as il1 from './il1.js';
import { BODY_BYTES_MAX, INTEGER_MAX } from './limits.js';

/** @typedef {import('./il1.js').Value} Value */
/** @typedef {import('./il1.js').ValueMap} ValueMap */
/**
 * @template [T=any]
 * @typedef {(value: Value, at: string) => T} Reader
 */

const TOKEN = /^[A-Za-z0-9_\-.:/@+=]*$/;
/** 2000-01-01 to 2100-01-01: the windows do not meet, so seconds read as milliseconds are an error. */
const TIME_WINDOWS = new Map([
  ['s', [946_684_800, 4_102_444_800]],
  ['ms', [946_684_800_000, 4_102_444_800_000]],
]);
const DECIMAL_CHARS_MAX = 40;

/** @param {string} at @param {string} wanted */
const wrong = (at, wanted) => new MalformedError(`${at}: found another value, want ${wanted}`);

/** @returns {Reader<number>} */
export const integer =
  (low = -INTEGER_MAX, high = INTEGER_MAX) =>
  (value, at) => {
    if (typeof value !== 'number' || value < low || value > high) throw wrong(at, `an integer from ${low} to ${high}`);
    return value;
  };

/** @returns {Reader<boolean>} */
export const boolean = () => (value, at) => {
  if (typeof value !== 'boolean') throw wrong(at, 'true or false');
  return value;
};

/** @param {readonly string[]} members @returns {Reader<string>} */
export const choice = (members) => (value, at) => {
  if (typeof value !== 'string' || !members.includes(value)) throw wrong(at, `one of ${members.join(', ')}`);
  return value;
};

/** An identifier, never prose. @param {number} size @returns {Reader<string>} */
export const token = (size) => (value, at) => {
  if (typeof value !== 'string' || value.length < 1 || value.length > size || !TOKEN.test(value)) {
    throw wrong(at, `1 to ${size} characters of A-Z a-z 0-9 _ - . : / @ + =`);
  }
  return value;
};

/** @param {number} size in UTF-8 bytes @returns {Reader<string>} */
export const text = (size) => (value, at) => {
  if (typeof value !== 'string' || utf8(value).length > size) throw wrong(at, `text of at most ${size} bytes`);
  return value;
};

/** A byte string, read as hex. @param {number} low @param {number} high @returns {Reader<string>} */
export const blob = (low, high) => (value, at) => {
  if (!(value instanceof Uint8Array) || value.length < low || value.length > high)
    throw wrong(at, `${low} to ${high} bytes`);
  return toHex(value);
};

/** @param {string} unit @param {number} grain @returns {Reader<number>} */
const time = (unit, grain) => (value, at) => {
  const [low, high] = /** @type {number[]} */ (TIME_WINDOWS.get(unit));
  if (typeof value !== 'number' || value < low || value >= high || value % grain !== 0) {
    throw wrong(at, `a time in ${unit} from 2000 to 2100, a multiple of ${grain}`);
  }
  return value;
};

/** @param {number} scale @returns {Reader<string>} */
const decimal = (scale) => {
  const spelled = new RegExp(`^-?(?:0|[1-9][0-9]*)${scale > 0 ? `\\.[0-9]{${scale}}` : ''}$`);
  return (value, at) => {
    const accepted = typeof value === 'string' && value.length <= DECIMAL_CHARS_MAX && spelled.test(value);
    if (!accepted || (value[0] === '-' && !/[1-9]/.test(value))) throw wrong(at, `decimal text of scale ${scale}`);
    return value;
  };
};

/** @template T @param {Reader<T>} read @returns {Reader<T | null>} */
export const nullable = (read) => (value, at) => (value === null ? null : read(value, at));

/** A list whose order matters. @template T @param {Reader<T>} read @param {number} size @returns {Reader<T[]>} */
export const listing = (read, size) => (value, at) => {
  if (!Array.isArray(value) || value.length > size) throw wrong(at, `a list of at most ${size} items`);
  return value.map((item, position) => read(item, `${at}[${position}]`));
};

/**
 * Ascending by encoded bytes, none twice. @template T
 *
 * @param {Reader<T>} read
 * @param {number} size
 * @returns {Reader<T[]>}
 */
export const unique = (read, size) => (value, at) => {
  const items = listing(read, size)(value, at);
  const encoded = /** @type {Value[]} */ (value).map((item) => il1.encode(item));
  if (encoded.some((raw, position) => position > 0 && compareBytes(encoded[position - 1], raw) >= 0)) {
    throw wrong(at, 'items ascending by their encoded bytes, none twice');
  }
  return items;
};

/** A map with exactly these fields. @param {Record<string, Reader>} fields @returns {Reader<Record<string, any>>} */
export const record = (fields) => recordOf(new Map(Object.entries(fields)));

/** @param {Map<string, Reader>} fields @returns {Reader<Record<string, any>>} */
const recordOf = (fields) => (value, at) => {
  if (!(value instanceof Map)) throw wrong(at, 'a map');
  if (value.size !== fields.size || [...value.keys()].some((name) => !fields.has(name))) {
    throw wrong(at, `a map with exactly ${[...fields.keys()].join(', ') || 'no fields'}`);
  }
  const found = Object.create(null); // a field may have any name, __proto__ too
  for (const [name, read] of fields) found[name] = read(value.get(name), `${at}.${name}`);
  return found;
};

/**
 * A map from tokens to values of one kind. @template T
 *
 * @param {Reader<T>} read
 * @param {number} size
 * @returns {Reader<Map<string, T>>}
 */
export const mapping = (read, size) => (value, at) => {
  if (!(value instanceof Map) || value.size > size) throw wrong(at, `a map of at most ${size} fields`);
  return new Map(
    [...value].map(([name, item]) => {
      if (!TOKEN.test(name)) throw wrong(at, 'field names that are tokens');
      return [name, read(item, `${at}.${name}`)];
    }),
  );
};

/** Any value; for fields that another schema checks later. @returns {Reader<any>} */
export const anything = () => (value) => value;

/**
 * The reader of a published schema, an IL1 map. Types that leave fields unnamed (`mapping`, `anything`) are not
 * published.
 *
 * @param {Value} schema
 * @param {string} path
 * @returns {Reader}
 */
export function compile(schema, path) {
  if (!(schema instanceof Map)) throw wrong(path, 'a schema (a map)');
  const compiler = COMPILERS.get(schema.get('type'));
  if (compiler === undefined) throw wrong(`${path}.type`, `one of ${[...COMPILERS.keys()].join(', ')}`);
  const wanted = ['type', 'nullable', ...compiler.fields];
  if (schema.size !== wanted.length || !wanted.every((name) => schema.has(name))) {
    throw wrong(path, `exactly the fields ${wanted.join(', ')}`);
  }
  const read = compiler.compile(schema, path);
  return boolean()(schema.get('nullable'), `${path}.nullable`) ? nullable(read) : read;
}

/** @param {ValueMap} schema @param {string} field @param {string} path @param {number} low @param {number} high */
const bound = (schema, field, path, low, high) => integer(low, high)(schema.get(field), `${path}.${field}`);

/** @param {ValueMap} schema @param {string} path */
function compileEnum(schema, path) {
  const members = listing(text(Infinity), Infinity)(schema.get('of'), `${path}.of`);
  if (members.length === 0 || new Set(members).size !== members.length)
    throw wrong(`${path}.of`, 'texts, at least one, none twice');
  return choice(members);
}

/** @param {ValueMap} schema @param {string} path */
function compileTime(schema, path) {
  const unit = choice([...TIME_WINDOWS.keys()])(schema.get('unit'), `${path}.unit`);
  const [low] = /** @type {number[]} */ (TIME_WINDOWS.get(unit));
  return time(unit, bound(schema, 'grain', path, 1, low));
}

/** @param {ValueMap} schema @param {string} path */
function compileList(schema, path) {
  const order = schema.get('order');
  if (typeof order !== 'string' || order === '')
    throw wrong(`${path}.order`, 'a text that says where the order comes from');
  return listing(compile(schema.get('of'), `${path}.of`), bound(schema, 'max', path, 0, BODY_BYTES_MAX));
}

/** @param {ValueMap} schema @param {string} path */
function compileRecord(schema, path) {
  const fields = schema.get('fields');
  if (!(fields instanceof Map)) throw wrong(`${path}.fields`, 'a map of schemas');
  const readers = [...fields].map(([name, inner]) => {
    if (!TOKEN.test(name)) throw wrong(`${path}.fields`, 'field names that are tokens');
    return /** @type {[string, Reader]} */ ([name, compile(inner, `${path}.fields.${name}`)]);
  });
  return recordOf(new Map(readers));
}

/** @typedef {{ fields: string[], compile: (schema: ValueMap, path: string) => Reader }} Compiler */
/** @type {Map<string, Compiler>} */
const COMPILERS = new Map(
  Object.entries({
    integer: {
      fields: ['min', 'max'],
      compile: (schema, path) => {
        const low = bound(schema, 'min', path, -INTEGER_MAX, INTEGER_MAX);
        return integer(low, bound(schema, 'max', path, low, INTEGER_MAX));
      },
    },
    time: { fields: ['unit', 'grain'], compile: compileTime },
    decimal: { fields: ['scale'], compile: (schema, path) => decimal(bound(schema, 'scale', path, 0, 18)) },
    boolean: { fields: [], compile: boolean },
    enum: { fields: ['of'], compile: compileEnum },
    token: { fields: ['max'], compile: (schema, path) => token(bound(schema, 'max', path, 1, 512)) },
    text: { fields: ['max'], compile: (schema, path) => text(bound(schema, 'max', path, 0, BODY_BYTES_MAX)) },
    bytes: {
      fields: ['min', 'max'],
      compile: (schema, path) => {
        const low = bound(schema, 'min', path, 0, BODY_BYTES_MAX);
        return blob(low, bound(schema, 'max', path, low, BODY_BYTES_MAX));
      },
    },
    list: { fields: ['of', 'max', 'order'], compile: compileList },
    set: {
      fields: ['of', 'max'],
      compile: (schema, path) =>
        unique(compile(schema.get('of'), `${path}.of`), bound(schema, 'max', path, 0, BODY_BYTES_MAX)),
    },
    record: { fields: ['fields'], compile: compileRecord },
  }),
);
