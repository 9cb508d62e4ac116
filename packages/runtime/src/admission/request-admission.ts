import type { IncomingMessage } from 'node:http';
import { MemplaneError } from '@memplane/contracts';
import type { Counter, Meter } from '@opentelemetry/api';
import type { Route } from '../route.ts';
import type { Urgency } from './fair-queue.ts';
import { AdmissionGate, type GateOptions, isRefusal, type Permit, type Refusal } from './gate.ts';
import { Baseline } from './gradient-limit.ts';

/** A body of more is bulk: whoever sends one does not wait for a single answer. */
const BULK_BYTES_MIN = 16 * 1024;
/** Taken for a body of unknown length. */
const UNKNOWN_BYTES = 64 * 1024;
const SWEEP_INTERVAL_MS = 50;

/** Who asks, as far as it is known without reading the body. */
export interface Caller {
  readonly tenant: string;
  readonly agent: string;
}

/** What is known of a route before any request; the usual times of small bodies and of bulk. */
export interface RouteAdmission {
  readonly urgency: Urgency;
  readonly kind: Baseline;
  readonly bulkKind: Baseline;
}

/** What has usual times of its own. */
export function admittedAs(urgency: Urgency): RouteAdmission {
  return { urgency, kind: new Baseline(), bulkKind: new Baseline() };
}

/** Lets requests of a service in: the gate with a clock, metrics and words. */
export class RequestAdmission {
  readonly #gate: AdmissionGate;
  readonly #refused: Counter;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: GateOptions, meter: Meter) {
    this.#gate = new AdmissionGate(options);
    this.#refused = meter.createCounter('memplane.admission.refused', { unit: '{request}' });
    this.#observe(meter);
  }

  get waiting(): number {
    return this.#gate.waiting;
  }

  /** Undefined for what is always let in: probes, operators, and the plane's own calls. */
  of({ operation, isForSidecar }: Route): RouteAdmission | undefined {
    const { role, urgency } = operation;
    if (isForSidecar || (role !== 'reader' && role !== 'writer')) return undefined;
    return admittedAs(urgency ?? (role === 'reader' ? 'first' : 'normal'));
  }

  enter(
    route: RouteAdmission,
    request: IncomingMessage,
    caller: Caller,
  ): Permit | Refusal | Promise<Permit | Refusal> {
    return this.ask(route, bytesOf(request), caller);
  }

  /** What comes by another port than HTTP: see `AdmissionGate.enter`. */
  ask(
    route: RouteAdmission,
    bytes: number,
    { tenant, agent }: Caller,
  ): Permit | Refusal | Promise<Permit | Refusal> {
    const isBulk = bytes > BULK_BYTES_MIN;
    const urgency = isBulk && route.urgency === 'normal' ? 'bulk' : route.urgency;
    const kind = isBulk ? route.bulkKind : route.kind;
    const ask = { urgency, tenant, agent, bytes, kind };
    const entered = this.#gate.enter(ask, performance.now());
    if (entered instanceof Promise) {
      this.#timer ??= setInterval(() => this.#sweep(), SWEEP_INTERVAL_MS).unref();
      return entered.then((outcome) => this.#counted(outcome, urgency));
    }
    return this.#counted(entered, urgency);
  }

  /** See `AdmissionGate.leave`. */
  leave(permit: Permit, isTimed: boolean): void {
    this.#gate.leave(permit, isTimed, performance.now());
  }

  /** What `/readyz` tells. */
  describe(): object {
    const { concurrency, running, waiting } = this.#gate;
    return { concurrency, running, waiting };
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #counted(outcome: Permit | Refusal, urgency: Urgency): Permit | Refusal {
    if (isRefusal(outcome)) this.#refused.add(1, { limit: outcome.limit, urgency });
    return outcome;
  }

  #sweep(): void {
    this.#gate.sweep(performance.now());
    if (this.#gate.waiting > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #observe(meter: Meter): void {
    const gate = this.#gate;
    const observe = (name: string, unit: string, description: string, look: () => number) => {
      const gauge = meter.createObservableGauge(`memplane.admission.${name}`, {
        unit,
        description,
      });
      gauge.addCallback((result) => result.observe(look()));
    };
    const unit = '{request}';
    observe('concurrency', unit, 'How many may be under way at once.', () => gate.concurrency);
    observe('running', unit, 'How many are under way.', () => gate.running);
    observe('waiting', unit, 'How many wait to be let in.', () => gate.waiting);
    observe('waiting.bytes', 'By', 'Of their bodies.', () => gate.waitingBytes);
    observe('drain_rate', `${unit}/s`, 'How many end in a second.', () =>
      gate.drainRate(performance.now()),
    );
  }
}

/** The problem that tells of a refusal. */
export function refusalError({ limit, max, concurrency, retryAfterMs }: Refusal): MemplaneError {
  const { stackTraceLimit } = Error;
  // Nobody reads where it comes from, and finding that out would cost a third of the whole refusal.
  Error.stackTraceLimit = 0;
  try {
    return new MemplaneError('overloaded', WORDS[limit], {
      retryAfterMs,
      extra: { limit, max, concurrency },
    });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

const WORDS: Readonly<Record<Refusal['limit'], string>> = {
  queue_requests_max: 'Too many requests wait to be let in.',
  queue_bytes_max: 'Too many bytes of requests wait to be let in.',
  queueWaitMs: 'The request waited too long to be let in.',
};

function bytesOf({ headers }: IncomingMessage): number {
  const declared = headers['content-length'];
  if (declared !== undefined) return Number(declared) || 0;
  return headers['transfer-encoding'] === undefined ? 0 : UNKNOWN_BYTES;
}
