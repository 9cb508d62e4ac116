import type { Command } from 'commander';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import { brief, pretty } from '../output/text.ts';
import { connect, jsonOption, wholeOption } from './connection.ts';

const example = (text: string) => `\nExample:\n  memplane ${text}\n`;

/** The commands that look into a plane. */
export function addReadCommands(program: Command): void {
  addGet(program);
  addHistory(program);
  addTrace(program);
  addSearch(program);
  addQuery(program);
  addReplay(program);
  addShards(program);
  addTail(program);
}

function addGet(program: Command): void {
  program
    .command('get <entity>')
    .description('The view of an entity, now or in the past')
    .option('--as-of <point>', 'offset:N, event:ID, time:T or token:T')
    .addHelpText('after', example('get user/42 --as-of time:2026-01-31T12:00:00Z'))
    .action(async (entity: string, options: { asOf?: string }, command: Command) => {
      const { client, output } = connect(command);
      const view = await client.entity(entity, options);
      if (view === null) throw notFound(entity);
      output.document(view, () => {
        output.line(`${view.entity}  (${view.sequence} events)`);
        output.line(pretty(view.attributes));
        if (view.memories.length === 0) return;
        output.table(
          ['memory', 'text', 'metadata'],
          view.memories.map((memory) => [memory.id, brief(memory.text), brief(memory.metadata)]),
        );
      });
    });
}

function addHistory(program: Command): void {
  program
    .command('history <entity>')
    .description('The events of an entity, in order')
    .option('--from <offset>', 'the first offset', '0')
    .option('--limit <count>', 'events at most', '100')
    .addHelpText('after', example('history user/42 --limit 20'))
    .action(async (entity: string, options: { from: string; limit: string }, command: Command) => {
      const { client, output } = connect(command);
      const page = await client.entityHistory(entity, {
        from: wholeOption('--from', options.from, 0, Number.MAX_SAFE_INTEGER),
        limit: wholeOption('--limit', options.limit, 1, 1000),
      });
      if (page === null) throw notFound(entity);
      if (output.isJson) {
        for (const entry of page.events) output.record(entry, () => {});
        return;
      }
      output.table(
        ['offset', 'time', 'type', 'id', 'data'],
        page.events.map(({ offset, event }) => [
          offset,
          String(event['time']),
          String(event['type']),
          String(event['id']),
          brief(event['data']),
        ]),
      );
    });
}

interface Graph {
  readonly nodes?: readonly { readonly [key: string]: unknown }[];
}

function addTrace(program: Command): void {
  program
    .command('trace <event-id>')
    .description('The causes and the effects of an event')
    .option('--entity <entity>', 'where the id is looked up first')
    .addHelpText('after', example('trace order-17 --entity user/42'))
    .action(async (id: string, options: { entity?: string }, command: Command) => {
      const { client, output } = connect(command);
      const graph = await client.trace(id, options);
      output.document(graph, () => {
        const { nodes = [] } = graph as Graph;
        output.table(
          ['step', 'event', 'entity', 'type', 'caused by'],
          nodes.map((node) => [
            brief(node['distance']),
            brief(node['id']),
            brief(node['entity']),
            brief(node['type']),
            brief(node['causationId']),
          ]),
        );
      });
    });
}

function addSearch(program: Command): void {
  program
    .command('search <text>')
    .description('The memories and turns that fit a text best')
    .option('--entity <entity>', 'only within this entity')
    .option('--filter <json>', 'a filter on metadata; entity.x is about attributes')
    .option('--top <count>', 'hits at most', '10')
    .option('--as-of <point>', 'time:T or token:T; offset:N and event:ID with --entity')
    .addHelpText('after', example('search "a cheap hotel in the north" --top 5'))
    .action(
      async (
        text: string,
        options: { entity?: string; filter?: string; top: string; asOf?: string },
        command: Command,
      ) => {
        const { client, output } = connect(command);
        const answer = await client.recall({
          text,
          topK: wholeOption('--top', options.top, 1, 1000),
          ...(options.entity === undefined ? {} : { entity: options.entity }),
          ...(options.filter === undefined
            ? {}
            : { filter: jsonOption('--filter', options.filter) }),
          ...(options.asOf === undefined ? {} : { asOf: options.asOf }),
        });
        output.document(answer, () => {
          output.table(
            ['score', 'entity', 'memory', 'text'],
            answer.results.map((hit) => [
              hit.score.toFixed(3),
              hit.entity,
              hit.memoryId,
              brief(hit.memory.text),
            ]),
          );
        });
      },
    );
}

