import type { PlaneService, Seeded } from '@memplane/testkit';
import { SECRET, type Step } from './isolation-world.ts';

type Operation = { service: PlaneService; id: string; method: string; path: string };
interface Request {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | number>>;
  readonly body?: unknown;
}

/** Few names, so that what different tenants do meets. */
const ENTITIES = ['user/1', 'user/2', 'session/1', 'agent/x'];
const NAMES = ['n1', 'n2', 'n3'];
const IDS = ['e1', 'e2', 'e3', 'e4', 'b-only'];
const WORDS = ['lantern', 'ferry', 'harbour', 'brass', 'noon', SECRET];

/** Random requests: the same for every world, but for what a plane has answered before. */
export class Requests {
  readonly #random: Seeded;
  readonly #operations: readonly Operation[];
  #count = 0;

  constructor(random: Seeded, operations: readonly Operation[]) {
    this.#random = random;
    this.#operations = operations;
  }

  /** Each operation comes in its turn, so that none is left out; appends come more often. */
  next(): Step {
    const random = this.#random;
    if (random.chance(0.15)) return this.#respStep();
    const turn = this.#operations[this.#count++ % this.#operations.length] as Operation;
    const append = this.#operations.find(({ id }) => id === 'appendEvents');
    const operation = random.chance(0.25) && append !== undefined ? append : turn;
    const step = this.#stepOf(operation);
    return random.chance(0.03) ? { ...step, headers: { 'memplane-tenant': 'b' } } : step;
  }

