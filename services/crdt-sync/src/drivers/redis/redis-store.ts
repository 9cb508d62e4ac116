import {
  addDigests,
  type Claim,
  type CounterState,
  type Dot,
  decodeCounter,
  decodeElement,
  decodeRegister,
  emptyCounter,
  encodeContext,
  formatDigest,
  type OrSetState,
  recordDigest,
} from '@memplane/crdt';
import {
  type Commit,
  CRDT_TYPES,
  type CrdtStore,
  type CrdtType,
  type DigestPage,
  type IncarnationRecord,
  type KeptType,
  type KnownOp,
  type ListedName,
  type LoadedName,
  type NamedState,
  type Page,
  type Ref,
  type SetHeader,
  type ValueDigest,
  type VerifiedValue,
} from '../../domain/port.ts';
import type { CallHeader } from './call-codec.ts';
import type { RedisConnection, Reply } from './connection.ts';
import { joinWords, pieceOfChange } from './join-codec.ts';
import * as records from './redis-records.ts';
import { bytes, list, pairs } from './replies.ts';
import { INCARNATIONS } from './session-setup.ts';
import { Settling } from './settling.ts';

const CLOCK = '_replica:clock';
const TENANTS = '_replica:tenants';
const VERIFY_PAGE_NAMES = 64;

/**
 * One replica's CRDTs in a Redis that several processes write to. Commands go through
 * `RedisExecutor`; here are the reads, and `commit`, which joins deltas on the server and therefore
 * needs nothing that was loaded before.
 */
export class RedisStore implements CrdtStore {
  readonly #redis: RedisConnection;
  readonly #settling: Settling;

  constructor(redis: RedisConnection) {
    this.#redis = redis;
    this.#settling = new Settling(redis);
  }

