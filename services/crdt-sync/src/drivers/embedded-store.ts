import { MemplaneError } from '@memplane/contracts';
import {
  addDigests,
  type Claim,
  type Dot,
  decodeElement,
  encodeElement,
  formatDigest,
  recordDigest,
} from '@memplane/crdt';
import {
  probeFolder,
  type RocksSnapshot,
  RocksStore,
  reopenStore,
  storageError,
  type WriteBatch,
} from '@memplane/rocks';
import type { AlertStore, KeptAlert } from '../domain/alerts.ts';
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
  type SetChange,
  type ValueDigest,
  type VerifiedValue,
} from '../domain/port.ts';
import * as ops from './embedded-ops.ts';
import { putPieces } from './embedded-piece-writer.ts';
import { EmbeddedPieces } from './embedded-pieces.ts';
import { readDigests, readState } from './embedded-states.ts';
import * as keys from './keys.ts';
import { dropPieces } from './piece-keys.ts';
import * as records from './records.ts';

export interface EmbeddedStoreOptions {
  readonly dir: string;
}

/** One replica's CRDTs in RocksDB: a record a counter or register; for a set one, and one an element. */
export class EmbeddedStore implements CrdtStore, AlertStore {
  readonly pieces = new EmbeddedPieces(() => this.#rocks);
  #rocks: RocksStore;
  #failedWrites = 0;

  private constructor(rocks: RocksStore) {
    this.#rocks = rocks;
  }

  static async open(options: EmbeddedStoreOptions): Promise<EmbeddedStore> {
    const rocks = await RocksStore.open(options.dir);
    return new EmbeddedStore(rocks);
  }

  async load(refs: readonly Ref[]): Promise<LoadedName[]> {
    const wanted: Buffer[] = [];
    for (const ref of refs) {
      wanted.push(...KEPT_TYPES.map((type) => keys.valueKey(type, ref)));
    }
    const found = await this.#rocks.getMany(wanted);
    return refs.map((_, index) =>
      loadedName(found.slice(index * KEPT_TYPES.length, (index + 1) * KEPT_TYPES.length)),
    );
  }

  async loadElements(
    wants: readonly { readonly ref: Ref; readonly element: string }[],
  ): Promise<(readonly Dot[] | undefined)[]> {
    const found = await this.#rocks.getMany(
      wants.map(({ ref, element }) => keys.elementKey(ref, element)),
    );
    return found.map((record) => (record ? decodeElement(records.opened(record)).dots : undefined));
  }

  async loadOps(
    wants: readonly { readonly ref: Ref; readonly opId: string }[],
  ): Promise<(Claim | undefined)[]> {
    const found = await this.#rocks.getMany(wants.map(({ ref, opId }) => keys.opKey(ref, opId)));
    return found.map((record) => (record ? records.readClaimRecord(record) : undefined));
  }

