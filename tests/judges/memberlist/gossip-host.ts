/**
 * Hosts members of packages/gossip, with the lines in and out of the host of memberlist's members:
 * see `main.go` beside this file.
 */
import { createInterface } from 'node:readline';
import {
  Gossip,
  type GossipEvent,
  type GossipSettings,
  systemRandom,
  systemTimers,
  UdpTcpTransport,
} from '@memplane/gossip';
import { seeded } from '@memplane/testkit';
import type { Command, HostOptions, Line } from './host.ts';
import { StarvingTransport } from './starving-transport.ts';

const options = JSON.parse(process.argv[2] ?? '') as HostOptions & { settings: GossipSettings };
const members = new Map<string, { gossip: Gossip; transport: StarvingTransport }>();

function say(line: Omit<Line, 'atMs'>): void {
  const atMs = performance.timeOrigin + performance.now();
  process.stdout.write(`${JSON.stringify({ ...line, atMs })}\n`);
}

/** What a member comes to believe of the others. */
function observed(id: string, { type, member }: GossipEvent): void {
  const about = member.id;
  if (type === 'joined') say({ event: 'alive', id, about });
  if (type === 'alive-again') say({ event: 'alive', id, about });
  if (type === 'failed') say({ event: 'dead', id, about });
  if (type === 'left') say({ event: 'left', id, about });
}

async function start({ id, cluster, join }: Extract<Command, { op: 'start' }>): Promise<void> {
  const inner = await UdpTcpTransport.bind({ host: '127.0.0.1', port: 0 });
  const random = seeded(options.seed).fork(members.size);
  const transport = new StarvingTransport(inner, options, random);
  const gossip = new Gossip({
    id,
    cluster,
    startEpoch: Date.now(),
    settings: options.settings,
    timers: systemTimers,
    random: systemRandom,
    transport,
    hooks: { onEvent: (event) => observed(id, event) },
  });
  gossip.start();
  members.set(id, { gossip, transport });
  if (join.length > 0) await gossip.join(join);
  say({ event: 'started', id, address: transport.address });
}

async function obey(command: Command): Promise<void> {
  if (command.op === 'start') return start(command);
  if (command.op === 'begin') {
    for (const { transport } of members.values()) transport.begin();
    return;
  }
  const member = members.get(command.id);
  if (member === undefined) throw new Error(`there is no ${command.id}`);
  if (command.op === 'join') {
    await member.gossip.join(command.join);
    return say({ event: 'joined', id: command.id });
  }
  if (command.op === 'starve') return member.transport.starve();
  if (command.op === 'feed') return member.transport.feed();
  // Without a leave: its sockets are closed and it says nothing any more.
  say({ event: 'killed', id: command.id });
  member.gossip.stop();
  await member.transport.close();
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as Command;
  await obey(command).catch((error: unknown) =>
    say({ event: 'error', id: 'id' in command ? command.id : '', detail: String(error) }),
  );
}
process.exit();
