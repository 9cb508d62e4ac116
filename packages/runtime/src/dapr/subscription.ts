import { operation } from '@memplane/contracts';
import type { Context as TraceContext } from '@opentelemetry/api';
import { z } from 'zod';
import { toMemplaneError } from '../problem.ts';
import type { Route } from '../route.ts';
import { type InboundMessage, readDelivery } from './delivery.ts';

/**
 * What became of a message. `RETRY`: it comes again. `DROP`: it never does; whoever says so has
 * seen to it that it is not lost without a trace.
 */
export type DeliveryStatus = 'SUCCESS' | 'RETRY' | 'DROP';

export interface DeliveryContext {
  /** Aborted when the sidecar goes away or the service ends. */
  readonly signal: AbortSignal;
  readonly trace: TraceContext;
}

/** One status for each message, in their order. Anything thrown: all are delivered again. */
export type DeliveryHandler = (
  messages: readonly InboundMessage[],
  context: DeliveryContext,
) => Promise<readonly DeliveryStatus[]>;

export interface SubscriptionOptions {
  /** The route of the subscription, e.g. `/subscriptions/agent-inbox`. */
  readonly path: `/${string}`;
  readonly topic: string;
  /** As the subscription's metadata say (`rawPayload`). */
  readonly isRaw: boolean;
  readonly handle: DeliveryHandler;
  /** Told of what was thrown; the messages are delivered again. */
  readonly onError?: (error: unknown) => void;
}

/** A hundred messages as large as Kafka takes them by default, in base64. */
export const DELIVERY_BYTES_MAX = 144 * 1024 * 1024;

/**
 * Where the sidecar delivers the messages of a topic. Takes calls that prove to come from the
 * service's own sidecar only. Never answers 404, which a sidecar takes for DROP.
 */
export function subscriptionRoute(options: SubscriptionOptions): Route {
  const { path, topic, isRaw, handle, onError } = options;
  return {
    operation: operation({
      id: `deliver-${topic}`,
      method: 'post',
      path,
      summary: `Messages of ${topic}`,
      body: z.unknown(),
      responses: { 200: { description: 'What became of each.' } },
      errors: [],
    }),
    isForSidecar: true,
    body_bytes_max: DELIVERY_BYTES_MAX,
    // The messages are judged one by one, not with the bulk around them.
    parseBody: (bytes) => JSON.parse(bytes.toString('utf8')),
    async handle({ body, headers, signal, trace }) {
      const { isBulk, messages } = readDelivery(body, headers, { topic, isRaw });
      let statuses: readonly DeliveryStatus[];
      try {
        statuses = await handle(messages, { signal, trace });
      } catch (error) {
        onError?.(error);
        if (!isBulk) throw retriable(error);
        statuses = [];
      }
      if (!isBulk) return { status: 200, body: { status: statuses[0] ?? 'RETRY' } };
      const answers = messages.map(({ entryId }, i) => ({
        entryId,
        status: statuses[i] ?? 'RETRY',
      }));
      return { status: 200, body: { statuses: answers } };
    },
  };
}

/** A sidecar drops what is answered 404, whatever the reason. */
function retriable(error: unknown): unknown {
  return toMemplaneError(error).status === 404 ? new Error('not found', { cause: error }) : error;
}