  /** A set's digest is computed from its elements, all of which are read. */
  async load(refs: readonly Ref[]): Promise<LoadedName[]> {
    if (refs.length === 0) return [];
    const wanted = refs.flatMap((ref) => CRDT_TYPES.map((type) => keyOf(type, ref)));
    const found = list(await this.#redis.command(['MGET', ...wanted]));
    return Promise.all(
      refs.map(async (ref, index) => {
        const [counter, set, register] = found.slice(index * 3, index * 3 + 3);
        return {
          counter: counter ? decodeCounter(body(counter)) : undefined,
          set: set ? await this.#header(ref) : undefined,
          register: register ? decodeRegister(body(register)) : undefined,
          flag: undefined,
        };
      }),
    );
  }

  async loadElements(
    wants: readonly { readonly ref: Ref; readonly element: string }[],
  ): Promise<(readonly Dot[] | undefined)[]> {
    const words = wants.flatMap(({ ref, element }) => [keyOf('elements', ref), element]);
    const found = list(await this.#redis.call('fields', words));
    return found.map((record) =>
      record ? decodeElement(records.openBare(bytes(record))).dots : undefined,
    );
  }

  async loadOps(
    wants: readonly { readonly ref: Ref; readonly opId: string }[],
  ): Promise<(Claim | undefined)[]> {
    const words = wants.flatMap(({ ref, opId }) => [keyOf('ops', ref), opId]);
    const found = list(await this.#redis.call('fields', words));
    return found.map((record) => (record ? records.readClaim(bytes(record)) : undefined));
  }

  async opCounts(refs: readonly Ref[]): Promise<number[]> {
    const counted = refs.map((ref) => this.#redis.command(['ZCARD', keyOf('op-stamps', ref)]));
    return (await Promise.all(counted)).map(Number);
  }

  async oldestOps(ref: Ref, limit: number): Promise<KnownOp[]> {
    const range = [keyOf('op-stamps', ref), '-', '+', 'LIMIT', '0', String(limit)];
    const rows = list(await this.#redis.command(['ZRANGEBYLEX', ...range]));
    const opIds = rows.map((row) => bytes(row).toString().slice(records.STAMP_DIGITS));
    const found = await this.loadOps(opIds.map((opId) => ({ ref, opId })));
    return opIds.flatMap((opId, index) => {
      const claim = found[index];
      return claim === undefined ? [] : [{ opId, claim }];
    });
  }

  async forgetOps(ref: Ref, ended: readonly KnownOp[]): Promise<void> {
    const ops = ended.flatMap(({ opId, claim }) => [opId, records.sealClaim(claim)]);
    await this.#redis.call('forget', [ref.tenant, ref.name, ...ops]);
  }

  async commit({ incarnation, number, hlc, changes, known }: Commit): Promise<void> {
    const raised = new Map(known);
    if (number !== undefined) raised.set(incarnation, number);
    const header: CallHeader = {
      incarnation,
      replicaId: '',
      now: records.stampText(hlc),
      set_elements_max: 0,
      set_bytes_max: 0,
      op_ids_per_counter_max: 0,
      contested_ids_per_counter_max: 0,
      tells: false,
      raised,
    };
    const pieces = changes.map(pieceOfChange);
    const options = { observed: hlc, mustWrite: true, brought: new Map() };
    const { words } = joinWords(header, pieces, options);
    const [, results] = list(await this.#redis.call('join', words));
    for (const result of list(results)) {
      if (Array.isArray(result)) throw records.damaged(String(result[1]));
    }
  }

  async elements(ref: Ref, page: Page): Promise<string[]> {
    const range = [keyOf('members', ref), after(page), '+', 'LIMIT', '0', String(page.limit)];
    const found = list(await this.#redis.command(['ZRANGEBYLEX', ...range]));
    return found.map((element) => bytes(element).toString());
  }

  async list(tenant: string, type: CrdtType, page: Page): Promise<ListedName[]> {
    const rows = await this.#rows(tenant, type, page);
    return Promise.all(
      rows.map(async ({ name, record }) => {
        if (type === 'counter') return { name, counter: decodeCounter(body(record)) };
        if (type === 'register') return { name, register: decodeRegister(body(record)) };
        const set = await this.#header({ tenant, name });
        return set === undefined ? { name } : { name, set };
      }),
    );
  }

  async incarnations(): Promise<IncarnationRecord[]> {
    const flat = list(await this.#redis.command(['HGETALL', INCARNATIONS]));
    return pairs(flat).map(([incarnation, record]) =>
      records.readIncarnation(incarnation.toString(), record),
    );
  }

  settle(): Promise<void> {
    return this.#settling.settle();
  }

  async lastStamp(): Promise<bigint> {
    const stamp = await this.#redis.command(['GET', CLOCK]);
    return stamp === null ? 0n : records.readStamp(bytes(stamp).toString());
  }

  /** Computed from the values, since what is stored beside them is a checksum of another kind. */
  async digests({ after, limit }: DigestPage): Promise<ValueDigest[]> {
    const found: ValueDigest[] = [];
    for await (const { value, record } of this.#values(after, Math.min(limit, VERIFY_PAGE_NAMES))) {
      if (found.length >= limit) break;
      found.push({ ...value, digest: (await this.#digests(value, record)).computed });
    }
    // A vector that speaks of more would make another replica believe that it has all of that.
    await this.#redis.confirm();
    return found;
  }

  async state(ref: Ref): Promise<NamedState> {
    const found = this.#redis.call('state', [ref.tenant, ref.name]);
    // In the same round trip, and behind it: what is gone is not given as all that there is.
    const [reply] = await Promise.all([found, this.#redis.confirm()]);
    const [counter, set, elements, register, used] = list(reply);
    const claims = pairs(list(used)).map(
      ([opId, record]) => [opId.toString(), records.readClaim(record)] as const,
    );
    return {
      counter: counterOf(counter, new Map(claims)),
      set: set ? setOf(body(set), pairs(list(elements))) : undefined,
      register: register ? decodeRegister(body(register)) : undefined,
    };
  }

  /** Each value as of one moment; there is no one moment for all. */
  async *verify(): AsyncGenerator<VerifiedValue> {
    for await (const { value, record } of this.#values(undefined, VERIFY_PAGE_NAMES)) {
      yield { ...value, ...(await this.#digests(value, record)) };
    }
  }

  /** Reads the alerts that each instance has written, by the instance's name. */
  async loadAlertLists(): Promise<Map<string, Buffer>> {
    const flat = list(await this.#redis.command(['HGETALL', ALERTS]));
    return new Map(pairs(flat).map(([name, record]) => [name.toString(), record]));
  }

  async saveAlertList(instance: string, alerts: Buffer): Promise<void> {
    await this.#redis.command(['HSET', ALERTS, instance, alerts]);
  }

  close(): Promise<void> {
    return this.#redis.close();
  }

  /** All values by tenant, type and name, in pages. */
  async *#values(after: DigestPage['after'], limit: number) {
    const tenants = list(await this.#redis.command(['SMEMBERS', TENANTS]))
      .map(String)
      .filter((tenant) => after === undefined || tenant >= after.tenant)
      .sort();
    for (const tenant of tenants) {
      const first =
        tenant === after?.tenant ? (CRDT_TYPES as readonly KeptType[]).indexOf(after.type) : 0;
      for (const type of CRDT_TYPES.slice(first)) {
        const isFirst = tenant === after?.tenant && type === after.type;
        let page: Page = { after: isFirst ? after.name : undefined, limit };
        for (;;) {
          const rows = await this.#rows(tenant, type, page);
          for (const { name, record } of rows) yield { value: { tenant, type, name }, record };
          if (rows.length < limit) break;
          page = { ...page, after: rows.at(-1)?.name };
        }
      }
    }
  }

  async #rows(
    tenant: string,
    type: CrdtType,
    page: Page,
  ): Promise<{ name: string; record: Buffer | null }[]> {
    const flat = list(
      await this.#redis.call('list', [tenant, type, after(page), String(page.limit)]),
    );
    const rows: { name: string; record: Buffer | null }[] = [];
    for (let i = 0; i < flat.length; i += 2) {
      rows.push({ name: String(flat[i]), record: flat[i + 1] ? bytes(flat[i + 1]) : null });
    }
    return rows;
  }

  async #digests(
    { tenant, type, name }: { tenant: string; type: CrdtType; name: string },
    record: Buffer | null,
  ): Promise<{ stored: string; computed: string }> {
    if (record === null) return { stored: 'f'.repeat(32), computed: '0'.repeat(32) };
    if (type === 'set') return this.#setDigests({ tenant, name });
    const opened = records.openRecord(record);
    const computed = formatDigest(recordDigest(opened.body));
    return { stored: opened.isIntact ? computed : opened.checksum, computed };
  }

  async #setDigests(ref: Ref): Promise<{ stored: string; computed: string }> {
    const set = await this.#wholeSet(ref);
    if (set === undefined) return { stored: 'f'.repeat(32), computed: '0'.repeat(32) };
    const { opened, header, elements, members } = set;
    let sum = 0n;
    for (const [, record] of elements) {
      sum = addDigests(sum, BigInt(`0x${records.checksumOf(records.openBare(record))}`));
    }
    const isIntact =
      opened.isIntact &&
      formatDigest(sum) === header.sum &&
      elements.length === header.elements &&
      Number(members) === header.elements;
    const computed = formatDigest(
      addDigests(recordDigest(encodeContext(header.context)), digestOf(elements)),
    );
    return { stored: isIntact ? computed : opened.checksum, computed };
  }

  async #header(ref: Ref): Promise<SetHeader | undefined> {
    const set = await this.#wholeSet(ref);
    if (set === undefined) return undefined;
    const { elements, elementBytes, context } = set.header;
    return { context, elements, elementBytes, elementsDigest: digestOf(set.elements) };
  }

  async #wholeSet(ref: Ref) {
    const [record, flat, members] = list(await this.#redis.call('set', [ref.tenant, ref.name]));
    if (!record) return undefined;
    const opened = records.openRecord(bytes(record));
    const header = records.readHeader(opened.body);
    return { opened, header, elements: pairs(list(flat)), members };
  }
}

const ALERTS = '_replica:alerts';

function keyOf(what: string, { tenant, name }: Ref): string {
  return `${tenant}:${what}:${name}`;
}

/** Where a range of texts in order begins. */
function after(page: Page): string {
  return page.after === undefined ? '-' : `(${page.after}`;
}

function digestOf(elements: readonly (readonly [Buffer, Buffer])[]): bigint {
  let digest = 0n;
  for (const [, record] of elements) {
    digest = addDigests(digest, recordDigest(records.openBare(record)));
  }
  return digest;
}

function setOf(header: Buffer, elements: readonly (readonly [Buffer, Buffer])[]): OrSetState {
  const decoded = elements.map(([, record]) => decodeElement(records.openBare(record)));
  return {
    elements: new Map(decoded.map(({ element, dots }) => [element, dots])),
    context: records.readHeader(header).context,
  };
}

function counterOf(
  record: Reply | undefined,
  claims: Map<string, Claim>,
): CounterState | undefined {
  if (!record && claims.size === 0) return undefined;
  const counter = record ? decodeCounter(body(record)) : emptyCounter();
  return claims.size > 0 ? { ...counter, claims } : counter;
}

function body(record: Reply | undefined): Buffer {
  return records.openRecord(bytes(record)).body;
}
