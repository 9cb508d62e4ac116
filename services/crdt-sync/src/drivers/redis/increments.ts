import type { ApplyLimits } from '../../domain/apply.ts';
import type { Command } from '../../domain/command.ts';
import type { Reply } from './connection.ts';
import { damaged } from './redis-records.ts';
import { refusal } from './refusal.ts';
import { list } from './replies.ts';

/**
 * Increments of one name that follow each other without anything else about that name between them:
 * told as how often by how much, which costs a hundredth of a command each, on the wire and there.
 */
export class Increments {
  /** At least one. */
  readonly commands: Command[];
  /** By how much, and how often in a row. */
  readonly #runs: { by: number; count: number }[];

  constructor(first: Command) {
    this.commands = [first];
    this.#runs = [{ by: first.by, count: 1 }];
  }

  /** With an operation id each has to be looked up by itself. */
  static canHold({ type, opId }: Command): boolean {
    return type === 'increment' && opId === undefined;
  }

  /** @returns false for one that has to be told by itself */
  add(command: Command): boolean {
    if (command.kind !== this.commands[0]?.kind) return false;
    const last = this.#runs.at(-1);
    if (last?.by === command.by) last.count++;
    else this.#runs.push({ by: command.by, count: 1 });
    this.commands.push(command);
    return true;
  }

  words(): string[] {
    const pairs = this.#runs.flatMap(({ by, count }) => [String(by), String(count)]);
    return [this.commands[0]?.kind ?? '', ...pairs];
  }

  /** Writes into each command what the function answered: of each run how many, up to what, or why not. */
  settle(reply: Reply | undefined, limits: ApplyLimits): void {
    const answers = list(reply);
    if (Buffer.isBuffer(answers[0])) {
      const [code, detail] = answers;
      for (const command of this.commands) {
        command.error = refusal(String(code), String(detail), command, limits);
      }
      return;
    }
    if (answers.length !== this.#runs.length * 3) throw damaged('an answer');
    let start = 0;
    for (const [index, { by, count }] of this.#runs.entries()) {
      const [counted, last, refused] = answers.slice(index * 3, index * 3 + 3);
      const good = start + Number(counted);
      // Back from the last one, step by step: each value is exact, a multiple of `by` may not be.
      let value = Number(last);
      for (let at = good - 1; at >= start; at--) {
        const command = this.commands[at];
        if (command !== undefined) command.outcome.number = value;
        value -= by;
      }
      start += count;
      const [code, detail] = good < start ? list(refused ?? undefined) : [];
      for (const command of this.commands.slice(good, start)) {
        command.error = refusal(String(code), String(detail), command, limits);
      }
    }
  }
}
