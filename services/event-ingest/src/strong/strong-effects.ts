import { encodeToken, MemplaneError, partitionKey } from '@memplane/contracts';
import { type LogWriter, partitionOf } from '@memplane/event-log';
import type { StrongStore, Versioned, WriteOutcome } from '@memplane/runtime/strong';
import type { Appender } from '../appender.ts';
import type { DuplicateRecord } from '../domain/duplicate-record.ts';
import { CONTENT_KEY_CHARS, identityOf, type PreparedEvent } from '../domain/prepare.ts';
import { headKey } from '../domain/strong/head.ts';
import type { Observations } from '../domain/strong/observations.ts';
import type {
  Check,
  Effect,
  EntityName,
  Intent,
  IntentEvent,
  Located,
  Place,
  Program,
} from '../domain/strong/program.ts';
import type { EntityViews } from '../domain/strong/views.ts';
import { CompleteIds } from './complete-ids.ts';
import { LastOnes } from './last-ones.ts';

export interface StrongEffectsParts {
  readonly store: StrongStore;
  readonly log: Pick<LogWriter, 'info' | 'bounds'>;
  readonly appender: Pick<Appender, 'appendDecided'>;
  readonly duplicates: Pick<DuplicateRecord, 'find'>;
  readonly views: EntityViews;
  readonly observations: Observations;
  readonly monotonicMs: () => number;
  readonly pause: (ms: number) => Promise<void>;
  readonly random: () => number;
  /** How long a view is waited for that is behind what is decided. */
  readonly viewWaitMs: number;
}

/** Intents whose events are known to be in the log, and entities whose views were looked at. */
const REMEMBERED_MAX = 10_000;
/** Records of some kilobytes each. */
const SEEN_MAX = 1_000;
/** Ids of strong entities that are wholly known, about 80 bytes each. */
const IDS_MAX = 200_000;
const PAUSE_MS_MIN = 2;
const PAUSE_MS_MAX = 150;
const VIEW_POLL_MS = 20;

/** Does what programs ask for. */
export class StrongEffects {
  readonly #parts: StrongEffectsParts;
  /** By nonce. */
  readonly #finished = new LastOnes<readonly Place[]>(REMEMBERED_MAX);
  /** What was read or written last, by key. */
  readonly #seen = new LastOnes<Versioned>(SEEN_MAX);
  #forgotten = 0;
  readonly #ids = new CompleteIds(IDS_MAX);
  /** The highest sequence that a view was seen at. */
  readonly #viewed = new LastOnes<number>(REMEMBERED_MAX);

  constructor(parts: StrongEffectsParts) {
    this.#parts = parts;
  }

  /** Runs a program to its end. @throws what it throws */
  async run<T>(program: Program<T>): Promise<T> {
    let next = program.next();
    while (next.done !== true) {
      let answer: unknown;
      try {
        answer = await this.#do(next.value);
      } catch (error) {
        next = program.throw(error);
        continue;
      }
      next = program.next(answer);
    }
    return next.value;
  }

  /** What was seen of heads counts no more, in what is under way neither: of one, or of all. */
  forget(of?: EntityName): void {
    this.#forgotten++;
    if (of === undefined) this.#seen.clear();
    else this.#seen.delete(headKey(of));
  }

  /** Whether the events of an intent are in the log, as far as is known here. */
  isFinished(nonce: string): boolean {
    return this.#finished.get(nonce) !== undefined;
  }

