import {
  type CutResponse,
  decodeToken,
  type LivenessResponse,
  type LogShapeAnswer,
  MemplaneError,
} from '@memplane/contracts';
import type { Invoker } from '@memplane/runtime';
import type { Views } from '../domain/ports.ts';

/** The materializer's answers, by invocation. @param timeoutMs added to what a call itself waits */
export function createHttpViews(invoker: Invoker, timeoutMs: number): Views {
  return {
    async log(signal) {
      try {
        return (await invoker.invoke('materializer', 'GET', '/v1/log', {
          timeoutMs,
          signal,
        })) as LogShapeAnswer;
      } catch (error) {
        // One of the version before, while the plane is upgraded: then the log has not grown.
        if (!(error instanceof MemplaneError) || error.code !== 'not_found') throw error;
        const { logId, epoch, offsets } = await this.resolveCut({ waitMs: 0 }, signal);
        return { logId, epoch, partitions: offsets.size };
      }
    },
    async liveness(question, signal) {
      const answer = (await invoker.invoke('materializer', 'POST', '/v1/liveness', {
        body: question,
        timeoutMs: timeoutMs + question.waitMs,
        signal,
      })) as LivenessResponse;
      if (answer.items.length !== question.items.length) {
        throw new MemplaneError('dependency_unavailable', 'The view check answered too little.');
      }
      return answer.items.map((item) => item.live);
    },
    async resolveCut(request, signal) {
      const answer = (await invoker.invoke('materializer', 'POST', '/v1/cuts', {
        body: request,
        timeoutMs: timeoutMs + (request.waitMs ?? 0),
        signal,
      })) as CutResponse;
      const historyStarts = new Map(
        Object.entries(answer.historyStarts).map(([partition, start]) => [
          Number(partition),
          start,
        ]),
      );
      return { ...decodeToken(answer.token), timeMs: answer.timeMs, historyStarts };
    },
  };
}
