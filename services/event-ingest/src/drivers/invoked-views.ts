import { parseHlc } from '@memplane/clock';
import { MemplaneError } from '@memplane/contracts';
import type { Invoker } from '@memplane/runtime';
import type { EntityName, Located } from '../domain/strong/program.ts';
import type { EntityViews } from '../domain/strong/views.ts';

export interface InvokedViewsOptions {
  readonly invoker: Invoker;
  /** How long the materializer may wait until it sees what it is asked for. */
  readonly waitMs: number;
}

/** Beyond the waiting. */
const TIMEOUT_MS = 2_000;

interface StoredEvent {
  readonly event: { readonly digest?: string; readonly hlc: string };
  readonly partition: number;
  readonly offset: number;
  readonly sequence: number;
}

/** The views as the materializer tells them. */
export class InvokedViews implements EntityViews {
  readonly #options: InvokedViewsOptions;

  constructor(options: InvokedViewsOptions) {
    this.#options = options;
  }

  async sequence({ tenant, entity }: EntityName, token?: string): Promise<number> {
    const after = token === undefined ? {} : { after: token };
    const view = await this.#get(tenant, `/v1/entities/${entity}`, after, erasedView);
    return view === undefined ? 0 : (view as { sequence: number }).sequence;
  }

  async find({ tenant, entity }: EntityName, id: string): Promise<Located | undefined> {
    const found = await this.#get(tenant, '/v1/events', { entity, id }, () => undefined);
    const stored = found as StoredEvent | undefined;
    if (stored === undefined) return undefined;
    const { event, partition, offset, sequence } = stored;
    return { partition, offset, sequence, hlc: parseHlc(event.hlc), digest: event.digest ?? '' };
  }

  async #get(
    tenant: string,
    path: string,
    query: Readonly<Record<string, string>>,
    ofErased: (error: MemplaneError) => unknown,
  ): Promise<unknown> {
    const { invoker, waitMs } = this.#options;
    try {
      return await invoker.invoke('materializer', 'GET', path, {
        tenant,
        query: { ...query, waitMs },
        timeoutMs: waitMs + TIMEOUT_MS,
      });
    } catch (error) {
      if (!(error instanceof MemplaneError)) throw error;
      if (error.code === 'not_found') return undefined;
      if (error.code === 'erased') return ofErased(error);
      throw error;
    }
  }
}

/** The events of an erased entity go on being counted. */
function erasedView(error: MemplaneError): { readonly sequence: number } {
  const { sequence } = error.extra;
  if (typeof sequence === 'number') return { sequence };
  throw error;
}
