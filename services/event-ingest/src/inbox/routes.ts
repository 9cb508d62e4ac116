import { isUtf8 } from 'node:buffer';
import { listDeadLetters, redriveDeadLetters, TOPICS } from '@memplane/contracts';
import { ok, type Route, route, toMemplaneError } from '@memplane/runtime';
import { inKeyOrder, subscriptionRoute } from '@memplane/runtime/dapr';
import { type DeadLetterLog, type KeptDeadLetter, reasonOf } from '../domain/dead-letter.ts';
import type { Inbox } from './inbox.ts';
import type { RedriveRecord } from './redrive-record.ts';

export interface InboxRouteOptions {
  readonly inbox: Inbox;
  readonly deadLetters: DeadLetterLog;
  readonly redriven: RedriveRecord;
  readonly inbox_keys_max: number;
  readonly inboxDeliveryTimeoutMs: number;
  readonly inbox_unexpected_errors_max: number;
}

/** Named in dapr/resources/agent-inbox.yaml too. */
const INBOX_PATH = '/subscriptions/agent-inbox';

export function inboxRoutes(options: InboxRouteOptions): Route[] {
  const { inbox } = options;
  return [
    subscriptionRoute({
      path: INBOX_PATH,
      topic: TOPICS.inbox,
      isRaw: true,
      handle: inKeyOrder({
        handle: (message, context) => inbox.take(message, context),
        onDrop: (message, reason) => inbox.drop(message, reason),
        onRetry: (message, reason) => inbox.again(message, reason),
        keys_max: options.inbox_keys_max,
        deliveryTimeoutMs: options.inboxDeliveryTimeoutMs,
        unexpected_errors_max: options.inbox_unexpected_errors_max,
      }),
    }),
    listRoute(options),
    redriveRoute(options),
  ];
}

const LIMIT_DEFAULT = 50;

function listRoute({ deadLetters, redriven }: InboxRouteOptions): Route {
  return route(listDeadLetters, async ({ query }) => {
    const page = await deadLetters.list(query.cursor, query.limit ?? LIMIT_DEFAULT);
    const marks = await redriven.find(page.letters);
    return ok({
      deadLetters: page.letters.map((kept, i) => shown(kept, marks?.[i])),
      ...(page.next === undefined ? {} : { next: page.next }),
      isRedrivenKnown: marks !== undefined,
    });
  });
}

function redriveRoute({ inbox, deadLetters, redriven }: InboxRouteOptions): Route {
  return route(redriveDeadLetters, async ({ body }) => {
    const results: unknown[] = [];
    for (const { partition, offset, event } of body.deadLetters) {
      const place = { partition, offset };
      try {
        const kept = await deadLetters.get(partition, offset);
        const accepted = await inbox.redrive(kept, event);
        await redriven.mark(kept);
        results.push({
          ...place,
          outcome: accepted.duplicate ? 'duplicate' : 'appended',
          accepted,
        });
      } catch (thrown) {
        const error = toMemplaneError(thrown);
        // What concerns all of them ends the call; it may be repeated as it is.
        if (error.transient) throw error;
        results.push({ ...place, outcome: 'refused', reason: reasonOf(error) });
      }
    }
    return ok({ results });
  });
}

/** How much of a message is shown. */
const TEXT_BYTES_MAX = 4 * 1024;

function shown({ partition, offset, letter }: KeptDeadLetter, redrivenAt: string | undefined) {
  const { bytes, reason, topic, key, deadAt } = letter;
  const isText = isUtf8(bytes);
  const head = bytes.subarray(0, TEXT_BYTES_MAX);
  return {
    partition,
    offset,
    reason,
    deadAt,
    from: { topic, partition: letter.partition, offset: letter.offset },
    ...(key === undefined ? {} : { key }),
    bytes: bytes.length,
    ...(isText ? { text: head.toString('utf8') } : { base64: head.toString('base64') }),
    ...(redrivenAt === undefined ? {} : { redrivenAt }),
  };
}
