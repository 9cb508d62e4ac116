import type { Ref } from '../../domain/port.ts';
import type { RedisConnection, Reply } from './connection.ts';
import { placeOf } from './place.ts';
import { bytes, list, pairs } from './replies.ts';
import { type PieceRow, readHeader, readRow, type StoredHeader } from './set-records.ts';

/** Elements with their records. */
export type Elements = readonly (readonly [Buffer, Buffer])[];

/** A set as it was at one moment, without what is in its pieces; not yet looked at. */
export interface FoundSet {
  readonly record: Buffer;
  readonly header: StoredHeader;
  /** Those that are not cut into pieces. */
  readonly uncut: Elements;
  /** What is kept of each piece, by its place. */
  readonly rows: ReadonlyMap<string, Buffer>;
  /** How many stand in order. */
  readonly members: number;
}

/** A piece as it was at one moment. */
export interface FoundPiece {
  readonly place: string;
  readonly record: Buffer;
  readonly row: PieceRow;
  readonly elements: Elements;
}

/** Elements that are cut in one call. */
const CUT_ELEMENTS = 1_000;
/** From there to there in a row's record is what it counts. */
const COUNTED_AT = [34, 74] as const;

/** Reads sets and their pieces, each call as of one moment and bounded. */
export class RedisSets {
  readonly #redis: RedisConnection;

  constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  /** @throws MemplaneError `storage_damaged` */
  async find(ref: Ref): Promise<FoundSet | undefined> {
    return this.read(await this.#redis.call('set', [ref.tenant, ref.name]), ref);
  }

  /** What the function `set` answered. @throws MemplaneError `storage_damaged` */
  async read(reply: Reply | undefined, ref: Ref): Promise<FoundSet | undefined> {
    if (!hasTooMuch(reply)) return foundOf(reply);
    await this.cut(ref);
    // What is left then is damaged, and is given with the header all the same.
    const { tenant, name } = ref;
    const [again, rest] = await Promise.all([
      this.#redis.call('set', [tenant, name]),
      this.#redis.command(['HGETALL', `${tenant}:elements:${name}`]),
    ]);
    const [header, uncut, rows, members] = list(again);
    return foundOf([
      header ?? null,
      Array.isArray(uncut) ? uncut : rest,
      rows ?? [],
      members ?? null,
    ]);
  }

  /** Takes what is not cut into pieces, some at a time. */
  async cut({ tenant, name }: Ref): Promise<void> {
    let cursor = '0';
    do {
      const scan = ['HSCAN', `${tenant}:elements:${name}`, cursor, 'COUNT', `${CUT_ELEMENTS}`];
      const [next, flat] = list(await this.#redis.command(scan));
      const placed = pairs(list(flat)).flatMap(([element]) => [element, placeOf(`${element}`)]);
      if (placed.length > 0) {
        const result = await this.#redis.call('cut', [tenant, name, ...placed]);
        // Of what is damaged others are to say what it was.
        if (Array.isArray(result)) return;
      }
      cursor = `${next}`;
    } while (cursor !== '0');
  }

  /** Some pieces, and the header, at one moment. @throws MemplaneError `storage_damaged` */
  async pieces({ tenant, name }: Ref, places: readonly string[]) {
    const reply = await this.#redis.call('pieces', [tenant, name, ...places]);
    const [record, found] = list(reply);
    const pieces = places.flatMap((place, index) => {
      const [row, elements] = list(found).slice(index * 2, index * 2 + 2);
      return row ? [pieceOf(place, row, elements)] : [];
    });
    return { header: record ? readHeader(bytes(record)) : undefined, pieces };
  }

  /** The set, and what is not as the caller knows it: up to so many elements. */
  async news(ref: Ref, known: ReadonlyMap<string, Buffer>, elements_max: number) {
    const words = [...known].flatMap(([place, record]) => [place, countedIn(record)]);
    const asked = [ref.tenant, ref.name, String(elements_max), ...words];
    const [found, given, isAll] = list(await this.#redis.call('news', asked));
    const flat = list(given);
    const pieces: FoundPiece[] = [];
    for (let i = 0; i < flat.length; i += 3) {
      pieces.push(pieceOf(bytes(flat[i]).toString(), flat[i + 1], flat[i + 2]));
    }
    return { found: await this.read(found, ref), pieces, isAll: isAll === '1' };
  }

  /** Keeps digests of pieces that are still what was seen. */
  async keepDigests(
    { tenant, name }: Ref,
    digests: readonly {
      readonly place: string;
      readonly record: Buffer;
      readonly digest: bigint;
    }[],
  ): Promise<void> {
    const words = digests.flatMap(({ place, record, digest }) => [
      place,
      record,
      Buffer.from(digest.toString(16).padStart(32, '0'), 'hex'),
    ]);
    await this.#redis.call('digested', [tenant, name, ...words]);
  }
}

/** What a row counts, in bytes that differ where that does. */
function countedIn(record: Buffer): Buffer {
  return record.subarray(...COUNTED_AT);
}

function hasTooMuch(reply: Reply | undefined): boolean {
  const [record, uncut] = list(reply);
  return record !== null && !Array.isArray(uncut);
}

function foundOf(reply: Reply | undefined): FoundSet | undefined {
  const [found, uncut, rows, members] = list(reply);
  if (found === null || found === undefined) return undefined;
  const record = bytes(found);
  return {
    record,
    header: readHeader(record),
    uncut: pairs(list(uncut)),
    rows: new Map(pairs(list(rows)).map(([place, row]) => [place.toString(), row])),
    members: Number(members),
  };
}

function pieceOf(place: string, row: Reply | undefined, elements: Reply | undefined): FoundPiece {
  const record = bytes(row);
  return { place, record, row: readRow(record), elements: pairs(list(elements)) };
}