  /** What tenant B does meanwhile: the same kinds of things, under the same names. */
  nextOfOther(): Step {
    const random = this.#random;
    const values = ['addToSet', 'putRegister', 'incrementCounter', 'voteForFlag'];
    const writes = ['appendEvents', ...values, 'writeMapField', 'incrementMapField'];
    const ids = [...writes, 'appendEvents', 'appendEvents', 'createReplay', 'removeFromSet'];
    const operation = this.#operations.find(({ id }) => id === random.pick(ids));
    const fallback = this.#operations.find(({ id }) => id === 'appendEvents') as Operation;
    return marked(this.#stepOf(operation ?? fallback));
  }

  #stepOf({ service, id: operation, method, path }: Operation): Step {
    const { params, query = {}, body } = this.#requestOf(operation);
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
      return params?.[name] ?? this.#param(name);
    });
    const text = Object.entries(query)
      .map(([key, value]) => `${key}=${value}`)
      .join('&');
    const step = { operation, service, method, path: text === '' ? filled : `${filled}?${text}` };
    const hasBody = method === 'POST' || method === 'PUT';
    return hasBody && operation !== 'voteForFlag' ? { ...step, body: body ?? {} } : step;
  }

  #param(name: string): string {
    const random = this.#random;
    if (name === 'kind') return random.pick(['user', 'session', 'agent']);
    if (name === 'id') return random.pick(['1', '2', 'x']);
    if (name === 'partition') return '0';
    return random.pick(NAMES);
  }

  /** One that nobody has written one for is called with what its path needs. */
  #requestOf(operation: string): Request {
    const random = this.#random;
    const ref = (kind: string) => `<${kind}:${random.int(0, 999)}>`;
    const after: Record<string, string | number> = { after: ref('token'), waitMs: 5000 };
    const [kind = '', id = ''] = random.pick(ENTITIES).split('/');
    const asOf = random.pick([
      ...[
        `offset:${ref(`offset_${kind}_${id}`)}`,
        `event:${random.pick(IDS)}`,
        `token:${ref('token')}`,
      ],
      ...['time:2020-01-01T00:00:00Z', 'none'],
    ]);
    const past: Record<string, string | number> = random.chance(0.4) ? { asOf } : after;
    const params = { kind, id };
    switch (operation) {
      case 'appendEvents':
        return { body: Array.from({ length: random.int(1, 3) }, () => this.#event()) };
      case 'getEntity':
        return { params, query: past };
      case 'getHistory':
        return { params, query: { ...after, limit: random.int(1, 5) } };
      case 'getEvent':
      case 'getTrace': {
        const own: Record<string, string> = random.chance(0.5) ? { entity: `${kind}/${id}` } : {};
        return { query: { ...after, id: random.pick(IDS), ...own } };
      }
      case 'queryEntities':
        return { body: this.#query(ref, after) };
      case 'search':
        return { body: this.#search(`${kind}/${id}`, past) };
      case 'checkLiveness': {
        const offset = `#${ref(`offset_${kind}_${id}`)}`;
        const item = { memoryId: 'm1', eventId: random.pick(IDS), offset, turn: false };
        const items = [{ ...item, entity: `${kind}/${id}` }];
        const tenant: object = random.chance(0.3) ? { tenant: 'b' } : {};
        return { body: { cut: ref('token'), items, waitMs: 5000, ...tenant } };
      }
      case 'resolveCut':
        return { body: { asOf, entity: `${kind}/${id}`, waitMs: 5000 } };
      case 'getFeed': {
        const topic = random.pick(['agent-events', 'memory-views']);
        return { params: { topic }, query: { partition: random.int(0, 11) } };
      }
      case 'createReplay': {
        const some: object = random.chance(0.5) ? { entities: [`${kind}/${id}`] } : {};
        return { body: { ...some, projection: 'view' } };
      }
      case 'getReplay':
        return { params: { id: random.chance(0.7) ? ref('replay') : 'none' } };
      default:
        return this.#value(operation);
    }
  }

  #value(operation: string): Request {
    const random = this.#random;
    const element = random.pick(WORDS.slice(0, 5));
    const path = random.pick([['f'], ['in', 'f']]);
    switch (operation) {
      case 'incrementCounter': {
        const op: object = random.chance(0.5) ? { opId: random.pick(IDS) } : {};
        return { body: { by: random.int(1, 9), ...op } };
      }
      case 'addToSet':
      case 'removeFromSet':
        return { body: { element } };
      case 'putRegister':
        return { body: { value: { word: element } } };
      case 'incrementMapField':
        return { body: { path, by: random.int(1, 9) } };
      case 'addToMapField':
      case 'removeFromMapField':
        return { body: { path, element } };
      case 'writeMapField':
        return { body: { path, value: { word: element } } };
      case 'removeMapField':
        return { body: { path, type: random.pick(['counter', 'set', 'register', 'map']) } };
      case 'putCounterPart':
        return { body: { logId: 'l', epoch: 0, offset: 1, value: 1 } };
      case 'getSet':
      case 'listCounters':
        return { query: { limit: random.int(1, 3) } };
      default:
        return {};
    }
  }

  #event(): object {
    const random = this.#random;
    const word = () => random.pick(WORDS.slice(0, 5));
    const values = Array.from({ length: 4 }, () => random.int(1, 9));
    return {
      id: random.pick(IDS.slice(0, 4)),
      type: random.pick(['Noted', 'SessionStarted', 'SessionEnded']),
      entity: random.pick(ENTITIES),
      source: 'agent',
      time: '2026-01-01T00:00:00Z',
      attributes: { n: random.int(0, 5), word: word() },
      ...(random.chance(0.5) ? { causationId: random.pick(IDS) } : {}),
      ...(random.chance(0.6)
        ? {
            memory: {
              id: random.pick(['m1', 'm2']),
              text: `${word()} ${word()} ${word()}`,
              metadata: { k: random.int(0, 3) },
              embedding: { model: 'test', values },
            },
          }
        : {}),
    };
  }

  #query(ref: (kind: string) => string, after: object): object {
    const random = this.#random;
    const filter = random.pick([{}, { n: { $gte: 2 } }, { word: 'lantern' }, { secret: SECRET }]);
    const body = { filter, limit: random.int(1, 3), ...after };
    return random.chance(0.3) ? { ...body, cursor: ref('cursor') } : body;
  }

  #search(about: string, past: object): object {
    const random = this.#random;
    const what = random.pick([
      { text: random.pick(WORDS) },
      { vector: [1, 2, 3, random.int(1, 9)] },
      { text: random.pick(WORDS), filter: { k: { $lte: 2 } } },
      { text: 'lantern', filter: { 'entity.n': { $gte: 1 } } },
    ]);
    const entity: object = random.chance(0.4) ? { entity: about } : {};
    const when = { ...past, after: '<last:0>', waitMs: 5000 };
    return { ...what, ...entity, topK: random.int(1, 5), ...when };
  }

  #respStep(): Step {
    const random = this.#random;
    const name = random.pick(NAMES);
    const resp = random.pick([
      ...[['CRDT.INCR', name, '2'], ['CRDT.DECR', name, '1'], ['CRDT.GET', name], ['CRDT.TOKEN']],
      ...[['CRDT.INCR', name, '1', 'OPID', random.pick(IDS)], ['CRDT.SET', name, 'v'], ['PING']],
      ...[['CRDT.SADD', name, random.pick(WORDS.slice(0, 5))], ['CRDT.SMEMBERS', name], ['INFO']],
      ...[
        ['CRDT.SREM', name, 'ferry'],
        ['CRDT.SISMEMBER', name, 'noon'],
        ['CRDT.READ', name],
      ],
      ...[
        ['CRDT.DEL', name],
        ['HELLO', '3'],
        ['CLIENT', 'LIST'],
        ['CRDT.AFTER', 'mpt_none'],
      ],
    ]);
    const operation = `RESP ${resp[0]}`;
    return { operation, service: 'crdt-sync', method: '', path: '', resp };
  }
}

/** Marks whatever B writes, so that it is known wherever it comes up. */
function marked(step: Step): Step {
  const { body } = step;
  if (step.operation === 'appendEvents') {
    const events = (body as Record<string, unknown>[]).map((event) => {
      const { memory } = event as { memory?: { text: string } };
      const more = memory && { memory: { ...memory, text: `${memory.text} ${SECRET}` } };
      const id = event['id'] === 'e4' ? 'b-only' : event['id'];
      const attributes = { ...(event['attributes'] as object), secret: SECRET };
      return { ...event, id, source: SECRET, attributes, ...more };
    });
    return { ...step, body: events };
  }
  if (step.operation === 'addToSet') return { ...step, body: { element: SECRET } };
  if (step.operation === 'putRegister') return { ...step, body: { value: SECRET } };
  if (step.operation === 'writeMapField') {
    return { ...step, body: { ...(body as object), value: SECRET } };
  }
  return step;
}
