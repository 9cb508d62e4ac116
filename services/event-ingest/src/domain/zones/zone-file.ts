import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import type { Zone, ZoneRule } from './zone-table.ts';

export const ZONE_RULES_MAX = 1_000;
export const ZONE_FILE_BYTES_MAX = 256 * 1024;

/** What is wrong with a file of zones; the message names line and field. */
export class ZoneFileError extends Error {
  override readonly name = 'ZoneFileError';
}

const MATCH = /^[A-Za-z0-9._~@*-]+\/[A-Za-z0-9._~@*-]+$/;

/**
 * Reads a file of zones: `zones: [{match: "session/*", consistency: strong, sealed: true}]`.
 * @throws ZoneFileError that names the first fault, e.g. `line 3: zones[1].match must be …`
 */
export function parseZoneFile(text: string): ZoneRule[] {
  if (Buffer.byteLength(text) > ZONE_FILE_BYTES_MAX) {
    throw new ZoneFileError(`line 1: the file may have ${ZONE_FILE_BYTES_MAX} bytes at most`);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error) throw new ZoneFileError(`line ${lines.linePos(error.pos[0]).line}: ${error.message}`);
  const fail: Fail = (node, what) => {
    const line = node?.range ? lines.linePos(node.range[0]).line : 1;
    throw new ZoneFileError(`line ${line}: ${what}`);
  };
  const root = document.contents;
  if (root === null || !isMap(root)) return fail(root, 'the file must be a map with `zones`');
  const members = membersOf(root, 'the file', ['zones'], fail);
  const zones = members.get('zones');
  if (!isSeq(zones)) return fail(zones ?? root, 'zones must be a list');
  if (zones.items.length > ZONE_RULES_MAX) {
    return fail(zones, `zones may have ${ZONE_RULES_MAX} rules at most`);
  }
  return zones.items.map((item, i) => ruleOf(item as Node | null, `zones[${i}]`, fail));
}

type Fail = (node: Node | null | undefined, what: string) => never;

function ruleOf(node: Node | null, field: string, fail: Fail): ZoneRule {
  if (!isMap(node)) return fail(node, `${field} must be {match, consistency}`);
  const members = membersOf(node, field, ['match', 'consistency', 'sealed'], fail);
  const match = textOf(members.get('match'), `${field}.match`, node, fail);
  if (!MATCH.test(match)) {
    fail(members.get('match'), `${field}.match must be kind/id, each of [A-Za-z0-9._~@*-]+`);
  }
  const consistency = textOf(members.get('consistency'), `${field}.consistency`, node, fail);
  if (!isZone(consistency)) {
    return fail(members.get('consistency'), `${field}.consistency must be strong or eventual`);
  }
  const isSealed = flagOf(members.get('sealed'), `${field}.sealed`, fail);
  return { match, consistency, ...(isSealed ? { sealed: true } : {}) };
}

function membersOf(
  node: Node,
  field: string,
  known: readonly string[],
  fail: Fail,
): Map<string, Node> {
  const members = new Map<string, Node>();
  if (!isMap(node)) return members;
  for (const { key, value } of node.items) {
    const name = isScalar(key) ? String(key.value) : '';
    if (!known.includes(name)) {
      fail(key as Node, `${field} has no member ${JSON.stringify(name)}; only ${known.join(', ')}`);
    }
    if (isAlias(value)) fail(value as Node, `${name}: aliases are not taken`);
    if (value !== null) members.set(name, value as Node);
  }
  return members;
}

function textOf(node: Node | undefined, field: string, parent: Node, fail: Fail): string {
  if (node === undefined) return fail(parent, `${field} is missing`);
  if (!isScalar(node) || typeof node.value !== 'string')
    return fail(node, `${field} must be a text`);
  return node.value;
}

function flagOf(node: Node | undefined, field: string, fail: Fail): boolean {
  if (node === undefined) return false;
  if (isScalar(node) && typeof node.value === 'boolean') return node.value;
  return fail(node, `${field} must be true or false`);
}

function isZone(text: string): text is Zone {
  return text === 'strong' || text === 'eventual';
}
