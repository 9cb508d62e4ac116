import {
  addDigests,
  type Claim,
  type CounterState,
  type Dot,
  decodeElement,
  emptyCounter,
  type OrSetState,
  recordDigest,
} from '@memplane/crdt';
import type { RocksSnapshot, RocksStore } from '@memplane/rocks';
import {
  type DigestPage,
  KEPT_TYPES,
  type NamedState,
  type Ref,
  type ValueDigest,
} from '../domain/port.ts';
import * as keys from './keys.ts';
import * as records from './records.ts';

// What replicas compare and give each other as a whole, as of one snapshot.

/** Only the records of values are read: their ranges are gone to, tenant by tenant. */
export async function readDigests(
  rocks: RocksStore,
  { after, limit }: DigestPage,
): Promise<ValueDigest[]> {
  using snapshot = rocks.snapshot();
  const found: ValueDigest[] = [];
  let tenant = after?.tenant ?? (await tenantBehind(undefined, rocks, snapshot));
  let types = after === undefined ? KEPT_TYPES : KEPT_TYPES.slice(KEPT_TYPES.indexOf(after.type));
  let name = after?.name;
  while (tenant !== undefined && found.length < limit) {
    for (const type of types) {
      const range = keys.valueRange(tenant, type, name);
      name = undefined;
      const rows = await rocks.scanAll({ ...range, limit: limit - found.length, snapshot });
      for (const { key, value } of rows) {
        const named = keys.nameOfValueKey(key);
        if (named !== undefined) found.push({ ...named, digest: records.storedDigest(value) });
      }
    }
    types = KEPT_TYPES;
    tenant = await tenantBehind(tenant, rocks, snapshot);
  }
  return found;
}

export async function readState(rocks: RocksStore, ref: Ref): Promise<NamedState> {
  using snapshot = rocks.snapshot();
  const values = KEPT_TYPES.map((type) => keys.valueKey(type, ref));
  const [counter, set, register, flag, map] = await rocks.getMany(values, snapshot);
  return {
    counter: await readCounter(ref, counter ?? undefined, rocks, snapshot),
    set: set ? await readSet(ref, set, rocks, snapshot) : undefined,
    register: register ? records.readRegisterRecord(register) : undefined,
    flag: flag ? records.readFlagRecord(flag) : undefined,
    map: map ? records.readMapRecord(map) : undefined,
  };
}

async function readSet(
  ref: Ref,
  header: Buffer,
  rocks: RocksStore,
  snapshot: RocksSnapshot,
): Promise<OrSetState> {
  const { context, elementsDigest } = records.readSetRecord(header);
  const elements = new Map<string, readonly Dot[]>();
  let digest = 0n;
  for await (const rows of rocks.scan({ ...keys.elementRange(ref), snapshot })) {
    for (const { value } of rows) {
      const body = records.opened(value);
      digest = addDigests(digest, recordDigest(body));
      const { element, dots } = decodeElement(body);
      elements.set(element, dots);
    }
  }
  if (digest !== elementsDigest) throw records.damaged('a set does not have its digest');
  return { elements, context };
}

async function readCounter(
  ref: Ref,
  record: Buffer | undefined,
  rocks: RocksStore,
  snapshot: RocksSnapshot,
): Promise<CounterState | undefined> {
  const claims = await readClaims(ref, rocks, snapshot);
  if (record === undefined && claims.size === 0) return undefined;
  const counter = record ? records.readCounterRecord(record) : emptyCounter();
  if (claims.size > 0) counter.claims = claims;
  return counter;
}

async function readClaims(
  ref: Ref,
  rocks: RocksStore,
  snapshot: RocksSnapshot,
): Promise<Map<string, Claim>> {
  const claims = new Map<string, Claim>();
  const range = keys.opRange(ref);
  for await (const rows of rocks.scan({ ...range, snapshot })) {
    for (const { key, value } of rows) {
      claims.set(key.toString('utf8', range.gte.length), records.readClaimRecord(value));
    }
  }
  return claims;
}

/** The next tenant that has any record. */
async function tenantBehind(
  tenant: string | undefined,
  rocks: RocksStore,
  snapshot: RocksSnapshot,
): Promise<string | undefined> {
  const from = tenant === undefined ? {} : { gte: keys.behindTenant(tenant) };
  const [first] = await rocks.scanAll({ ...from, limit: 1, values: false, snapshot });
  return first && keys.tenantOf(first.key);
}
