/**
 * Judges a bundle and a receipt as a web page does: in a realm that has ECMAScript's own globals and a few of the web's,
 * with the modules that the README's import map names and no others. Run by browser.test.js, under
 * --experimental-vm-modules; stdin: `{bundle, receipt, trust}`, stdout: `{report, proved}`.
 */
import { readFile } from 'node:fs/promises';
import { json } from 'node:stream/consumers';
import vm from 'node:vm';

const SCRIPT = `
  import { replay, verifyReceipt } from './src/index.js';
  const bytesOf = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
  export const judge = async ({ bundle, receipt, trust }) => ({
    report: await replay(bytesOf(bundle), { trust }),
    proved: await verifyReceipt(bytesOf(receipt), { trust }),
  });
`;
const PACKAGE = new URL('../', import.meta.url);
const { TextDecoder, TextEncoder, atob, btoa, crypto } = globalThis;
const context = vm.createContext({ TextDecoder, TextEncoder, atob, btoa, crypto });
const readme = await readFile(new URL('README.md', PACKAGE), 'utf8');
const { imports } = JSON.parse(readme.split('```json\n')[1].split('```')[0]);

/** @type {Map<string, Promise<vm.SourceTextModule>>} */
const modules = new Map();

/** @param {string} specifier @param {{ identifier: string }} from */
function load(specifier, { identifier: from }) {
  const url = resolve(specifier, from);
  const known = modules.get(url.href);
  if (known !== undefined) return known;
  const loading = readFile(url, 'utf8').then((source) => moduleOf(source, url));
  modules.set(url.href, loading);
  return loading;
}

/** @param {string} source @param {URL} url */
const moduleOf = (source, url) => new vm.SourceTextModule(source, { context, identifier: url.href });

/** Where a specifier leads. @param {string} specifier @param {string} from */
function resolve(specifier, from) {
  if (/^\.{1,2}\//.test(specifier)) return new URL(specifier, from);
  const name = Object.keys(imports).find(
    (key) => specifier === key || (key.endsWith('/') && specifier.startsWith(key)),
  );
  if (name === undefined) throw new Error(`${from}: a page has no ${specifier}`);
  return new URL(imports[name] + specifier.slice(name.length), PACKAGE);
}

const page = moduleOf(SCRIPT, new URL('page.html', PACKAGE));
await page.link(load);
await page.evaluate();
const { judge } = /** @type {any} */ (page.namespace);
process.stdout.write(JSON.stringify(await judge(await json(process.stdin))));