  opCounts(refs: readonly Ref[]): Promise<number[]> {
    return ops.opCounts(this.#rocks, refs);
  }

  oldestOps(ref: Ref, limit: number): Promise<KnownOp[]> {
    return ops.oldestOps(this.#rocks, ref, limit);
  }

  async forgetOps(ref: Ref, ended: readonly KnownOp[]): Promise<void> {
    const batch = this.#rocks.batch();
    await ops.forgetOps(this.#rocks, batch, ref, ended);
    await this.#write(batch);
  }

  async commit(commit: Commit): Promise<void> {
    await this.#recover();
    const batch = this.#rocks.batch();
    await ops.putOps(this.#rocks, batch, commit.changes);
    for (const change of commit.changes) {
      if (change.type === 'counter') {
        batch.put(keys.valueKey('counter', change.ref), records.counterRecord(change.state));
      } else if (change.type === 'register') {
        batch.put(keys.valueKey('register', change.ref), records.registerRecord(change.state));
      } else if (change.type === 'flag') {
        batch.put(keys.valueKey('flag', change.ref), records.flagRecord(change.state));
      } else if (change.type === 'map') {
        batch.put(keys.valueKey('map', change.ref), records.mapRecord(change.state));
      } else {
        putSet(batch, change);
        await putPieces(this.#rocks, batch, change);
      }
    }
    putKnown(batch, commit);
    await this.#write(batch);
  }

  async elements(ref: Ref, page: Page): Promise<string[]> {
    using snapshot = this.#rocks.snapshot();
    const rows = await this.#rocks.scanAll({
      ...keys.elementRange(ref, page.after),
      limit: page.limit,
      snapshot,
    });
    return rows.map((row) => decodeElement(records.opened(row.value)).element);
  }

  async list(tenant: string, type: CrdtType, page: Page): Promise<ListedName[]> {
    using snapshot = this.#rocks.snapshot();
    const rows = await this.#rocks.scanAll({
      ...keys.valueRange(tenant, type, page.after),
      limit: page.limit,
      snapshot,
    });
    return rows.map(({ key, value }) => {
      const name = keys.nameOfValueKey(key)?.name ?? '';
      const { damaged: _, ...loaded } = loadedName(
        KEPT_TYPES.map((each) => (each === type ? value : null)),
      );
      return { name, ...loaded };
    });
  }

  async incarnations(): Promise<IncarnationRecord[]> {
    const found: IncarnationRecord[] = [];
    for await (const rows of this.#rocks.scan(keys.incarnationRange())) {
      for (const { key, value } of rows) {
        const { number, hlc } = records.readPairRecord(value);
        found.push({ incarnation: key.toString('hex', key.length - 16), commits: number, hlc });
      }
    }
    return found;
  }

  async lastStamp(): Promise<bigint> {
    const record = await this.#rocks.get(keys.clockKey());
    const stamps = (await this.incarnations()).map(({ hlc }) => hlc);
    if (record) stamps.push(records.readPairRecord(record).hlc);
    return stamps.reduce((last, stamp) => (stamp > last ? stamp : last), 0n);
  }

  digests(page: DigestPage): Promise<ValueDigest[]> {
    return readDigests(this.#rocks, page);
  }

  state(ref: Ref): Promise<NamedState> {
    return readState(this.#rocks, ref);
  }

  async discard(type: KeptType, ref: Ref): Promise<void> {
    const batch = this.#rocks.batch();
    batch.delete(keys.valueKey(type, ref));
    const ranges =
      type === 'set'
        ? [keys.elementRange(ref)]
        : type === 'counter'
          ? [keys.opRange(ref), keys.opOrderRange(ref)]
          : [];
    for (const { gte, lt } of ranges) if (gte) batch.deleteRange(gte, lt);
    if (type === 'counter') batch.delete(keys.opCountKey(ref));
    if (type === 'set') dropPieces(batch, ref);
    await this.#write(batch);
  }

  async loadAlerts(): Promise<KeptAlert[]> {
    const [record] = await this.#rocks.getMany([keys.alertsKey()]);
    return record ? records.readAlertsRecord(record) : [];
  }

  /** Nobody else writes here. */
  async loadOthers(): Promise<KeptAlert[]> {
    return [];
  }

  async saveAlerts(alerts: readonly KeptAlert[]): Promise<void> {
    const batch = this.#rocks.batch();
    batch.put(keys.alertsKey(), records.alertsRecord(alerts));
    await this.#rocks.write(batch, { sync: true });
  }

  /** A record of the replica's own that another driver seals. */
  async loadOwnRecord(key: Buffer): Promise<Buffer | undefined> {
    const [record] = await this.#rocks.getMany([key]);
    return record ?? undefined;
  }

  async saveOwnRecord(key: Buffer, record: Buffer): Promise<void> {
    const batch = this.#rocks.batch();
    batch.put(key, record);
    await this.#rocks.write(batch, { sync: true });
  }

  async *verify(): AsyncGenerator<VerifiedValue> {
    const snapshot = this.#rocks.snapshot();
    try {
      for await (const rows of this.#rocks.scan({ snapshot })) {
        for (const { key, value } of rows) {
          const named = keys.nameOfValueKey(key);
          if (named === undefined) continue;
          const stored = records.storedDigest(value);
          if (named.type !== 'set') {
            yield { ...named, stored, computed: records.computedDigest(value) };
            continue;
          }
          const digest = addDigests(
            records.contextDigest(value),
            await this.#elementsDigest(named, snapshot),
          );
          yield { ...named, stored, computed: formatDigest(digest) };
        }
      }
    } finally {
      snapshot.close();
    }
  }

  /** A commit shows once it is synced. */
  async settle(): Promise<void> {}

  close(): Promise<void> {
    return this.#rocks.close();
  }

  async #write(batch: WriteBatch): Promise<void> {
    try {
      await this.#rocks.write(batch, { sync: true });
      this.#failedWrites = 0;
    } catch (error) {
      this.#failedWrites++;
      throw error;
    }
  }

  /** After one failure the store may go on by itself; after two it is opened anew. */
  async #recover(): Promise<void> {
    if (this.#failedWrites < 2) return;
    const { dir } = this.#rocks;
    try {
      await probeFolder(dir);
    } catch (error) {
      throw storageError(error, dir);
    }
    const { store, failure } = await reopenStore(this.#rocks, {});
    this.#rocks = store;
    if (failure !== undefined) throw failure;
    this.#failedWrites = 0;
  }

  async #elementsDigest(ref: Ref, snapshot: RocksSnapshot): Promise<bigint> {
    let digest = 0n;
    for await (const rows of this.#rocks.scan({ ...keys.elementRange(ref), snapshot })) {
      for (const { value } of rows) {
        digest = addDigests(digest, recordDigest(records.opened(value)));
      }
    }
    return digest;
  }
}

/** Damage of one name is told with it: others that are loaded at the same time are well. */
function loadedName([counter, set, register, flag, map]: readonly (Buffer | null)[]): LoadedName {
  try {
    return {
      counter: counter ? records.readCounterRecord(counter) : undefined,
      set: set ? records.readSetRecord(set) : undefined,
      register: register ? records.readRegisterRecord(register) : undefined,
      flag: flag ? records.readFlagRecord(flag) : undefined,
      map: map ? records.readMapRecord(map) : undefined,
    };
  } catch (error) {
    if (!(error instanceof MemplaneError)) throw error;
    return { counter: undefined, set: undefined, register: undefined, damaged: error };
  }
}

function putKnown(batch: WriteBatch, { incarnation, number, hlc, known }: Commit): void {
  if (number === undefined) batch.put(keys.clockKey(), records.pairRecord(0, hlc));
  else batch.put(keys.incarnationKey(incarnation), records.pairRecord(number, hlc));
  for (const [other, upTo] of known) {
    batch.put(keys.incarnationKey(other), records.pairRecord(upTo, hlc));
  }
}

function putSet(batch: WriteBatch, change: SetChange): void {
  const { ref, touched } = change;
  if (change.cleared) {
    const { gte, lt } = keys.elementRange(ref);
    if (gte) batch.deleteRange(gte, lt);
  }
  for (const [element, dots] of touched) {
    const key = keys.elementKey(ref, element);
    if (dots.length === 0) batch.delete(key);
    else batch.put(key, records.elementRecord(encodeElement(element, dots)));
  }
  batch.put(keys.valueKey('set', ref), records.setRecord(change.header));
}
