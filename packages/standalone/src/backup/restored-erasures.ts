import { firstHlcOf, formatHlc, parseHlc } from '@memplane/clock';
import { partitionKey } from '@memplane/contracts';
import { erasureEventAgain, erasuresIn, type LoggedErasure } from '@memplane/event-ingest/backup';
import { type LogRecord, type LogWriter, partitionOf } from '@memplane/event-log';
import type { LedgerEntry } from '../ledger/ledger-object.ts';
import { type DividedErasures, dividedAt } from '../ledger/newer-erasures.ts';
import type { BackupReader } from './backup-reader.ts';
import { appendInPlace, type RestoredLog } from './restore-log.ts';
import { type RestoredShape, restoredEnds } from './restored-shape.ts';

const APPEND_RECORDS = 1_000;

/** The erasures that a backup has records of. @throws MemplaneError `storage_damaged` */
export async function ownErasures(backup: BackupReader): Promise<LoggedErasure[]> {
  const found: LoggedErasure[] = [];
  for (const part of backup.parts('strong')) {
    for await (const erasure of erasuresIn(backup.lines(part), part.name)) found.push(erasure);
  }
  return found;
}

/** What a restoration has to leave out, and to say that it was erased. */
export class RestoredErasures {
  readonly #divided: DividedErasures;
  readonly #newer: ReadonlySet<string>;

  private constructor(divided: DividedErasures) {
    this.#divided = divided;
    this.#newer = new Set(divided.newer.map(keyOf));
  }

  /** @param ledger what it has; undefined: there is none */
  static async of(
    backup: BackupReader,
    ledger: Iterable<LedgerEntry> = [],
    { shape, untilMs }: { readonly shape: RestoredShape; readonly untilMs: number | undefined },
  ): Promise<RestoredErasures> {
    const known = { ledger: [...ledger], own: await ownErasures(backup) };
    const isNone = known.ledger.length === 0 && known.own.length === 0;
    const offsets = isNone ? [] : await restoredEnds(backup, shape, untilMs);
    const { logId } = backup.manifest.cut;
    return new RestoredErasures(dividedAt(known, { logId, offsets }));
  }

  /** How many are newer than what is restored. */
  get newer(): number {
    return this.#divided.newer.length;
  }

  /** Whether derived values may be of what is erased. */
  get areUncleared(): boolean {
    const { within, newer } = this.#divided;
    return newer.length > 0 || within.some(({ isDone }) => !isDone);
  }

  /** Whether all that is restored of an entity is of before its erasure. */
  isErased(key: string): boolean {
    return this.#newer.has(key);
  }

  /**
   * Whose content goes from the snapshot of a shard; undefined: nobody's. An erasure may be within what
   * is restored, and beyond the snapshot.
   */
  goneFrom(partition: number, lastOffset: number): ((key: string) => boolean) | undefined {
    const beyond = this.#divided.within.filter(
      ({ event }) => event.partition === partition && event.offset > lastOffset,
    );
    if (beyond.length === 0 && this.#newer.size === 0) return undefined;
    const keys = new Set([...this.#newer, ...beyond.map(keyOf)]);
    return (key) => keys.has(key);
  }

  /**
   * Appends the events of those that are newer, behind all that was restored.
   * @returns all that the restored log has, as its plane is to keep them: of what is newer nothing is
   * left to be cleared
   */
  async append(
    writer: LogWriter,
    { ends }: RestoredLog,
    { newestHlc, nowMs }: { readonly newestHlc: string | undefined; readonly nowMs: number },
  ): Promise<{ readonly erasures: readonly LoggedErasure[]; readonly ends: readonly number[] }> {
    const { within, newer } = this.#divided;
    const last = newestHlc === undefined ? 0n : parseHlc(newestHlc);
    const now = firstHlcOf(nowMs);
    let hlc = last < now ? now : last + 1n;
    const at = new Date(nowMs).toISOString();
    const after = [...ends];
    const erasures: LoggedErasure[] = [...within];
    const records: LogRecord[] = [];
    for (const erasure of newer) {
      const { key, value, id } = erasureEventAgain(erasure, formatHlc(hlc));
      const partition = partitionOf(key, ends.length);
      const offset = (after[partition] ?? -1) + 1;
      after[partition] = offset;
      records.push({ partition, offset, key, value, hlc });
      hlc++;
      const stores = [{ store: 'log', isClear: true, left: 0, at, note: NOTE } as const];
      const event = { id, partition, offset };
      erasures.push({ ...erasure, event, isDone: true, doneAt: at, stores: [...stores] });
    }
    for (let first = 0; first < records.length; first += APPEND_RECORDS) {
      await appendInPlace(writer, records.slice(first, first + APPEND_RECORDS));
    }
    return { erasures, ends: after };
  }
}

const NOTE = 'The plane was restored without what had been said before.';

function keyOf({ tenant, entity }: LoggedErasure): string {
  return partitionKey(tenant, entity);
}
