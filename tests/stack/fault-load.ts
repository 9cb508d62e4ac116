import { setTimeout as sleep } from 'node:timers/promises';
import { clusteredVectors, range, type Seeded, type SentEvent } from '@memplane/testkit';
import { crashLoad, newCrashLoad, newEvent } from '../faults/crash-load.ts';
import { isPassing, persist } from './persist.ts';
import type { StackPlane } from './stack-plane.ts';

const WRITERS = 4;
const SESSIONS = 20;
export const COUNTER = 'faults';

/** The longest times in which no call of a kind got through, in ms. */
export interface Gaps {
  append: number;
  read: number;
  count: number;
}

/** What agents do while parts of the stack die: append, read, publish, count, open sessions. */
export class FaultLoad {
  readonly appends = newCrashLoad(clusteredVectors({ seed: 41 }));
  readonly increments = { acknowledged: 0, next: 0 };
  readonly #plane: StackPlane;
  #sessionChanges = 0;

  constructor(plane: StackPlane) {
    this.#plane = plane;
  }

  /** Goes on for as long as the work takes. @param isDisorder all that is published comes repeatedly */
  async during(random: Seeded, isDisorder: boolean, work: () => Promise<void>): Promise<Gaps> {
    const gaps: Gaps = { append: 0, read: 0, count: 0 };
    const began = performance.now();
    const last: Gaps = { append: began, read: began, count: began };
    const onDone = (what: keyof Gaps) => {
      gaps[what] = Math.max(gaps[what], performance.now() - last[what]);
      last[what] = performance.now();
    };
    let isStopped = false;
    const stopped = () => isStopped;
    const { ingest, materializer } = this.#plane;
    const running = Array.from(range(WRITERS), (i) =>
      crashLoad(
        { ingest, materializer, isRefusal: isPassing, onDone },
        this.appends,
        random.fork(i),
        stopped,
      ),
    );
    running.push(this.#publish(random.fork(101), stopped, isDisorder));
    running.push(this.#count(onDone, stopped));
    running.push(this.#changeSessions(random.fork(102), stopped));
    try {
      await work();
    } finally {
      isStopped = true;
      await Promise.all(running);
    }
    return gaps;
  }

  /** Other events go by the inbox: accepted by the sidecar, appended when ingest gets there. */
  async #publish(random: Seeded, stopped: () => boolean, isDisorder: boolean): Promise<void> {
    const past: SentEvent[] = [];
    while (!stopped()) {
      const events = Array.from(range(isDisorder ? 10 : 1), () => newEvent(this.appends, random));
      this.appends.ledger.send(events);
      past.push(...events);
      const again = isDisorder ? Array.from(range(20), () => random.pick(past)) : [];
      const sent = random.shuffle([...events, ...again]);
      // Refused while Kafka is away: then it may be there or not, and nothing was acknowledged.
      await this.#plane
        .publish(sent.map((event) => ({ event, partitionKey: event.entity })))
        .catch(() => {});
      await sleep(50);
    }
  }

  /** Opens and closes sessions: how many are active is a counter that follows from the log. */
  async #changeSessions(random: Seeded, stopped: () => boolean): Promise<void> {
    while (!stopped()) {
      const body = {
        id: `s${this.#sessionChanges++}`,
        type: random.pick(['SessionStarted', 'SessionEnded']),
        entity: `session/faults-${random.int(1, SESSIONS)}`,
      };
      await persist(201, 'POST', `${this.#plane.ingest}/v1/events`, { body });
      await sleep(100);
    }
  }

  /** Each increment is repeated, with its id, until it is answered. */
  async #count(onDone: (what: 'count') => void, stopped: () => boolean): Promise<void> {
    while (!stopped()) {
      const body = { by: 1, opId: `op${this.increments.next++}` };
      await persist(200, 'POST', `${this.#plane.crdt}/v1/counters/${COUNTER}/increments`, { body });
      this.increments.acknowledged++;
      onDone('count');
    }
  }
}
