import type { Memplane, NewEvent } from '@memplane/client';
import type { ChildPlane } from './child-plane.ts';

/** What the story found out, for programs. */
export interface DemoFacts {
  viewAttributes?: unknown;
  foundMemory?: string;
  pastAttributes?: unknown;
  traceEvents?: string[];
  streamed?: number;
  acknowledgedBeforeKill?: number;
  resentDuplicates?: number;
  appliedAfterRestart?: number;
  restartMs?: number;
  counter?: number;
}

export type Tell = (text: string) => void;

const VISITOR = 'user/ada';
const STREAM_EVENTS = 2_000;
const STREAM_BATCH = 25;
const KILL_AFTER = 800;
const RAISES_EACH = 50;

/** Two agents look after a visitor: everything told is read from the plane's own answers. */
export class Story {
  readonly facts: DemoFacts = {};
  readonly #plane: ChildPlane;
  readonly #client: Memplane;
  readonly #tell: Tell;

  constructor(plane: ChildPlane, client: Memplane, tell: Tell) {
    this.#plane = plane;
    this.#client = client;
    this.#tell = tell;
  }

  async play(): Promise<DemoFacts> {
    await this.#append();
    await this.#recall();
    await this.#lookBack();
    await this.#explain();
    await this.#crash();
    await this.#count();
    return this.facts;
  }

  async #append(): Promise<void> {
    this.#tell('1. Ada writes to the concierge agent, and the planner agent decides something.');
    const run = 'trip-to-lisbon';
    const events: NewEvent[] = [
      {
        id: 'ask-1',
        type: 'UserMessageSent',
        entity: VISITOR,
        source: 'agent/concierge',
        correlationId: run,
        data: { text: 'Two nights in Lisbon, please. Somewhere quiet.' },
        attributes: { city: 'Lisbon', nights: 2 },
        memory: { id: 'quiet', text: 'Sleeps badly where it is noisy; wants a quiet room' },
      },
      {
        id: 'ask-2',
        type: 'UserMessageSent',
        entity: VISITOR,
        source: 'agent/concierge',
        correlationId: run,
        causationId: 'ask-1',
        data: { text: 'Make it three nights.' },
        attributes: { nights: 3 },
        memory: { id: 'breakfast', text: 'Eats breakfast early, before seven' },
      },
      {
        id: 'decide-1',
        type: 'HotelChosen',
        entity: VISITOR,
        source: 'agent/planner',
        correlationId: run,
        causationId: 'ask-2',
        data: { hotel: 'Casa do Jardim', because: 'a courtyard room is quiet' },
        attributes: { hotel: 'Casa do Jardim' },
      },
    ];
    for (const appended of await this.#client.append(events)) {
      this.#tell(`   durable at ${appended.partition}:${appended.offset}  ${appended.id}`);
    }
    const view = await this.#client.entity(VISITOR);
    this.facts.viewAttributes = view?.attributes;
    this.#tell(`   the view of ${VISITOR}: ${JSON.stringify(view?.attributes)}`);
  }

  async #recall(): Promise<void> {
    const question = 'which room would let her sleep?';
    this.#tell(`\n2. Another agent asks: "${question}"`);
    const { results } = await this.#client.recall({ text: question, topK: 3 });
    const [hit] = results.filter(({ memory }) => !('turn' in memory));
    if (hit) this.facts.foundMemory = hit.memoryId;
    this.#tell(`   best memory: "${hit?.memory.text}" (from event ${hit?.eventId})`);
  }

  async #lookBack(): Promise<void> {
    this.#tell('\n3. What did we know when she first wrote?');
    const past = await this.#client.entity(VISITOR, { asOf: 'event:ask-1' });
    this.facts.pastAttributes = past?.attributes;
    this.#tell(`   the view as of ask-1: ${JSON.stringify(past?.attributes)}`);
  }

  async #explain(): Promise<void> {
    this.#tell('\n4. Why this hotel? The trace of the decision, back to its cause:');
    const graph = await this.#client.trace('decide-1', { entity: VISITOR });
    const nodes = (graph['nodes'] ?? []) as unknown as readonly Record<string, unknown>[];
    const byId = new Map(nodes.map((node) => [node['id'], node]));
    const chain: string[] = [];
    for (let id: unknown = 'decide-1'; byId.has(id); id = byId.get(id)?.['causationId']) {
      chain.push(String(id));
    }
    this.facts.traceEvents = chain;
    this.#tell(`   ${chain.join('  caused by  ')}`);
  }

  async #crash(): Promise<void> {
    this.#tell(`\n5. A sensor agent streams ${STREAM_EVENTS} readings; in the middle: kill -9.`);
    const acknowledged = new Set<string>();
    await this.#stream(acknowledged, () => acknowledged.size >= KILL_AFTER);
    const pid = this.#plane.pid;
    // One more batch is under way while the process dies: it may be there or not.
    const inFlight = this.#client.append(reading(acknowledged.size), { timeoutMs: 2_000 });
    await Promise.all([inFlight.catch(() => {}), this.#plane.end('SIGKILL')]);
    this.facts.acknowledgedBeforeKill = acknowledged.size;
    this.#tell(`   killed process ${pid} after ${acknowledged.size} acknowledged readings`);
    this.facts.restartMs = Math.round(await this.#plane.start());
    this.#tell(`   back after ${this.facts.restartMs} ms; the agent sends all of them again`);
    this.facts.resentDuplicates = await this.#stream(new Set(), () => false);
    const view = await this.#client.entity('sensor/door');
    this.facts.streamed = STREAM_EVENTS;
    this.facts.appliedAfterRestart = view?.sequence ?? 0;
    this.#tell(
      `   ${this.facts.resentDuplicates} were known already; the view counts ` +
        `${this.facts.appliedAfterRestart} readings: nothing lost, nothing twice`,
    );
  }

  /** @returns how many the plane knew already */
  async #stream(acknowledged: Set<string>, enough: () => boolean): Promise<number> {
    let duplicates = 0;
    for (let from = 0; from < STREAM_EVENTS && !enough(); from += STREAM_BATCH) {
      for (const { id, duplicate } of await this.#client.append(reading(from))) {
        acknowledged.add(id);
        if (duplicate) duplicates++;
      }
    }
    return duplicates;
  }

  async #count(): Promise<void> {
    this.#tell(`\n6. Two agents raise one counter, ${RAISES_EACH} times each, at the same time.`);
    const counter = this.#client.counter('tasks_processed');
    const raise = async () => {
      for (let i = 0; i < RAISES_EACH; i++) await counter.increment(1);
    };
    await Promise.all([raise(), raise()]);
    this.facts.counter = await counter.get();
    this.#tell(`   tasks_processed = ${this.facts.counter}`);
  }
}

function reading(from: number): NewEvent[] {
  return Array.from({ length: STREAM_BATCH }, (_, i) => ({
    id: `reading-${from + i}`,
    type: 'DoorPassed',
    entity: 'sensor/door',
    attributes: { passed: from + i + 1 },
  }));
}
