/** `render/1`: the text that an approver is shown, a pure function of the intent and its contract. */
import { compareBytes, toHex, utf8 } from './bytes.js';
import * as digest from './digest.js';

/** @typedef {import('./il1.js').Value} Value */
/** @typedef {import('./contract.js').Contract} Contract */
/** @typedef {import('./event.js').Event} Event */

/**
 * The lines `name: value` of an intent, its arguments in encoded order.
 *
 * @param {Event} event
 * @param {Contract} contract
 */
export function renderIntent({ id, by, resource, data }, contract) {
  const args = new Map([...data.identity, ...data.content]);
  const lines = [
    'invoke-log render/1',
    `intent: evt_${id}`,
    `issuer: key_${by}`,
    `tool: ${show(contract.name)} version ${contract.version}`,
    `contract: ctr_${contract.id}`,
    `effect class: ${show(contract.effectClass)}`,
    `resource: ${show(resource)}`,
    `purpose: ${show(data.purpose)}`,
    `repeats a committed effect: ${data.again !== null ? 'yes' : 'no'}`,
    'arguments (text in quotes was written by the agent or its sources, and is not to be trusted):',
    ...inEncodedOrder(args).map(([name, value]) => `  ${name}: ${show(value)}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** The digest that an approval or denial names as `shown`. @param {Event} event @param {Contract} contract */
export const renderingDigest = (event, contract) => digest.attachmentDigest(utf8(renderIntent(event, contract)));

/** @param {Value} value @returns {string} */
function show(value) {
  if (value instanceof Uint8Array) return `${value.length} bytes ${toHex(value.slice(0, 32))}`;
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  if (value instanceof Map)
    return `{${inEncodedOrder(value)
      .map(([name, item]) => `${show(name)}: ${show(item)}`)
      .join(', ')}}`;
  // JSON escapes every control; the rest beyond printable ASCII follows, so that no text can break out of its line.
  return JSON.stringify(value).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** @param {Map<string, Value>} map */
const inEncodedOrder = (map) =>
  [...map]
    .map(([name, value]) => ({ name, value, bytes: utf8(name) }))
    .sort((one, other) => one.bytes.length - other.bytes.length || compareBytes(one.bytes, other.bytes))
    .map(({ name, value }) => /** @type {[string, Value]} */ ([name, value]));
