import type { EngineDelays, GatewayEvent } from '@open-autoglm/protocol';
import { addTime, copyTimes, type SegmentTimes } from './segment-times.ts';

/** What is known of one choice: its time in the engine, by the engine's own clock, and its tokens. */
export class ChoiceProfile {
  readonly times: SegmentTimes = copyTimes();
  /** What the engine says of those times. */
  prefillDelays: EngineDelays | undefined;
  decodeDelays: EngineDelays | undefined;
  /** Of the time in the queue: waiting for a place once more, after it was given to another. */
  preemptedMs = 0;
  promptTokens = 0;
  cachedTokens = 0;
  completionTokens = 0;
  finishReason: string | undefined;

  get engineMs(): number {
    const { queue = 0, prefill = 0, decode = 0, upstream = 0 } = this.times;
    return queue + prefill + decode + upstream;
  }

  on(event: GatewayEvent): void {
    if (event.type === 'segment-end') {
      addTime(this.times, event.segment, event.durationMs);
      if (event.segment === 'prefill') this.prefillDelays = event.delays;
      else if (event.segment === 'decode') this.decodeDelays = event.delays;
      else if (event.reason === 'preempted') this.preemptedMs += event.durationMs;
    } else if (event.type === 'prompt-end') {
      this.promptTokens = event.promptTokens;
      this.cachedTokens = event.cachedTokens;
    } else if (event.type === 'choice-end') {
      this.completionTokens = event.completionTokens;
      this.finishReason = event.finishReason;
    }
  }
}