function addQuery(program: Command): void {
  program
    .command('query <filter>')
    .description('Entities whose attributes match a filter')
    .option('--prefix <text>', 'only entities that begin so, e.g. user/')
    .option('--limit <count>', 'entities at most', '20')
    .option('--cursor <cursor>', 'where the page before ended')
    .option('--as-of <point>', 'time:T or token:T')
    .addHelpText('after', example(`query '{"city":"Paris"}' --prefix user/`))
    .action(
      async (
        filter: string,
        options: { prefix?: string; limit: string; cursor?: string; asOf?: string },
        command: Command,
      ) => {
        const { client, output } = connect(command);
        const answer = await client.query({
          filter: jsonOption('the filter', filter),
          limit: wholeOption('--limit', options.limit, 1, 1000),
          ...(options.prefix === undefined ? {} : { entityPrefix: options.prefix }),
          ...(options.cursor === undefined ? {} : { cursor: options.cursor }),
          ...(options.asOf === undefined ? {} : { asOf: options.asOf }),
        });
        output.document(answer, () => {
          output.table(
            ['entity', 'events', 'attributes'],
            answer.entities.map((view) => [view.entity, view.sequence, brief(view.attributes)]),
          );
          if (answer.cursor) output.line(`more: --cursor ${answer.cursor}`);
        });
      },
    );
}

function addReplay(program: Command): void {
  program
    .command('replay')
    .description('Replay events in a sandbox, and compare with what is live')
    .option('--entity <entity...>', 'only these entities')
    .option('--type <type...>', 'only events of these types')
    .option('--projection <name>', 'what to compute; the view by default')
    .addHelpText('after', example('replay --entity user/42'))
    .action(
      async (
        options: { entity?: string[]; type?: string[]; projection?: string },
        command: Command,
      ) => {
        const { client, output } = connect(command);
        const result = await client.replay({
          ...(options.entity === undefined ? {} : { entities: options.entity }),
          ...(options.type === undefined ? {} : { types: options.type }),
          ...(options.projection === undefined ? {} : { projection: options.projection }),
        });
        output.document(result, () => output.line(pretty(result)));
      },
    );
}

function addShards(program: Command): void {
  program
    .command('shards')
    .description('The shards: owner, applied offset, lag, size')
    .addHelpText('after', example('shards'))
    .action(async (_options: unknown, command: Command) => {
      const { client, output } = connect(command);
      const answer = await client.shards();
      output.document(answer, () => {
        const shards = (answer['shards'] ?? []) as unknown as Record<string, unknown>[];
        const head = Object.keys(shards[0] ?? {});
        output.table(
          head,
          shards.map((shard) => head.map((name) => brief(shard[name]))),
        );
      });
    });
}

function addTail(program: Command): void {
  program
    .command('tail')
    .description('Follow what is appended, one line an event; Ctrl-C ends it')
    .option('--topic <topic>', 'agent-events or memory-views', 'agent-events')
    .option('--partition <number>', 'only this partition')
    .option('--from <offset>', 'the first offset', '0')
    .option('--no-follow', 'end at the end')
    .addHelpText('after', example('tail --from 0 --json'))
    .action(
      async (
        options: { topic: string; partition?: string; from: string; follow: boolean },
        command: Command,
      ) => {
        const { client, output } = connect(command);
        const from = wholeOption('--from', options.from, 0, Number.MAX_SAFE_INTEGER);
        const partitions =
          options.partition === undefined
            ? ((await client.shards())['shards'] as unknown as unknown[]).map((_, index) => index)
            : [wholeOption('--partition', options.partition, 0, 4095)];
        const ending = new AbortController();
        process.once('SIGINT', () => ending.abort());
        await Promise.all(
          partitions.map(async (partition) => {
            const { follow } = options;
            const { signal } = ending;
            const feed = client.feed(options.topic, { partition, from, follow, signal });
            for await (const record of feed) {
              output.record(record, () => output.line(lineOf(record)));
              await output.drained();
            }
          }),
        );
      },
    );
}

function lineOf(record: { readonly [key: string]: unknown }): string {
  const event = (record['event'] ?? record['view']) as Record<string, unknown>;
  const place = `${record['partition']}:${record['offset']}`;
  const what = [event['subject'] ?? event['entity'], event['type'] ?? '', event['id'] ?? ''];
  return [place, ...what, brief(event['data'] ?? event['attributes'])].join('\t');
}

function notFound(entity: string): CommandError {
  return new CommandError(`There are no events of ${entity}.`, EXIT.notFound);
}
