import { MemplaneError } from '@memplane/contracts';
import {
  addDigests,
  type Claim,
  type CounterState,
  type Dot,
  decodeCounter,
  decodeElement,
  decodeFlag,
  decodeMap,
  decodeRegister,
  emptyCounter,
  encodeContext,
  formatDigest,
  type OrSetState,
  recordDigest,
} from '@memplane/crdt';
import {
  type Commit,
  type CrdtStore,
  type CrdtType,
  type DigestPage,
  type IncarnationRecord,
  KEPT_TYPES,
  type KeptType,
  type KnownOp,
  type ListedName,
  type LoadedName,
  type NamedState,
  type Page,
  type Ref,
  type ValueDigest,
  type VerifiedValue,
} from '../../domain/port.ts';
import type { CallHeader } from './call-codec.ts';
import type { RedisConnection, Reply } from './connection.ts';
import { joinWords, pieceOfChange } from './join-codec.ts';
import { digestOf } from './piece-checks.ts';
import { bucketOf, placeOf } from './place.ts';
import { RedisPieces } from './redis-pieces.ts';
import * as records from './redis-records.ts';
import { type Elements, type FoundSet, RedisSets } from './redis-sets.ts';
import { bytes, list, pairs } from './replies.ts';
import { INCARNATIONS } from './session-setup.ts';
import { readSnapshot } from './set-snapshot.ts';
import { Settling } from './settling.ts';

const CLOCK = '_replica:clock';
const TENANTS = '_replica:tenants';
const VERIFY_PAGE_NAMES = 64;
const DAMAGED_DIGEST = '0'.repeat(32);

type ValueName = Pick<VerifiedValue, 'tenant' | 'type' | 'name'>;

/**
 * One replica's CRDTs in a Redis that several processes write to. Commands go through
 * `RedisExecutor`; here are the reads, and `commit`, which joins deltas on the server and therefore
 * needs nothing that was loaded before.
 */
export class RedisStore implements CrdtStore {
  readonly pieces: RedisPieces;
  readonly #redis: RedisConnection;
  readonly #settling: Settling;
  readonly #sets: RedisSets;

