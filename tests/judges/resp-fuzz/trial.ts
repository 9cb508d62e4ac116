import { nameOf, readRequests } from './reference.ts';
import { readReplies } from './replies.ts';
import { frame } from './requests.ts';
import { type Heard, packetsOf, talk } from './talk.ts';
import { LIMITS, type Target, TOKEN } from './target.ts';

const DEADLINE_MS = 15_000;

/** Bytes that a client sends, and where they are cut into packets. */
export interface Trial {
  readonly bytes: Buffer;
  readonly cuts: readonly number[];
  /** Whether `AUTH` goes first. */
  readonly isKnown: boolean;
}

/** @returns what is wrong with the answers; undefined: nothing */
export async function tryOut(target: Target, trial: Trial): Promise<string | undefined> {
  const packets = packetsOf(trial.bytes, trial.cuts);
  if (trial.isKnown) packets.unshift(frame(['AUTH', TOKEN]));
  const heard = await talk(target.port, packets, DEADLINE_MS);
  target.check();
  return wrongWith(trial, heard);
}

/** As many answers as there are commands, each as the protocol has it, and an error for what is none. */
export function wrongWith(trial: Trial, heard: Heard): string | undefined {
  if (heard.end === 'hangs') return 'the connection hangs';
  let { commands, broken } = readRequests(trial.bytes, LIMITS);
  const quits = commands.findIndex((words) => nameOf(words) === 'QUIT');
  if (quits >= 0) {
    commands = commands.slice(0, quits + 1);
    broken = 'no';
  }
  if (heard.end === 'reset') {
    // Who goes on for a second after the end is cut off, and what was not read by then is lost.
    return quits >= 0 || broken !== 'no' ? undefined : 'the connection was reset';
  }
  let replies: ReturnType<typeof readReplies>;
  try {
    replies = readReplies(heard.bytes);
  } catch (error) {
    return (error as Error).message;
  }
  const told = (kind: string, text: Buffer) => `${kind}${text.toString('latin1', 0, 80)}`;
  if (trial.isKnown) {
    const [first] = replies.splice(0, 1);
    if (first?.text.toString() !== 'OK') return `AUTH was answered ${first?.kind}${first?.text}`;
  }
  for (const [index, words] of commands.entries()) {
    const reply = replies[index];
    const asked = words.map((word) => word.toString('latin1', 0, 40)).join(' ');
    if (reply === undefined) {
      return `${replies.length} answers to ${commands.length} commands; none to ${asked}`;
    }
    const isEcho = trial.isKnown && words.length === 2 && /^echo$/i.test(String(words[0]));
    if (isEcho && (reply.kind !== '$' || !reply.text.equals(words[1] ?? Buffer.alloc(0)))) {
      return `${asked} was answered ${told(reply.kind, reply.text)}`;
    }
    if (/^ERR (Protocol|internal)/.test(reply.text.toString('latin1', 0, 20))) {
      return `${asked} was answered ${told(reply.kind, reply.text)}`;
    }
  }
  const more = replies.slice(commands.length);
  const isRefusal = more.length === 1 && /^ERR Protocol error: /.test(String(more[0]?.text));
  if (broken === 'yes' && !isRefusal) return `what breaks the protocol is answered ${shown(more)}`;
  if (broken === 'no' && more.length > 0) return `${shown(more)} answers nothing that was asked`;
  if (broken === 'maybe' && more.length > 0 && !isRefusal) return `the end: ${shown(more)}`;
  return undefined;
}

function shown(replies: readonly { kind: string; text: Buffer }[]): string {
  if (replies.length === 0) return 'by nothing';
  return replies.map(({ kind, text }) => `${kind}${text.toString('latin1', 0, 60)}`).join(' | ');
}
