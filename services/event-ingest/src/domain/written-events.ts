import { ENDS_PER_EVENT, type PackedBody } from './packed-body.ts';
import { type MemberTexts, type PrepareContext, textsOf, writeEvent } from './prepare.ts';
import type { CarriedConditions, CarriedHlc } from './prepare-body.ts';
import type { CheckedEvent } from './read-body.ts';

/** What events grow by as they are written, for a guess: names, stamps and digests. */
const GROWTH = 2;
const GROWTH_BYTES = 512;

/** Collects the events of a body, packed. */
export class WrittenEvents {
  readonly #context: PrepareContext;
  readonly #ends: number[] = [];
  readonly #carried: CarriedHlc[] = [];
  readonly #conditions: CarriedConditions[] = [];
  readonly #madeIds: number[] = [];
  #names = '';
  #keys = '';
  #values: Buffer<ArrayBuffer>;
  #used = 0;

  /** @param bodyBytes of the request, for a guess at how much is to be written */
  constructor(context: PrepareContext, bodyBytes: number) {
    this.#context = context;
    this.#values = Buffer.allocUnsafe(GROWTH * bodyBytes + GROWTH_BYTES);
  }

  get count(): number {
    return this.#ends.length / ENDS_PER_EVENT;
  }

  /** @throws MemplaneError `event_too_large` */
  add(texts: MemberTexts, field: string, traceparent = this.#context.traceparent): void {
    if (texts.sentId === undefined) this.#madeIds.push(this.count);
    const event = writeEvent(texts, this.#context, field, traceparent);
    const idEnd = this.#names.length + event.id.length;
    this.#names += event.id + event.entity;
    this.#keys += event.idKey + event.digest;
    this.#makeRoom(event.text.length * 3);
    this.#used += this.#values.write(event.text, this.#used);
    this.#ends.push(idEnd, this.#names.length, this.#used);
  }

  /** @throws MemplaneError `event_too_large` */
  addChecked({ sent, carried, strong, field }: CheckedEvent): void {
    if (strong !== undefined) this.#conditions.push({ ...strong, index: this.count, field });
    this.add(textsOf(sent), field, carried.traceparent);
    if (carried.hlc !== undefined) this.#carried.push({ hlc: carried.hlc, field });
  }

  pack(isBatch: boolean): PackedBody {
    return {
      isBatch,
      carried: this.#carried,
      conditions: this.#conditions,
      madeIds: this.#madeIds,
      names: this.#names,
      keys: this.#keys,
      values: this.#values.subarray(0, this.#used),
      ends: new Uint32Array(this.#ends),
    };
  }

  #makeRoom(bytes: number): void {
    const needed = this.#used + bytes;
    if (needed <= this.#values.length) return;
    const bigger = Buffer.allocUnsafe(Math.max(needed, this.#values.length * 2));
    this.#values.copy(bigger, 0, 0, this.#used);
    this.#values = bigger;
  }
}