  constructor(redis: RedisConnection) {
    this.#redis = redis;
    this.#settling = new Settling(redis);
    this.#sets = new RedisSets(redis);
    this.pieces = new RedisPieces(redis, this.#sets);
  }

  async load(refs: readonly Ref[]): Promise<LoadedName[]> {
    if (refs.length === 0) return [];
    const wanted = refs.flatMap((ref) => KEPT_TYPES.map((type) => keyOf(type, ref)));
    const found = list(await this.#redis.command(['MGET', ...wanted]));
    const types = KEPT_TYPES.length;
    return Promise.all(
      refs.map((ref, index) => this.#loaded(ref, found.slice(index * types, (index + 1) * types))),
    );
  }

  /** Damage of one name is told with it: others that are loaded at the same time are well. */
  async #loaded(ref: Ref, records: readonly Reply[]): Promise<LoadedName> {
    const [counter, set, register, flag, map] = records;
    try {
      return {
        counter: counter ? decodeCounter(body(counter)) : undefined,
        set: set ? await this.pieces.header(ref) : undefined,
        register: register ? decodeRegister(body(register)) : undefined,
        flag: flag ? decodeFlag(body(flag)) : undefined,
        map: map ? decodeMap(body(map)) : undefined,
      };
    } catch (error) {
      if (!isDamage(error)) throw error;
      return { counter: undefined, set: undefined, register: undefined, damaged: error };
    }
  }

  async loadElements(
    wants: readonly { readonly ref: Ref; readonly element: string }[],
  ): Promise<(readonly Dot[] | undefined)[]> {
    const words = wants.flatMap(({ ref, element }) => {
      const spots = [`piece-${bucketOf(element)}`, `piece-${placeOf(element)}`, 'elements'];
      return spots.flatMap((spot) => [keyOf(spot, ref), element]);
    });
    const found = list(await this.#redis.call('fields', words));
    return wants.map((_, index) => {
      const record = found.slice(index * 3, index * 3 + 3).find((one) => one !== null);
      return record ? decodeElement(records.openBare(bytes(record))).dots : undefined;
    });
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
      map_bytes_max: 0,
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
        const records = KEPT_TYPES.map((each) => (each === type ? record : null));
        const { damaged: _, ...loaded } = await this.#loaded({ tenant, name }, records);
        return { name, ...loaded };
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
      found.push({ ...value, digest: await this.#digest(value, record) });
    }
    // A vector that speaks of more would make another replica believe that it has all of that.
    await this.#redis.confirm();
    return found;
  }

  async state(ref: Ref): Promise<NamedState> {
    const found = this.#redis.call('state', [ref.tenant, ref.name]);
    // In the same round trip, and behind it: what is gone is not given as all that there is.
    const [reply] = await Promise.all([found, this.#redis.confirm()]);
    const [counter, used, set, register, flag, map] = list(reply);
    const claims = pairs(list(used)).map(
      ([opId, record]) => [opId.toString(), records.readClaim(record)] as const,
    );
    return {
      counter: counterOf(counter, new Map(claims)),
      set: await this.#stateOf(ref, await this.#sets.read(set, ref)),
      register: isThere(register) ? decodeRegister(body(register)) : undefined,
      flag: isThere(flag) ? decodeFlag(body(flag)) : undefined,
      map: isThere(map) ? decodeMap(body(map)) : undefined,
    };
  }

  discard(type: KeptType, ref: Ref): Promise<void> {
    return this.#redis.discard(type, ref);
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
      const first = tenant === after?.tenant ? KEPT_TYPES.indexOf(after.type) : 0;
      for (const type of KEPT_TYPES.slice(first)) {
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
    type: KeptType,
    page: Page,
  ): Promise<{ name: string; record: Buffer | null }[]> {
    const flat = list(
      await this.#redis.call('list', [tenant, type, after(page), String(page.limit)]),
    );
    const rows: { name: string; record: Buffer | null }[] = [];
    for (let i = 0; i < flat.length; i += 2) {
      rows.push({
        name: String(flat[i]),
        record: isThere(flat[i + 1]) ? bytes(flat[i + 1]) : null,
      });
    }
    return rows;
  }

  /** Of a set's pieces those are kept. What is damaged has the digest of nothing, which differs. */
  async #digest(value: ValueName, record: Buffer | null): Promise<string> {
    if (value.type !== 'set') return (await this.#digests(value, record)).computed;
    try {
      const header = await this.pieces.header(value);
      if (header === undefined) return DAMAGED_DIGEST;
      const { context, elementsDigest } = header;
      return formatDigest(addDigests(recordDigest(encodeContext(context)), elementsDigest));
    } catch (error) {
      if (!isDamage(error)) throw error;
      return DAMAGED_DIGEST;
    }
  }

  /** What is damaged beyond reading has the digests of nothing, which differ. */
  async #digests(
    { tenant, type, name }: ValueName,
    record: Buffer | null,
  ): Promise<{ stored: string; computed: string }> {
    try {
      if (type === 'set') return await this.#setDigests({ tenant, name });
      const opened = records.openRecord(bytes(record ?? undefined));
      const computed = formatDigest(recordDigest(opened.body));
      return { stored: opened.isIntact ? computed : opened.checksum, computed };
    } catch (error) {
      if (!isDamage(error)) throw error;
      return { stored: 'f'.repeat(32), computed: DAMAGED_DIGEST };
    }
  }

  /** @throws MemplaneError `storage_damaged`: what is damaged must not spread */
  async #stateOf(ref: Ref, found: FoundSet | undefined): Promise<OrSetState | undefined> {
    if (found === undefined) return undefined;
    const decode = (elements: Elements) =>
      elements.map(([, record]) => decodeElement(records.openBare(record)));
    const snapshot = await readSnapshot(this.#sets, ref, found, decode);
    if (snapshot === undefined) return undefined;
    if (!snapshot.isIntact) throw records.damaged('a set does not have its digest');
    const decoded = snapshot.parts.flat();
    const { context } = snapshot.found.header;
    return { elements: new Map(decoded.map(({ element, dots }) => [element, dots])), context };
  }

  /** Computed anew from all elements. */
  async #setDigests(ref: Ref): Promise<{ stored: string; computed: string }> {
    const found = await this.#sets.find(ref);
    const snapshot = found && (await readSnapshot(this.#sets, ref, found, digestOf));
    if (snapshot === undefined) throw records.damaged('a set is not there any more');
    const { context, opened } = snapshot.found.header;
    const elements = snapshot.parts.reduce(addDigests, 0n);
    const computed = formatDigest(addDigests(recordDigest(encodeContext(context)), elements));
    return { stored: snapshot.isIntact ? computed : opened.checksum, computed };
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

function counterOf(
  record: Reply | undefined,
  claims: Map<string, Claim>,
): CounterState | undefined {
  if (!isThere(record) && claims.size === 0) return undefined;
  const counter = isThere(record) ? decodeCounter(body(record)) : emptyCounter();
  return claims.size > 0 ? { ...counter, claims } : counter;
}

/** Something stands there, if only a value of another of Redis's types. */
function isThere(record: Reply | undefined): boolean {
  return record !== null && record !== undefined;
}

/** @throws MemplaneError `storage_damaged`, also where the value does not have its digest */
function body(record: Reply | undefined): Buffer {
  const { body, isIntact } = records.openRecord(bytes(record));
  if (!isIntact) throw records.damaged('it does not have its digest');
  return body;
}

function isDamage(error: unknown): error is MemplaneError {
  return error instanceof MemplaneError && error.code === 'storage_damaged';
}