  /** A token of all that the log holds of an entity. */
  async tokenOf(of: EntityName): Promise<string> {
    const { info, bounds } = this.#parts.log;
    const { logId, epoch, partitions } = info;
    const partition = partitionOf(keyOf(of), partitions);
    const { end } = await bounds.call(this.#parts.log, partition);
    const offsets = new Map([[partition, end - 1]]);
    return encodeToken({ logId, epoch, partitions, offsets });
  }

  async #do(effect: Effect): Promise<unknown> {
    const { observations, monotonicMs, pause, random, views } = this.#parts;
    switch (effect.do) {
      case 'get':
        return this.#get(effect.key, effect.mayBeOld);
      case 'write':
        return this.#write(effect.key, effect.value, effect.version);
      case 'saw':
        return this.#ids.saw(keyOf(effect.of), effect.head);
      case 'produce':
        return this.#produce(effect.of, effect.intent, effect.check);
      case 'sequence': {
        const sequence = await views.sequence(effect.of, await this.tokenOf(effect.of));
        this.#sawView(effect.of, sequence);
        return sequence;
      }
      case 'locate':
        return this.#locate(effect.of, effect.id, effect.sequence);
      case 'expired':
        return observations.isUnchangedFor(effect.key, effect.version, effect.ttlMs, monotonicMs());
      case 'pause':
        return pause(random() * Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** effect.attempt));
    }
  }

  async #get(key: string, mayBeOld: boolean): Promise<Versioned | undefined> {
    const known = mayBeOld ? this.#seen.get(key) : undefined;
    if (known !== undefined) return known;
    const forgotten = this.#forgotten;
    const stored = await this.#parts.store.get(key);
    if (stored !== undefined && this.#forgotten === forgotten) this.#seen.set(key, stored);
    return stored;
  }

  async #write(key: string, value: string, version: string | undefined): Promise<WriteOutcome> {
    const { store } = this.#parts;
    this.#seen.delete(key);
    const forgotten = this.#forgotten;
    const outcome = await (version === undefined
      ? store.create(key, value)
      : store.compareAndSet(key, value, version));
    if (outcome.kind !== 'written' || this.#forgotten !== forgotten) return outcome;
    this.#seen.set(key, { value, version: outcome.version });
    return outcome;
  }

  async #produce(of: EntityName, intent: Intent, check: Check): Promise<readonly Place[]> {
    const known = this.#finished.get(intent.nonce);
    if (known !== undefined) return known;
    const events = intent.events.map((event) => preparedOf(of, event));
    const places = await this.#parts.appender.appendDecided(events, check);
    this.#finished.set(intent.nonce, places);
    return places;
  }

  /** By the record of recent ids, which gives places; by the view where that knows nothing. */
  async #locate(of: EntityName, id: string, sequence: number): Promise<Located | undefined> {
    if (this.#ids.isNew(keyOf(of), id, sequence)) return undefined;
    const { duplicates, views } = this.#parts;
    const [recent] = await duplicates.find([identityOf(of.tenant, of.entity, id)]);
    if (recent !== undefined) return { ...recent, digest: recent.contentKey, sequence: undefined };
    await this.#waitForView(of, sequence);
    return views.find(of, id);
  }

  /** @throws MemplaneError `not_yet_visible` */
  async #waitForView(of: EntityName, sequence: number): Promise<void> {
    const { views, monotonicMs, viewWaitMs, pause } = this.#parts;
    const key = keyOf(of);
    const deadline = monotonicMs() + viewWaitMs;
    while ((this.#viewed.get(key) ?? -1) < sequence) {
      const seen = await views.sequence(of);
      this.#sawView(of, seen);
      if (seen >= sequence) return;
      if (monotonicMs() > deadline) {
        throw new MemplaneError('not_yet_visible', `The view of ${of.entity} is behind.`, {
          retryAfterMs: 200,
        });
      }
      await pause(VIEW_POLL_MS);
    }
  }

  #sawView(of: EntityName, sequence: number): void {
    const key = keyOf(of);
    this.#viewed.set(key, Math.max(sequence, this.#viewed.get(key) ?? 0));
  }
}

function keyOf({ tenant, entity }: EntityName): string {
  return partitionKey(tenant, entity);
}

function preparedOf({ tenant, entity }: EntityName, event: IntentEvent): PreparedEvent {
  const { id, digest, text } = event;
  return {
    id,
    entity,
    key: partitionKey(tenant, entity),
    idKey: identityOf(tenant, entity, id),
    contentKey: digest.slice(0, CONTENT_KEY_CHARS),
    digest,
    value: Buffer.from(text),
  };
}
